"""A series that nobody collects is told, and not waited for in silence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from data_collector.client import AsyncClient, Client, SilentSeries, UnknownSeries
from data_collector.client.answering import places
from data_collector.client.reading import following
from data_collector.client.terms.times import now_ms
from data_collector.embedded.peer import free_port
from data_collector.model.calendar import INTERVALS
from data_collector.model.sink import Batch
from data_collector.model.status import Snapshot
from data_collector.model.subscriptions import ChangeStatus, Present
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import MINUTES, TRADES
from tests.contract.http_service import HttpService, running
from tests.contract.stores import SOURCE, Reader
from tests.contract.test_http_series import snapshot_of
from tests.integration.waiting import until
from tests.market import SYMBOL, kline, trade

HOURS = f"{SYMBOL}:4h"


def collecting(address: str, intervals: list[str], *channels: str, source: str = SOURCE) -> Snapshot:
    snapshot = snapshot_of(address)
    snapshot.source = source
    snapshot.subscriptions = ChangeStatus(Present([SYMBOL], intervals, [*channels], []))
    return snapshot


def until_the_clock_goes_on() -> None:
    """What is written then came after what was opened before."""
    begin_ms = now_ms()
    until(lambda: now_ms() > begin_ms + 1)


@pytest.fixture(scope="module")
def service(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    """Of a collector of candles."""
    with running(tmp_path_factory.mktemp("http"), collecting(address, ["1m", "1h"], "kline", "ticker")) as service:
        yield service


async def test_series_is_told_at_once_where_the_collector_says_what_it_collects(
    address: str, sink: RedisSink, service: HttpService
) -> None:
    """Another interval, and trades of a symbol of which candles alone are collected."""
    await sink.write(stores.klines(kline(0), kline(1)))
    begin = rf"The collector at {service.url} does not collect "

    with Client(address, api=service.url, database="") as client:
        for ask in (
            lambda: client.live(MINUTES, HOURS),
            lambda: client.live(HOURS, start="2024-01-01"),
            lambda: list(client.klines(SYMBOL, "4h")),
            lambda: list(client.klines(SYMBOL, "4h", start="2024-01-01")),
            lambda: list(client.klines(SYMBOL, "4h", start="2024-01-01", end="2024-02-01")),
            lambda: list(client.replay(HOURS, start="2024-01-01")),
        ):
            sentence = f"{begin}{HOURS}; of BTCUSDT it collects 1m, 1h: is 4h missing in the collector's INTERVALS"
            with pytest.raises(UnknownSeries, match=sentence):
                ask()
        for ask in (lambda: client.live(TRADES), lambda: list(client.trades(SYMBOL))):
            with pytest.raises(
                UnknownSeries, match=rf"{begin}{TRADES}; .* is trade missing in the collector's CHANNELS"
            ):
                ask()
    async with AsyncClient(address, api=service.url, database="") as asking:
        with pytest.raises(UnknownSeries, match=begin):
            await asking.live(HOURS)


async def test_series_that_is_collected_and_has_not_come_yet_is_waited_for(
    address: str, sink: RedisSink, service: HttpService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector has just been started, and hours take long."""
    await sink.write(stores.klines(kline(0)))
    monkeypatch.setattr(following, "SILENT_S", 0)

    with Client(address, api=service.url, database="") as client, client.live(f"{SYMBOL}:1h") as live:
        await sink.write(stores.klines(kline(1)))
        for _ in range(3):
            live.poll(0)
        assert list(client.klines(SYMBOL, "1h")) == []


async def test_word_of_a_collector_of_another_market_counts_for_nothing(
    address: str, sink: RedisSink, service: HttpService, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the one at the usual address, and the store is another's."""
    await sink.write(stores.klines(kline(0)))
    reader.client.set("collector:source", "the simulated market 1")
    monkeypatch.delenv(places.API_VARIABLE, raising=False)
    monkeypatch.setattr(places, "DEFAULT_API", service.url)

    with Client(address, database="") as client:
        client.live(HOURS, TRADES).close()


async def test_every_interval_stands_for_those_that_there_are(
    address: str, sink: RedisSink, service: HttpService
) -> None:
    await sink.write(stores.klines(kline(0)))

    with Client(address, api=service.url, database="") as client:
        client.live(*(f"{SYMBOL}:{interval}" for interval in INTERVALS)).close()


@pytest.mark.parametrize("has_api", [False, True])
async def test_series_of_which_nothing_comes_while_others_do_is_warned_of_once(
    address: str, sink: RedisSink, monkeypatch: pytest.MonkeyPatch, *, has_api: bool
) -> None:
    """Nobody answers at the HTTP side's address, or there is none."""
    await sink.write(stores.klines(kline(0)))
    monkeypatch.setattr(following, "SILENT_S", 0)
    api = f"http://127.0.0.1:{free_port()}" if has_api else ""

    with Client(address, api=api, database="") as client, client.live(MINUTES, HOURS, TRADES) as live:
        live.poll(0)
        live.poll(0)
        until_the_clock_goes_on()
        await sink.write(stores.klines(kline(1, closed=False)))
        with pytest.warns(SilentSeries) as warned:
            live.poll(0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            live.poll(0)

    assert [str(each.message) for each in warned] == [
        "Nothing of BTCUSDT:4h came, while 1m of BTCUSDT did: is 4h missing in the collector's INTERVALS?",
        "Nothing of BTCUSDT:trades came, while 1m of BTCUSDT did: is trade missing in the collector's CHANNELS?",
    ]


async def test_series_that_is_collected_no_more_is_warned_of(
    address: str, sink: RedisSink, service: HttpService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has it, so that it can be read from its begin."""
    await sink.write(stores.klines(kline(0, interval="4h")))
    monkeypatch.setattr(following, "SILENT_S", 0)

    with Client(address, api=service.url, database="") as client, client.live(HOURS, start="earliest") as live:
        assert (live.poll(0) or pytest.fail("a live stream has no end")).items
        until_the_clock_goes_on()
        await sink.write(stores.klines(kline(1)))
        with pytest.warns(SilentSeries, match=f"does not collect {HOURS}; of BTCUSDT it collects 1m, 1h"):
            # What was read before it came may still be handed on.
            _ = [live.poll(0) for _ in range(2)]


async def test_series_that_ends_while_others_go_on_is_warned_of(
    address: str, sink: RedisSink, service: HttpService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them came for a while, and somebody took one away: by the collector's word, or by the candles alone."""
    monkeypatch.setattr(following, "SILENT_S", 0)
    fives, hours = f"{SYMBOL}:5m", f"{SYMBOL}:1h"
    await sink.write(
        stores.klines(*map(kline, range(5)), kline(0, interval="5m"), kline(0, interval="1h", closed=False))
    )
    begin = rf"does not collect {hours}; of BTCUSDT it collects 1m"

    with Client(address, api="", database="") as client, Client(address, api=service.url, database="") as asking:
        live = client.live(MINUTES, fives, start="earliest")
        told = asking.live(MINUTES, hours, start="earliest")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            live.poll(0)
            told.poll(0)
            await sink.write(stores.klines(*map(kline, range(5, 16))))
            _ = [live.poll(0) for _ in range(2)]
        await sink.write(stores.klines(kline(16)))
        with pytest.warns(SilentSeries, match="No more candles of BTCUSDT:5m came, while those of others did: is 5m m"):
            _ = [live.poll(0) for _ in range(2)]
        service.tell(collecting(address, ["1m"], "kline", "ticker"))
        try:
            until(lambda: b'"intervals":["1m"]' in service.get("/subscriptions").body)
            with pytest.warns(SilentSeries, match=begin):
                _ = [told.poll(0) for _ in range(2)]
        finally:
            service.tell(collecting(address, ["1m", "1h"], "kline", "ticker"))


async def test_candles_that_nobody_collects_are_told_of_all_intervals_at_once(
    address: str, sink: RedisSink, service: HttpService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a table of Pathway asks for them."""
    monkeypatch.setattr(following, "SILENT_S", 0)
    every = [f"{SYMBOL}:{interval}" for interval in INTERVALS]
    await sink.write(stores.trades(1, 3))

    with Client(address, api="", database="") as client, client.live(*every, start="earliest") as live:
        until_the_clock_goes_on()
        await sink.write(Batch(trades=[stores.run_of([trade(4, time_ms=now_ms())])]))
        with pytest.warns(
            SilentSeries, match="Nothing of candles of BTCUSDT came, while trades .* kline missing in the"
        ):
            _ = [live.poll(0) for _ in range(2)]
    service.tell(collecting(address, ["1m", "1h"], "trade", "ticker"))
    try:
        until(lambda: b'"channels":["trade"' in service.get("/subscriptions").body)
        sentence = "not collect candles of BTCUSDT; of BTCUSDT it collects trades: is kline missing in"
        with Client(address, api=service.url, database="") as client, pytest.raises(UnknownSeries, match=sentence):
            client.live(*every)
    finally:
        service.tell(collecting(address, ["1m", "1h"], "kline", "ticker"))


async def test_history_that_is_stored_nowhere_is_told_without_an_http_side(
    address: str, sink: RedisSink, dsn: str, reader: Reader
) -> None:
    await sink.write(stores.klines(kline(0)))

    with Client(address, api="", database=dsn) as client:
        sentence = f"Nothing of {HOURS} is stored; of BTCUSDT there is 1m: is 4h missing in"
        with pytest.raises(UnknownSeries, match=sentence):
            client.klines(SYMBOL, "4h", start="2024-01-01").to_numpy()
        with pytest.raises(UnknownSeries, match=f"Nothing of {TRADES} is stored"):
            client.trades(SYMBOL).read()
        assert list(client.klines(SYMBOL, "1m")) == []
        reader.client.delete(f"stream:{SYMBOL}")
        reader.client.xadd(f"trades:{SYMBOL}", {"data": str(trade(1))})
        assert list(client.trades(SYMBOL)) == []
