"""History, live streams and a replay of them are one series: the same records, gaps and lives, digit by digit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import get_context

import msgspec
import pytest
from msgspec import structs

from data_collector.client import (
    AsyncClient,
    Client,
    Epoch,
    Gap,
    GapFound,
    Item,
    Kline,
    Records,
    Revision,
    Table,
    Trade,
)
from data_collector.client.terms.series import series_of
from data_collector.model.gaps import Gap as DeclaredGap
from data_collector.model.gaps import GapReason
from data_collector.model.records import Kline as StoredKline
from data_collector.model.records import Origin, Sourced
from data_collector.model.records import Trade as StoredTrade
from data_collector.model.sink import Batch, KlineUpdate, TradeRun
from data_collector.model.wire import json_text, kline_json
from data_collector.simulator.market.market import Market
from data_collector.simulator.settings import SimulatorSettings
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import MINUTES, TRADES, told, trades_from
from tests.contract.stores import Reader
from tests.contract.test_client_history import at, client, put_minutes, put_trades, service
from tests.contract.test_http_series import writer_of
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline

__all__ = ["client", "service"]

MINUTES_OF_A_DAY = 1440


async def test_live_from_a_time_is_history_and_then_the_stream(
    client: Client, sink: RedisSink, reader: Reader, dsn: str
) -> None:
    await put_trades(dsn, 1, 20)
    await put_minutes(dsn, sink, *range(10))
    await sink.write(Batch(trades=[stores.run_of(trades_from(1, 20))]))
    reader.client.xtrim(f"trades:{SYMBOL}", maxlen=5, approximate=False)
    reader.client.xtrim(f"stream:{SYMBOL}", maxlen=2, approximate=False)

    with client.live(TRADES, MINUTES, start=NOON_MS + 3) as live:
        before = list(itertools.islice(live, 27))
        await put_trades(dsn, 21, 22)
        await sink.write(Batch(trades=[stores.run_of(trades_from(21, 22))]))
        await sink.write(stores.klines(kline(10)))
        after = list(itertools.islice(live, 3))

    assert [item.trade_id for item in before if isinstance(item, Trade)] == list(range(3, 21))
    assert [item for item in told(before) if isinstance(item, tuple)] == [("1m", minute) for minute in range(1, 10)]
    assert sorted(map(str, told(after))) == ["('1m', 10)", "21", "22"]


@pytest.mark.parametrize("start", [0, "1970-01-01"])
async def test_live_from_the_begin_of_time_has_all_of_history(
    client: Client, sink: RedisSink, reader: Reader, dsn: str, start: int | str
) -> None:
    await put_trades(dsn, 1, 20)
    await sink.write(Batch(trades=[stores.run_of(trades_from(1, 20))]))
    reader.client.xtrim(f"trades:{SYMBOL}", maxlen=5, approximate=False)

    with client.live(TRADES, start=start) as live:
        assert told(itertools.islice(live, 20)) == list(range(1, 21))


async def test_time_that_the_streams_hold_is_read_from_them(client: Client, sink: RedisSink, reader: Reader) -> None:
    await sink.write(Batch(trades=[stores.run_of(trades_from(1, 20))]))

    with client.live(TRADES, start=NOON_MS + 5) as live:
        assert told(itertools.islice(live, 16)) == list(range(5, 21))


async def test_history_that_was_begun_goes_on_from_its_position(
    client: Client, sink: RedisSink, reader: Reader, dsn: str
) -> None:
    """A reader is killed in the midst of history, before the stream."""
    await put_minutes(dsn, sink, *range(10))
    reader.client.xtrim(f"stream:{SYMBOL}", maxlen=2, approximate=False)
    with client.live(MINUTES, f"{SYMBOL}:5m", start=at(0)) as live:
        position = live.position

    with client.live(MINUTES, position=position) as live:
        assert told(itertools.islice(live, 10)) == [("1m", minute) for minute in range(10)]


@pytest.mark.parametrize(
    ("interval", "minutes", "start"),
    [("1w", 7 * MINUTES_OF_A_DAY, "now"), ("1w", 7 * MINUTES_OF_A_DAY, "earliest"), ("1h", 60, "earliest")],
)
async def test_candle_that_was_open_when_the_position_was_taken_is_not_lost(
    client: Client, sink: RedisSink, reader: Reader, dsn: str, interval: str, minutes: int, start: str
) -> None:
    """None of its interval had closed yet; it closes while nobody reads, and the stream is trimmed."""
    monday, series = -MINUTES_OF_A_DAY // 2, f"{SYMBOL}:{interval}"
    await sink.write(stores.klines(kline(monday, interval=interval, closed=False)))
    with client.live(series, start=start) as live:
        live.poll(0)
        live.poll(0)
        position = live.position
    closed = [kline(monday + number * minutes, interval=interval) for number in range(3)]
    for each in closed:
        await sink.write(stores.klines(each))
    async with writer_of(dsn) as writer:
        await writer.put_klines(closed, source="ws")
    reader.client.xtrim(f"stream:{SYMBOL}", maxlen=1, approximate=False)

    with client.live(series, position=position) as live:
        found = told(itertools.islice(live, 3))

    assert found == [(interval, monday + number * minutes) for number in range(3)]


async def test_replay_is_in_the_order_in_which_things_were_known(client: Client, sink: RedisSink, dsn: str) -> None:
    """A candle that opened before a trade comes after it: it was not closed then."""
    await put_minutes(dsn, sink, 0, 2)
    async with writer_of(dsn) as writer:
        made = trades_from(1, 3)
        times = (NOON_MS + 1000, NOON_MS + 59_999, NOON_MS + 60_000)
        await writer.put_trades(
            [structs.replace(trade, time_ms=ms) for trade, ms in zip(made, times, strict=True)], source="ws"
        )

    with client.replay(TRADES, MINUTES, start=at(0), end=at(3)) as replay:
        found = told(replay)
        assert replay.is_caught_up

    assert found[:2] == [1, 2]
    assert set(found[2:4]) == {("1m", 0), 3}
    assert found[4:] == [(at(1), at(1), "absent"), ("1m", 2)]


async def test_live_goes_on_behind_a_replay(client: Client, sink: RedisSink, dsn: str) -> None:
    await put_trades(dsn, 1, 20)
    await sink.write(Batch(trades=[stores.run_of(trades_from(1, 20))]))
    with client.replay(TRADES, start=NOON_MS, end=NOON_MS + 11, speed=100_000) as replay:
        assert told(replay) == list(range(1, 11))
        position = replay.position

    with client.live(TRADES, position=position) as live:
        assert told(itertools.islice(live, 10)) == list(range(11, 21))


CHUNK_MINUTES = 100
"""Written at once; what happens to the market or the store happens in front of one."""
FLUSHED_MINUTE, SKIPPED_IDS_MINUTE, NEW_LIFE_MINUTE = 110, 510, 910
MISSED_MINUTES: dict[int, GapReason] = {130: "lost", 131: "lost", 700: "absent", 1200: "refused"}
"""Of which a collector has neither the candle nor the trades."""
REVISED_MINUTES = (50, 901)
"""Of which other numbers come later."""


class Day:
    """A day of the simulator's market on a quiet symbol, as a collector hands it on."""

    def __init__(self, sink: RedisSink, reader: Reader, dsn: str) -> None:
        settings = SimulatorSettings(symbols=(SYMBOL,), trades_per_s=0.2, history_trades=0, early_every=50)
        self._market = Market(settings, NOON_MS)
        self._sink = sink
        self._reader = reader
        self._dsn = dsn
        self._epoch = 0
        self._last_id: int | None = None
        self._missing: list[DeclaredGap] = []
        self._revised: list[StoredKline] = []

    async def write(self, minutes: range) -> None:
        """Into both stores."""
        symbol = self._market.listed(SYMBOL)
        if minutes.start == SKIPPED_IDS_MINUTE:
            symbol.skip_ids(2)
        if minutes.start == NEW_LIFE_MINUTE:
            symbol.restart_ids(1)
            self._epoch += 1
        for minute in minutes:
            if minute < FLUSHED_MINUTE:
                # Why a candle is missing is not known any more once the store was emptied.
                symbol.burst(1)
            self._market.now_ms = NOON_MS + (minute + 1) * MINUTE_MS
            symbol = self._market.listed(SYMBOL)
        candles, trades = self._klines(minutes), list(self._runs(minutes))
        await self._sink.write(Batch(klines=[self._updates(minutes, candles)], trades=[run for run, _ in trades]))
        async with writer_of(self._dsn) as writer:
            await writer.put_klines([*candles.values()], source="ws")
            await writer.put_trades([each for _, made in trades for each in made], source="ws", epoch=self._epoch)

    def _klines(self, minutes: range) -> dict[int, StoredKline]:
        """By minute. One without a trade has none."""
        made = {minute_at(each.open_ms): each for each in self._market.closed_klines(SYMBOL, "1m")}
        self._revised += [revised(made[minute], made[minute + 1]) for minute in REVISED_MINUTES if minute in minutes]
        return {minute: made[minute] for minute in minutes if minute in made and minute not in MISSED_MINUTES}

    def _updates(self, minutes: range, candles: Mapping[int, StoredKline]) -> list[KlineUpdate]:
        updates: list[KlineUpdate] = []
        for minute in minutes:
            if minute in candles:
                updates += stores.klines(candles[minute], gaps=self._missing).klines[0]
                self._missing = []
            else:
                self._missing.append(stores.minutes(minute, minute, MISSED_MINUTES.get(minute, "absent")))
        return updates

    def _runs(self, minutes: range) -> Iterator[tuple[TradeRun, list[StoredTrade]]]:
        """Trades whose ids follow each other."""
        begins = minutes.start == NEW_LIFE_MINUTE
        from_id = 0 if self._last_id is None or begins else self._last_id + 1
        waiting: list[StoredTrade] = []
        for each in [*self._market.tape(SYMBOL, from_id), None]:
            if waiting and (each is None or each.trade_id > waiting[-1].trade_id + 1):
                yield self._run(waiting, begins=begins), waiting
                waiting, begins = [], False
            if each is not None and minute_at(each.time_ms) not in MISSED_MINUTES:
                waiting.append(each)

    def _run(self, made: Sequence[StoredTrade], *, begins: bool) -> TradeRun:
        after, self._last_id = self._last_id, made[-1].trade_id
        run = stores.run_of(made, after=None if begins else after, reason="lost")
        return structs.replace(run, epoch=self._epoch, after_id=after if begins and after is not None else -1)

    async def revise(self) -> None:
        """Other numbers come of some candles."""
        await self._sink.write(Batch(revisions=[Sourced(each, Origin("rest")) for each in self._revised]))
        for each in self._revised:
            record = kline_json(each, json_text(SYMBOL))
            self._reader.client.xadd(f"late:{SYMBOL}", {"data": record, "why": "revision", "src": "rest"})
        async with writer_of(self._dsn) as writer:
            await writer.put_klines(self._revised, source="rest")


def minute_at(time_ms: int) -> int:
    """After noon."""
    return (time_ms - NOON_MS) // MINUTE_MS


def revised(candle: StoredKline, other: StoredKline) -> StoredKline:
    """With the numbers of another one."""
    return structs.replace(other, open_ms=candle.open_ms, close_ms=candle.close_ms, event_ms=candle.event_ms + 1)


async def test_live_history_and_replay_are_equal_to_the_last_digit(
    client: Client, sink: RedisSink, reader: Reader, dsn: str
) -> None:
    """A day with gaps, revisions, a new life of the market, trimmed streams and a store that was emptied."""
    day = Day(sink, reader, dsn)
    live_items: list[Item] = []
    await day.write(range(10))
    with client.live(TRADES, MINUTES, start="earliest", revisions=True) as live:
        live_items += (live.poll(1) or pytest.fail("a live stream has no end")).items
        for first in range(10, MINUTES_OF_A_DAY, CHUNK_MINUTES):
            if first == FLUSHED_MINUTE:
                reader.client.flushall()
            await day.write(range(first, min(first + CHUNK_MINUTES, MINUTES_OF_A_DAY)))
            reader.client.xtrim(f"trades:{SYMBOL}", maxlen=50, approximate=False)
            while (batch := live.poll(0.01)) is not None and batch.items:
                live_items += batch.items
        await day.revise()
        while sum(isinstance(item, Revision) for item in live_items) < len(REVISED_MINUTES):
            live_items += (live.poll(1) or pytest.fail("a live stream has no end")).items
    newer = {item.record.timestamp: item.record for item in live_items if isinstance(item, Revision)}
    lived = [newer.get(item.timestamp, item) if isinstance(item, Kline) else item for item in live_items]
    with client.replay(TRADES, MINUTES, start=at(0)) as replay:
        replayed = list(replay)

    assert_same(MINUTES, of_klines(lived), client.klines(SYMBOL, "1m"), of_klines(replayed))
    assert_same(TRADES, of_trades(lived), client.trades(SYMBOL), of_trades(replayed))
    assert sum(item.count if isinstance(item, Gap) else 1 for item in of_klines(lived)) == MINUTES_OF_A_DAY
    assert {item.reason for item in lived if isinstance(item, Gap)} == {"lost", "absent", "refused"}
    assert [item for item in lived if isinstance(item, Epoch)] == [Epoch(SYMBOL, 1)]
    assert len(newer) == len(REVISED_MINUTES)


def assert_same(series: str, lived: Sequence[Item], records: Records, replayed: Sequence[Item]) -> None:
    """Digit by digit, and floats bit by bit."""
    encode, key = msgspec.json.Encoder().encode, series_of(series)
    assert encode(list(records)) == encode(replayed) == encode(lived)
    tables = [
        Table(key, [each for each in items if isinstance(each, Kline | Trade)], []) for items in (lived, replayed)
    ]
    assert {table.to_numpy().tobytes() for table in tables} == {records.to_numpy().tobytes()}


def of_klines(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if isinstance(item, Kline) or (isinstance(item, Gap) and item.channel == "kline")]


def of_trades(items: Sequence[Item]) -> list[Item]:
    items = [item for item in items if not isinstance(item, Revision)]
    return [
        item for item in items if isinstance(item, Trade | Epoch) or (isinstance(item, Gap) and item.channel == "trade")
    ]


async def test_asynchronous_client_reads_the_same(
    request: pytest.FixtureRequest, client: Client, address: str, sink: RedisSink, dsn: str
) -> None:
    await put_minutes(dsn, sink, 0, 1, 4, 5)
    await put_trades(dsn, 1, 5)
    await sink.write(Batch(trades=[stores.run_of(trades_from(1, 5))]))
    api = "" if "-database]" in request.node.name else request.getfixturevalue("service").url
    candles = client.klines(SYMBOL, "1m", start=at(0))

    async with AsyncClient(address, api=api, database="" if "-http]" in request.node.name else dsn) as other:
        records = other.klines(SYMBOL, "1m", start=at(0))
        assert [item async for item in records] == list(candles)
        assert [list(page) async for page in records.pages(2)] == [list(page) for page in candles.pages(2)]
        assert await records.gaps() == candles.gaps
        assert await records.spans() == candles.spans()
        assert (await records.to_numpy()).tobytes() == candles.to_numpy().tobytes()
        assert (await records.to_arrow()).to_pylist() == candles.to_arrow().to_pylist()
        assert len(await records.to_pandas(numbers="decimal")) == 4
        with pytest.raises(GapFound):
            await records.require_whole()
        async with await other.replay(TRADES, MINUTES, start=at(0)) as replay:
            with client.replay(TRADES, MINUTES, start=at(0)) as blocking:
                assert [item async for item in replay] == list(blocking)
            assert replay.is_caught_up


async def test_forked_processes_read_what_they_have_asked_for(client: Client, sink: RedisSink, dsn: str) -> None:
    """Of connections that two processes share, one reads the other's answers."""
    await put_minutes(dsn, sink, *range(5))
    await put_trades(dsn, 1, 40)
    assert len(list(client.klines(SYMBOL, "1m"))) == 5

    with get_context("fork").Pool(3, initializer=FORKED.append, initargs=[client]) as pool:
        found = pool.map(told_of_fork, [TRADES, MINUTES] * 6, chunksize=1)

    assert found == [list(range(1, 41)), [("1m", minute) for minute in range(5)]] * 6
    assert len(list(client.trades(SYMBOL))) == 40


FORKED: list[Client] = []


def told_of_fork(series: str) -> list[object]:
    client = FORKED[-1]
    return told(client.trades(SYMBOL) if series == TRADES else client.klines(SYMBOL, "1m"))
