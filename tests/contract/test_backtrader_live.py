"""A live feed for Backtrader: each candle once and in order, and statuses that are true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import backtrader as bt
import pytest
import redis

from data_collector.client import Client, Gap, GapFound, StoreAway, live
from data_collector.model.sink import Batch
from data_collector.model.store_url import StoreAddress
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.backtrader_runs import NOON, UTCNOW, Acts, Seen, engine_of, feed_of, run_of
from tests.contract.stores import Reader
from tests.contract.test_client_history import at
from tests.integration.waiting import DEADLINE_S
from tests.market import SYMBOL, kline

pytestmark = UTCNOW


@pytest.fixture
def client(address: str, reader: Reader) -> Iterator[Client]:
    """Without history."""
    with Client(address, api="", database="") as client:
        yield client


class Collector:
    """Writes from within a run, which has a thread of its own."""

    def __init__(self, sink: RedisSink) -> None:
        self._sink = sink
        self._loop = asyncio.get_running_loop()

    def writing(self, *batches: Batch) -> Callable[[], None]:
        """What writes it."""
        return lambda: asyncio.run_coroutine_threadsafe(self._write(batches), self._loop).result(DEADLINE_S)

    def writing_one(self, *batches: Batch) -> Callable[[], None]:
        """What writes the next one each time."""
        left = iter(batches)

        def write() -> None:
            self.writing(next(left))()

        return write

    async def _write(self, batches: tuple[Batch, ...]) -> None:
        for batch in batches:
            await self._sink.write(batch)


@pytest.fixture
async def collector(sink: RedisSink) -> Collector:
    return Collector(sink)


def minutes(*numbers: int) -> Batch:
    return stores.klines(*(kline(number, volume="1") for number in numbers))


async def run_beside(cerebro: bt.Cerebro, *, until: int, acts: Acts) -> Seen:
    """In a thread, which ends with the test."""
    try:
        return await asyncio.to_thread(run_of, cerebro, until=until, acts=acts)
    finally:
        cerebro.runstop()


async def run_live(client: Client, until: int, acts: Acts, **changes: object) -> Seen:
    """Beside what writes to the store."""
    feed = feed_of(client, live=True, **changes)
    return await run_beside(engine_of(feed), until=until, acts=acts)


async def test_older_bars_are_delayed_and_live_begins_when_nothing_waits(
    client: Client, sink: RedisSink, collector: Collector
) -> None:
    await sink.write(minutes(0, 1, 2))
    acts: Acts = {"LIVE": collector.writing(minutes(3)), 3: collector.writing(minutes(4))}

    seen = await run_live(client, 5, acts, start="earliest")

    assert seen.told == ["DELAYED", 0, 1, 2, "LIVE", 3, 4]
    assert seen.missing == [0] * 5


async def test_without_a_start_only_what_comes_is_a_bar(client: Client, sink: RedisSink, collector: Collector) -> None:
    await sink.write(minutes(0, 1))

    seen = await run_live(client, 1, {"LIVE": collector.writing(minutes(2))})

    assert seen.told == ["LIVE", 2]


async def test_candles_that_are_open_or_come_again_are_no_bars(
    client: Client, sink: RedisSink, collector: Collector, reader: Reader
) -> None:
    await sink.write(stores.klines(kline(0, closed=False), kline(0)))
    again = reader.entries(f"stream:{SYMBOL}")[1][1]["data"]
    reader.put_back(again)
    later = stores.klines(kline(1, closed=False), kline(1), kline(2, closed=False))

    seen = await run_live(client, 3, {0: collector.writing(later), 1: collector.writing(minutes(2))}, start="earliest")

    assert [told for told in seen.told if isinstance(told, int)] == [0, 1, 2]


async def test_gap_breaks_what_is_live_until_the_next_bar(
    client: Client, sink: RedisSink, collector: Collector
) -> None:
    await sink.write(minutes(0))
    gap = stores.klines(kline(5), gaps=[stores.minutes(1, 2, "lost"), stores.minutes(3, 4, "refused", "rule")])
    acts: Acts = {"LIVE": collector.writing(gap), 5: collector.writing(minutes(6))}

    seen = await run_live(client, 3, acts, start="earliest")

    lost = Gap(SYMBOL, "kline", "1m", at(1), at(2), 2, "lost")
    refused = Gap(SYMBOL, "kline", "1m", at(3), at(4), 2, "refused", ("rule",))
    assert seen.told[:3] == ["DELAYED", 0, "LIVE"]
    assert seen.told[3:] == [("CONNBROKEN", lost), ("CONNBROKEN", refused), "LIVE", 5, 6]
    assert seen.missing == [0, 4, 0]


async def test_what_piled_up_is_delayed_again(client: Client, sink: RedisSink, collector: Collector) -> None:
    """The program slept while candles came."""
    await sink.write(minutes(0))
    acts: Acts = {"LIVE": collector.writing_one(minutes(1, 2, 3), minutes(4))}

    seen = await run_live(client, 4, acts)

    assert seen.told == ["LIVE", "DELAYED", 1, 2, 3, "LIVE", 4]


async def test_filled_gap_is_told_too(client: Client, sink: RedisSink, collector: Collector) -> None:
    await sink.write(minutes(0))
    later = stores.klines(kline(3), gaps=[stores.minutes(1, 2, "lost")])

    seen = await run_live(client, 4, {"LIVE": collector.writing(later)}, start="earliest", gaps="fill")

    gap = Gap(SYMBOL, "kline", "1m", at(1), at(2), 2, "lost")
    assert seen.told == ["DELAYED", 0, "LIVE", ("CONNBROKEN", gap), "DELAYED", 1, 2, 3]


async def test_gap_can_end_the_run(client: Client, sink: RedisSink) -> None:
    await sink.write(minutes(0))
    await sink.write(stores.klines(kline(2), gaps=[stores.minutes(1, 1, "lost")]))

    with pytest.raises(GapFound):
        await run_live(client, 2, {}, start="earliest", gaps="raise")


async def test_longer_bars_wait_for_their_last_candle(client: Client, sink: RedisSink, collector: Collector) -> None:
    """Backtrader looks at the clock while nothing comes, and these candles are of 2024."""
    await sink.write(minutes(-1))
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.resampledata(feed_of(client, live=True), timeframe=bt.TimeFrame.Minutes, compression=5)
    write = collector.writing_one(minutes(0, 1, 2, 3), minutes(4, 5, 6, 7), minutes(8, 9))

    seen = await run_beside(cerebro, until=2, acts={"LIVE": write})

    assert seen.volumes == [(5,), (5,)]


async def test_feeds_of_two_symbols_have_each_bar_once(client: Client, sink: RedisSink, collector: Collector) -> None:
    def both(*numbers: int) -> list[Batch]:
        return [
            stores.klines(*(kline(number, symbol=symbol, volume=f"{first + number}") for number in numbers))
            for symbol, first in ((SYMBOL, 0), ("ETHUSDT", 100))
        ]

    for batch in both(0, 1, 2):
        await sink.write(batch)
    feeds = [feed_of(client, live=True, symbol=symbol, start="earliest") for symbol in (SYMBOL, "ETHUSDT")]
    acts: Acts = {2: collector.writing(*both(3)), 3: collector.writing(*both(4)), 4: collector.writing(*both(5))}

    seen = await run_beside(engine_of(*feeds), until=6, acts=acts)

    ours, others = (list(dict.fromkeys(column)) for column in zip(*seen.volumes, strict=True))
    assert seen.volumes[:3] == [(0, 100), (1, 101), (2, 102)]
    assert ours == list(range(len(ours)))
    assert others == [100 + number for number in range(len(others))]
    assert max(len(ours), len(others)) > 3


async def test_nothing_is_waited_for_while_another_feed_has_bars(client: Client, sink: RedisSink) -> None:
    await sink.write(minutes(0))
    feed = feed_of(client, live=True, qcheck=600)
    feed.setenvironment(bt.Cerebro())
    feed._start()
    feed.do_qcheck(onoff=False, qlapse=0)

    assert feed.load() is None


async def test_store_that_is_away_is_told_and_waited_for(
    store_address: StoreAddress, sink: RedisSink, collector: Collector, tmp_path: Path
) -> None:
    await sink.write(minutes(0))
    way = tmp_path / "way"
    way.symlink_to(str(store_address.unix_path))
    with redis.Redis(unix_socket_path=str(way)) as own, Client(own, api="", database="") as client:

        def leave() -> None:
            way.unlink()
            own.connection_pool.disconnect()

        def return_() -> None:
            way.symlink_to(str(store_address.unix_path))
            collector.writing(minutes(1))()

        seen = await run_live(client, 1, {"LIVE": leave, "CONNBROKEN": return_})

    assert [seen.told[0], *seen.told[2:]] == ["LIVE", "LIVE", 1]
    broken = seen.told[1]
    assert isinstance(broken, tuple)
    assert broken[0] == "CONNBROKEN"
    assert isinstance(broken[1], StoreAway)


async def test_store_that_is_away_at_the_start_is_waited_for(
    store_address: StoreAddress, sink: RedisSink, collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program and the collector are started side by side."""
    monkeypatch.setattr(live, "START_PATIENCE_S", 0.0)
    await sink.write(minutes(0))
    way = tmp_path / "way"
    with redis.Redis(unix_socket_path=str(way)) as own, Client(own, api="", database="") as client:
        acts: Acts = {
            "CONNBROKEN": lambda: way.symlink_to(str(store_address.unix_path)), "LIVE": collector.writing(minutes(1)),
        }  # fmt: skip
        seen = await run_live(client, 1, acts)

    assert isinstance(seen.told[0], tuple)
    assert isinstance(seen.told[0][1], StoreAway)
    assert seen.told[1:] == ["LIVE", 1]


async def test_bars_may_end_at_a_time(client: Client, sink: RedisSink) -> None:
    await sink.write(minutes(0, 1, 2, 3))

    seen = await run_live(client, 0, {}, start="earliest", todate=NOON + timedelta(minutes=2))

    assert [told for told in seen.told if isinstance(told, int)] == [0, 1]
