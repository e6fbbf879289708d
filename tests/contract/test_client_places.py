"""Whether what a client is given is one collector, and how soon it says that something is not there."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest
from msgspec import structs

from data_collector.client import ApiAway, AsyncClient, Client, Gap, Trade, UnknownSeries, WrongQuestion, WrongStore
from data_collector.client.answering import http, places
from data_collector.client.reading.questions import ApiRequest
from data_collector.embedded.peer import free_port
from data_collector.model.keys import Key
from data_collector.model.sink import Batch, NewestUpdate
from data_collector.model.status import GapsStatus
from data_collector.model.store_url import StoreAddress
from data_collector.model.subscriptions import ChangeStatus, Present
from data_collector.model.wire import TRADE_NAMES
from data_collector.pipeline.gaps.ledger import Ledger
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import MINUTES, TRADES, told
from tests.contract.http_service import HttpService, running, write_snapshot
from tests.contract.stores import SOURCE, Reader, opened, redis_sink
from tests.contract.test_client_history import at, put_minutes, put_trades
from tests.contract.test_http_series import snapshot_of, writer_of
from tests.contract.test_http_series import told as telling
from tests.integration.postgres_server import execute
from tests.integration.waiting import until
from tests.market import NOON_MS, SYMBOL, kline, sparse_ticker, trade

ELSEWHERE = "the simulated market 1"


@pytest.fixture(scope="module")
def one_service(address: str, dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    with running(tmp_path_factory.mktemp("http"), snapshot_of(address), DATABASE_URL=dsn) as service:
        yield service


@pytest.fixture
def service(one_service: HttpService, dsn: str, sink: RedisSink) -> HttpService:
    execute(dsn, "truncate market_data_ohlcv, market_data_trades, market_data_gaps, market_data_epochs")
    return one_service


def collects_from(service: HttpService, address: str, source: str | None, gaps: GapsStatus | None = None) -> None:
    """From now on the collector says so."""
    collected = ChangeStatus(Present([SYMBOL], ["1m"], ["kline", "trade"], []))
    snapshot = structs.replace(
        snapshot_of(address), source=source, subscriptions=collected, gaps=gaps or GapsStatus()
    )  # fmt: skip
    write_snapshot(service.folder, snapshot)
    until(lambda: service.get(f"/trades/{SYMBOL}").headers["X-Filled-From"] == source or None)


async def test_history_of_another_collector_is_not_joined_with_the_store(
    service: HttpService, address: str, sink: RedisSink, reader: Reader, dsn: str
) -> None:
    """REDIS_URL is that of one collector, DATA_COLLECTOR_API that of another, and both hold the symbol."""
    await put_trades(dsn, 1, 20)
    await put_minutes(dsn, sink, 0, 2, reason=None)
    await sink.write(stores.trades(30, 31))
    collects_from(service, address, ELSEWHERE)

    sentence = (
        rf"The store at .* \(REDIS_URL\) is filled from {SOURCE}, and the collector at {service.url} "
        rf"\(DATA_COLLECTOR_API\) collects from {ELSEWHERE}: name both of one collector"
    )
    with Client(address, api=service.url, database="") as client:
        with pytest.raises(WrongStore, match=sentence):
            client.live(TRADES, start=NOON_MS)
        with pytest.raises(WrongStore, match=sentence):
            next(iter(client.replay(TRADES, start=NOON_MS)))
    with Client(address, api=service.url, database="") as client, pytest.raises(WrongStore, match=sentence):
        # Why one is missing is told by the store.
        client.klines(SYMBOL, "1m", start=at(0)).read()
    async with AsyncClient(address, api=service.url, database="") as asking:
        with pytest.raises(WrongStore, match=sentence):
            await asking.live(TRADES, start=NOON_MS)


async def test_history_of_another_exchange_is_none(service: HttpService, address: str, dsn: str) -> None:
    """Whole pages, pieces and frames of the HTTP side's, which knows the symbol."""
    await put_trades(dsn, 1, 20)
    collects_from(service, address, SOURCE)

    with Client(address, api=service.url, database="", exchange="kraken") as kraken:
        sentence = f"The collector at {service.url} .* collects binance, and the client was asked for kraken: give it"
        for ask in (kraken.trades(SYMBOL).read, kraken.klines(SYMBOL, "1m", start=at(0)).to_numpy, kraken.symbols):
            with pytest.raises(WrongStore, match=sentence):
                ask()
    with telling(service, address, structs.replace(snapshot_of(address), source=SOURCE, exchange="kraken")):
        until(lambda: service.get(f"/trades/{SYMBOL}").headers["X-Exchange"] == "kraken" or None)


async def test_exchange_may_be_named_before_the_symbol(
    service: HttpService, address: str, store_address: StoreAddress, dsn: str
) -> None:
    """A store, a database and an HTTP side in which Binance has something of its own."""
    symbol, name = "BTC/USD", "Kraken:btc/usd"
    async with writer_of(dsn, "kraken") as writer:
        await writer.put_trades([trade(number, symbol=symbol, price="2.5") for number in range(1, 4)], source="rest")
        await writer.put_klines([kline(minute, symbol=symbol) for minute in range(3)], source="built")
    await put_trades(dsn, 1, 20)
    async with opened(redis_sink(store_address, prefix="kraken:")) as sink:
        await sink.write(Batch(trades=[stores.run_of([trade(number, symbol=symbol) for number in range(4, 7)])]))
        await sink.write(Batch(newest=[NewestUpdate(sparse_ticker(symbol=symbol))]))
    state = structs.replace(snapshot_of(address), source=SOURCE, exchange="kraken", key_prefix="kraken:")

    with telling(service, address, structs.replace(state, symbols=[symbol])):
        for places_ in ({"api": service.url, "database": ""}, {"api": "", "database": dsn}):
            with Client(address, **places_) as client:
                history = client.trades(name, end=NOON_MS + 200)
                assert told(client.klines(name, "1m", start=at(0))) == [("1m", minute) for minute in range(3)]
                assert set(range(1, 4)) <= set(told(history))
                assert {item.symbol for item in history.read()} == {symbol}
                assert (client.latest(name).symbol, client.latest(name).open_price) == (symbol, None)
                with client.live(f"{name}:trades", start="earliest") as live:
                    assert told(itertools.islice(live, 3)) == [4, 5, 6]
                    assert '"kraken:trades:BTC/USD"' in live.position
                with pytest.raises(WrongQuestion, match="of one exchange, and not of binance and kraken"):
                    client.live(f"{name}:trades", TRADES)
        async with AsyncClient(address, api=service.url, database="") as asking:
            assert (await asking.latest(name)).symbol == symbol
            batch = await (await asking.live(f"{name}:trades", start="earliest")).poll(0)
            assert told((batch or pytest.fail("no end")).items) == [4, 5, 6]


async def test_history_without_the_store_is_asked_of_any_collector(
    service: HttpService, address: str, dsn: str
) -> None:
    """A whole stretch is all of the HTTP side: where no store is, or an empty one, nothing is to be compared."""
    await put_trades(dsn, 1, 20)
    collects_from(service, address, ELSEWHERE)

    for store in (address, f"redis://127.0.0.1:{free_port()}"):
        with Client(store, api=service.url, database="") as client:
            assert told(client.trades(SYMBOL, start=NOON_MS)) == list(range(1, 21))


@pytest.mark.parametrize("is_named", [True, False])
async def test_store_of_another_collector_is_told_whatever_is_asked(
    service: HttpService, address: str, sink: RedisSink, dsn: str, monkeypatch: pytest.MonkeyPatch, *, is_named: bool
) -> None:
    """Nobody has named anything, an old store is at the usual port, and the HTTP side of a demo at its own."""
    await put_trades(dsn, 1, 20)
    await sink.write(stores.trades(30, 31))
    collects_from(service, address, ELSEWHERE)
    for variable in (places.STORE_VARIABLE, places.API_VARIABLE, places.DATABASE_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(places, "DEFAULT_STORE", address)
    monkeypatch.setattr(places, "DEFAULT_API", service.url)

    sentence = rf"The store at .* filled from {SOURCE}, and the collector at {service.url} .*{ELSEWHERE}: .*`export RED"
    with Client(address, api=service.url) if is_named else Client() as client:
        for ask in (
            client.symbols,
            client.symbols,
            lambda: client.latest(SYMBOL),
            lambda: client.live(TRADES),
            lambda: client.live(TRADES, start="earliest"),
            lambda: client.trades(SYMBOL, start=NOON_MS).read(),
        ):
            with pytest.raises(WrongStore, match=sentence):
                ask()
    async with AsyncClient(address, api=service.url) if is_named else AsyncClient() as asking:
        with pytest.raises(WrongStore, match=sentence):
            await asking.latest(SYMBOL)


async def test_store_that_was_named_is_read_beside_any_collector_at_the_usual_port(
    service: HttpService, address: str, sink: RedisSink, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has asked for that HTTP side, as long as no history is wanted."""
    await sink.write(stores.trades(30, 31))
    reader.client.hset(f"latest:{SYMBOL}", "price", "1.5")
    collects_from(service, address, ELSEWHERE)
    monkeypatch.delenv(places.API_VARIABLE, raising=False)
    monkeypatch.setattr(places, "DEFAULT_API", service.url)

    with Client(address, database="") as client:
        assert client.symbols() == [SYMBOL]
        assert client.latest(SYMBOL).price is not None
        client.live(TRADES).close()
        with pytest.raises(WrongStore):
            client.trades(SYMBOL, start=NOON_MS).read()


async def test_collector_of_another_market_behind_an_emptied_store_is_told(
    service: HttpService, address: str, sink: RedisSink, reader: Reader, dsn: str
) -> None:
    """The demo was started anew, and its HTTP side is there before the first record."""
    await put_trades(dsn, 1, 20)
    await sink.write(stores.trades(30, 31))
    collects_from(service, address, SOURCE)
    with Client(address, api=service.url, database="") as client:
        with client.live(TRADES) as live:
            position = live.position
        reader.client.flushall()
        collects_from(service, address, ELSEWHERE)

        with pytest.raises(
            WrongStore, match=f"of {SOURCE}, and the collector at .* collects from {ELSEWHERE}: .*Begin anew"
        ):
            next(iter(client.replay(TRADES, start=NOON_MS, position=position)))


@pytest.mark.parametrize("source", [SOURCE, None])
async def test_history_of_the_same_collector_is_joined(
    service: HttpService, address: str, sink: RedisSink, dsn: str, source: str | None
) -> None:
    """So is that of an older one, which does not tell what it collects from."""
    await put_trades(dsn, 1, 20)
    await sink.write(stores.trades(21, 22))
    collects_from(service, address, source)

    with Client(address, api=service.url, database="") as client, client.live(TRADES, start=NOON_MS) as live:
        found = next(live.batches()).items
        assert [item.trade_id for item in found if isinstance(item, Trade)][:20] == list(range(1, 21))


async def test_price_that_nobody_collects_is_told(service: HttpService, address: str, sink: RedisSink) -> None:
    await sink.write(stores.trades(21, 22))
    collects_from(service, address, SOURCE)

    sentence = r"no price of BTCUSDT: .* is ticker missing in the collector's CHANNELS"
    with Client(address, api=service.url, database="") as client, pytest.raises(UnknownSeries, match=sentence):
        client.latest(SYMBOL)


async def test_reason_that_the_store_has_no_more_is_asked_of_the_http_side(
    service: HttpService, address: str, sink: RedisSink, reader: Reader
) -> None:
    """The store was emptied, and the collector remembers its gaps; what is of several reasons stays unknown."""
    await sink.write(stores.trades(1, 3))
    await sink.write(stores.trades(7, 8, after=3, reason="lost"))
    await sink.write(stores.trades(11, 11, after=8, reason="absent"))
    await sink.write(stores.klines(kline(0), kline(3), gaps=[stores.minutes(1, 2, "absent")]))
    reader.client.delete(f"gaps:{SYMBOL}")
    ledger = Ledger(lambda: NOON_MS / 1000)
    of_trades, of_klines = Key("trade", SYMBOL), Key("kline", SYMBOL, "1m")
    for key, first, last in ((of_trades, 4, 6), (of_trades, 9, 10), (of_klines, NOON_MS + 60_000, NOON_MS + 120_000)):
        ledger.opened(key, first, last)
    ledger.given_up(of_trades, 4, 6, "refused", rules=("price_cap",))
    ledger.given_up(of_trades, 9, 9, "lost")
    ledger.given_up(of_trades, 10, 10, "absent")
    ledger.given_up(of_klines, NOON_MS + 60_000, NOON_MS + 120_000, "absent")
    collects_from(service, address, SOURCE, ledger.status())
    until(lambda: len(json.loads(service.get("/gaps").body)["gaps"]) == 3)

    with Client(address, api=service.url, database="") as client:
        live = client.live(TRADES, MINUTES, start="earliest")
        found = list(itertools.islice(live, 11))

    assert [each for each in told(found) if not isinstance(each, int)] == [
        (4, 6, "refused"), (9, 10, "unknown"), ("1m", 0), (at(1), at(2), "absent"), ("1m", 3),
    ]  # fmt: skip
    assert [each.rules for each in found if isinstance(each, Gap)] == [("price_cap",), (), ()]


async def test_range_that_lacks_something_takes_no_place_of_the_http_side(
    service: HttpService, address: str, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has four for everybody."""
    await put_trades(dsn, 1, 20)
    monkeypatch.setattr(http, "PIECE_BYTES", 100)
    query = {"from": "2024-01-01", "format": "csv"}
    request = ApiRequest(f"/trades/{SYMBOL}", query, TRADE_NAMES, in_pieces=True)
    api = http.Api(service.url)

    with telling(service, address, snapshot_of(None)), pytest.raises(ApiAway, match="cannot answer in full now"):
        api.get(request)
    assert not api._ranges
    assert api.get(request).body.startswith(b"BTCUSDT,")
    api.close()


async def test_history_at_the_start_is_not_waited_for(address: str, sink: RedisSink, reader: Reader) -> None:
    """The HTTP side is away, and the stream was trimmed: told after seconds, not after the minute of a live stream."""
    await sink.write(stores.trades(1, 9))
    reader.client.xtrim(f"trades:{SYMBOL}", maxlen=1, approximate=False)
    api = f"http://127.0.0.1:{free_port()}"

    with Client(address, api=api, database="") as client, pytest.raises(ApiAway):
        next(iter(client.live(TRADES, start=NOON_MS)))
    async with AsyncClient(address, api=api, database="") as asking:
        with pytest.raises(ApiAway):
            await anext(aiter(await asking.live(TRADES, start=NOON_MS)))
