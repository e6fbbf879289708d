"""History, live streams and a replay of them are one series: the same records, gaps and lives, digit by digit."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Sequence

import pytest
from msgspec import structs

from data_collector.client import Client, Epoch, Gap, Item, Kline, Revision, Table, Trade
from data_collector.client.terms.series import series_of
from data_collector.model.gaps import Gap as DeclaredGap
from data_collector.model.gaps import GapReason
from data_collector.model.records import Kline as StoredKline
from data_collector.model.records import Origin, Sourced
from data_collector.model.records import Trade as StoredTrade
from data_collector.model.sink import Batch, TradeRun
from data_collector.model.wire import json_text, kline_json
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import MINUTES, TRADES, told, trades_from
from tests.contract.stores import Reader
from tests.contract.test_client_history import at, client, put_minutes, put_trades, service
from tests.contract.test_http_series import writer_of
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline, trade

__all__ = ["client", "service"]


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


MINUTES_OF_A_DAY = 1440
NEW_LIFE_MINUTE = 900
FLUSHED_MINUTE = 110
GAP_MINUTES: dict[int, GapReason] = {130: "lost", 131: "lost", 700: "absent", 1200: "refused"}
REVISED_MINUTES = (50, 901)
"""Of which other numbers come later."""


class Day:
    """A day of one market, as it comes to be: minutes, and three trades in each of them."""

    def __init__(self, sink: RedisSink, reader: Reader, dsn: str) -> None:
        self._chance = random.Random(2)
        self._sink = sink
        self._reader = reader
        self._dsn = dsn
        self._next_id = 5_000
        self._epoch = 0
        self._missing: list[DeclaredGap] = []

    def kline(self, minute: int) -> StoredKline:
        """Digits that no binary float has."""
        prices = sorted(f"{self._chance.randint(1, 10**7)}.{self._chance.randint(0, 99):02d}" for _ in range(4))
        volume, quote = (f"{self._chance.randint(0, 999)}.{self._chance.randint(1, 10**5)}" for _ in range(2))
        return kline(
            minute, open=prices[1], high=prices[3], low=prices[0], close=prices[2], volume=volume, quote_volume=quote
        )

    async def write(self, minutes: range) -> None:
        """Into both stores."""
        batch, candles, lives = Batch(klines=[[]]), list[StoredKline](), defaultdict[int, list[StoredTrade]](list)
        for minute in minutes:
            if minute in GAP_MINUTES:
                self._missing.append(stores.minutes(minute, minute, GAP_MINUTES[minute]))
                continue
            candles.append(self.kline(minute))
            batch.klines[0] += stores.klines(candles[-1], gaps=self._missing).klines[0]
            self._missing = []
            batch.trades.append(self._run(minute, lives))
        await self._sink.write(batch)
        async with writer_of(self._dsn) as writer:
            await writer.put_klines(candles, source="ws")
            for epoch, trades in lives.items():
                await writer.put_trades(trades, source="ws", epoch=epoch)

    def _run(self, minute: int, lives: dict[int, list[StoredTrade]]) -> TradeRun:
        after, begins = self._next_id - 1, minute == NEW_LIFE_MINUTE
        first = 1 if begins else self._next_id + (2 if minute % 300 == 150 else 0)
        made = [
            trade(number, time_ms=NOON_MS + minute * MINUTE_MS + number % 3, quantity=self._quantity())
            for number in range(first, first + 3)
        ]
        self._epoch += begins
        self._next_id = first + 3
        lives[self._epoch] += made
        run = stores.run_of(made, after=None if begins else after, reason="lost")
        return structs.replace(run, epoch=self._epoch, after_id=after if begins else -1)

    def _quantity(self) -> str:
        return f"0.{self._chance.randint(1, 10**5)}"

    async def revise(self) -> None:
        """Other numbers come of some candles."""
        made = [self.kline(minute) for minute in REVISED_MINUTES]
        await self._sink.write(Batch(revisions=[Sourced(each, Origin("rest")) for each in made]))
        for each in made:
            record = kline_json(each, json_text(SYMBOL))
            self._reader.client.xadd(f"late:{SYMBOL}", {"data": record, "why": "revision", "src": "rest"})
        async with writer_of(self._dsn) as writer:
            await writer.put_klines(made, source="rest")


async def test_live_history_and_replay_are_equal_to_the_last_digit(
    client: Client, sink: RedisSink, reader: Reader, dsn: str
) -> None:
    """A day with gaps, revisions, a new life of the market, trimmed streams and a store that was emptied."""
    day = Day(sink, reader, dsn)
    live_items: list[Item] = []
    await day.write(range(10))
    with client.live(TRADES, MINUTES, start="earliest", revisions=True) as live:
        live_items += (live.poll(1) or pytest.fail("a live stream has no end")).items
        for first in range(10, MINUTES_OF_A_DAY, 100):
            if first == FLUSHED_MINUTE:
                reader.client.flushall()
            await day.write(range(first, min(first + 100, MINUTES_OF_A_DAY)))
            reader.client.xtrim(f"trades:{SYMBOL}", maxlen=50, approximate=False)
            while (batch := live.poll(0.01)) is not None and batch.items:
                live_items += batch.items
        await day.revise()
        while sum(isinstance(item, Revision) for item in live_items) < len(REVISED_MINUTES):
            live_items += (live.poll(1) or pytest.fail("a live stream has no end")).items
    revised = {item.record.timestamp: item.record for item in live_items if isinstance(item, Revision)}
    candles, trades = client.klines(SYMBOL, "1m"), client.trades(SYMBOL)
    with client.replay(TRADES, MINUTES, start=at(0)) as replay:
        replayed = list(replay)

    lived = [revised.get(item.timestamp, item) if isinstance(item, Kline) else item for item in live_items]
    assert of_klines(lived) == list(candles) == of_klines(replayed)
    assert of_trades(lived) == list(trades) == of_trades(replayed)
    assert len(of_klines(lived)) == MINUTES_OF_A_DAY
    assert [item for item in of_trades(lived) if isinstance(item, Epoch)] == [Epoch(SYMBOL, 1)]
    for records, items in ((candles, of_klines(lived)), (trades, of_trades(lived))):
        held = [item for item in items if isinstance(item, Kline | Trade)]
        table = Table(series_of(MINUTES if records is candles else TRADES), held, [])
        assert table.to_numpy().tobytes() == records.to_numpy().tobytes()


def of_klines(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if isinstance(item, Kline) or (isinstance(item, Gap) and item.channel == "kline")]


def of_trades(items: Sequence[Item]) -> list[Item]:
    items = [item for item in items if not isinstance(item, Revision)]
    return [
        item for item in items if isinstance(item, Trade | Epoch) or (isinstance(item, Gap) and item.channel == "trade")
    ]
