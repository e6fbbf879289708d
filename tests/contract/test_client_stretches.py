"""Which records belong to a stretch of history: its ends, its limit, and trades whose times go back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import structs

from data_collector.client import Client, GapFound
from data_collector.client.reading import history
from data_collector.model.sink import Batch
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import MINUTES, TRADES, told, trades_from
from tests.contract.test_client_history import at, client, put_minutes, put_trades, service
from tests.contract.test_http_series import writer_of
from tests.market import NOON_MS, SYMBOL

__all__ = ["client", "service"]


async def test_what_is_missing_at_the_ends_of_the_time_asked_for_is_told(
    client: Client, sink: RedisSink, dsn: str
) -> None:
    await put_minutes(dsn, sink, 3, 4)

    whole = client.klines(SYMBOL, "1m", start=at(3), end=at(5))
    longer = client.klines(SYMBOL, "1m", start=at(1), end=at(8))

    assert told(whole.require_whole()) == [("1m", 3), ("1m", 4)]
    assert told(longer) == [(at(1), at(2), "unknown"), ("1m", 3), ("1m", 4), (at(5), at(7), "unknown")]
    assert told(client.klines(SYMBOL, "1m")) == [("1m", 3), ("1m", 4)]


async def test_end_beside_the_grid_has_the_candle_that_opens_before_it(
    client: Client, sink: RedisSink, dsn: str
) -> None:
    """It closes behind the end, and long ago: it is given, or told as missing."""
    await put_minutes(dsn, sink, 3, 4)
    half = timedelta(seconds=30)

    lacking = client.klines(SYMBOL, "1m", start=at(3), end=at(5) + half)

    assert told(lacking) == [("1m", 3), ("1m", 4), (at(5), at(5), "unknown")]
    with pytest.raises(GapFound):
        lacking.require_whole()
    with pytest.raises(GapFound):
        client.klines(SYMBOL, "1m", start=at(3), end=at(5) + half, gaps="raise").to_numpy()
    for each in (client.klines(SYMBOL, "1m", start=at(3), end=at(4) + half), client.klines(SYMBOL, "1m", limit=2)):
        assert told(each.require_whole()) == [("1m", 3), ("1m", 4)]
    assert told(client.klines(SYMBOL, "1m", end=at(4) + half, limit=2)) == [("1m", 3), ("1m", 4)]
    with client.replay(MINUTES, start=at(3), end=at(4) + half) as replay:
        assert told(replay) == [("1m", 3), ("1m", 4)]
    with client.replay(MINUTES, start=at(3), end=at(4) + half, position=replay.position) as replay:
        assert told(replay) == []


async def test_limit_is_of_the_first_ones_or_without_a_begin_of_the_newest(
    client: Client, sink: RedisSink, dsn: str
) -> None:
    await put_minutes(dsn, sink, *range(10))
    await put_trades(dsn, 1, 10)
    await sink.write(Batch(trades=[stores.run_of(trades_from(1, 10))]))

    assert told(client.klines(SYMBOL, "1m", start=at(2), limit=3)) == [("1m", 2), ("1m", 3), ("1m", 4)]
    assert told(client.klines(SYMBOL, "1m", end=at(7), limit=2)) == [("1m", 5), ("1m", 6)]
    assert told(client.klines(SYMBOL, "1m", limit=2)) == [("1m", 8), ("1m", 9)]
    assert told(client.trades(SYMBOL, start=NOON_MS + 3, limit=2)) == [3, 4]
    assert told(client.trades(SYMBOL, limit=2)) == [9, 10]
    assert told(client.trades(SYMBOL, after=7)) == [8, 9, 10]


async def test_newest_trades_reach_back_into_the_lives_before(client: Client, sink: RedisSink, dsn: str) -> None:
    """Of which the newest has few, or began behind the end that is asked for."""
    old = trades_from(101, 109)
    new = [structs.replace(each, time_ms=each.time_ms + 3_600_000) for each in trades_from(1, 3)]
    async with writer_of(dsn) as writer:
        await writer.put_trades(old, source="ws")
        await writer.put_trades(new, source="ws", epoch=1)
    await sink.write(Batch(trades=[stores.run_of(old)]))
    await sink.write(Batch(trades=[structs.replace(stores.run_of(new), epoch=1, after_id=109)]))

    assert told(client.trades(SYMBOL, limit=3)) == [1, 2, 3]
    assert told(client.trades(SYMBOL, limit=5)) == [108, 109, "epoch 1", 1, 2, 3]
    assert told(client.trades(SYMBOL, end=NOON_MS + 104, limit=2)) == [102, 103]
    assert told(client.trades(SYMBOL, end=NOON_MS + 3_600_000, limit=2)) == [108, 109]
    assert told(client.trades(SYMBOL, limit=10**10)) == [*range(101, 110), "epoch 1", 1, 2, 3]


async def test_limit_is_of_filled_candles_too_and_a_long_gap_comes_in_pieces(
    client: Client, sink: RedisSink, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_minutes(dsn, sink, 0, 50)
    monkeypatch.setattr(history, "FLAT_CANDLES", 10)

    filled = client.klines(SYMBOL, "1m", gaps="fill")

    assert told(filled) == [("1m", minute) for minute in range(51)]
    assert told(filled.gaps) == [(at(1), at(49), "absent")]
    assert max(len(items) for items, _ in filled._read()) == 10
    assert told(client.klines(SYMBOL, "1m", start=at(0), limit=12, gaps="fill")) == [("1m", each) for each in range(12)]
    assert told(client.klines(SYMBOL, "1m", start=at(-3), limit=2, gaps="fill")) == [
        (at(-3), at(-1), "unknown"), ("1m", 0), ("1m", 1),
    ]  # fmt: skip


async def test_newest_trades_are_those_of_history_whatever_the_stream_holds(
    client: Client, sink: RedisSink, dsn: str
) -> None:
    """It was emptied, or the symbol is collected no more."""
    await put_trades(dsn, 1, 10)

    assert told(client.trades(SYMBOL, limit=2)) == [9, 10]
    assert told(client.trades(SYMBOL, limit=20)) == list(range(1, 11))
    assert told(client.trades(SYMBOL, end=NOON_MS + 6, limit=2)) == [4, 5]
    assert told(client.trades(SYMBOL, after=7)) == [8, 9, 10]


async def test_what_is_missing_behind_the_last_record_that_is_wanted_is_no_gap(
    client: Client, sink: RedisSink, dsn: str
) -> None:
    await put_minutes(dsn, sink, 0, 1, 2, 5)

    wanted = client.klines(SYMBOL, "1m", start=at(0), limit=3, gaps="raise")

    assert told(wanted) == [("1m", 0), ("1m", 1), ("1m", 2)]
    assert wanted.require_whole().gaps == []


async def test_trades_of_a_time_are_told_by_their_ids(client: Client, sink: RedisSink, dsn: str) -> None:
    """Trade times go back now and then: what lies between two trades of the time belongs to it."""
    made = trades_from(1, 12)
    made[4] = structs.replace(made[4], time_ms=NOON_MS + 2)
    del made[7:9]
    async with writer_of(dsn) as writer:
        await writer.put_trades(made, source="ws")

    records = client.trades(SYMBOL, start=NOON_MS + 3, end=NOON_MS + 12)

    assert told(records) == [3, 4, 5, 6, 7, (8, 9, "unknown"), 10, 11]
    assert told(client.trades(SYMBOL, end=NOON_MS + 5)) == [1, 2, 3, 4, 5]


async def test_trade_whose_time_runs_ahead_is_the_first_of_a_time(client: Client, sink: RedisSink, dsn: str) -> None:
    """The place of a time is looked for by halving ids, and trades behind this one happened before it."""
    made = trades_from(1, 12)
    made[3] = structs.replace(made[3], time_ms=NOON_MS + 9)
    async with writer_of(dsn) as writer:
        await writer.put_trades(made, source="ws")

    records = client.trades(SYMBOL, start=NOON_MS + 8)

    assert told(records) == list(range(4, 13))
    assert records.to_numpy()["trade_id"].tolist() == list(range(4, 13))


async def test_stretches_that_touch_hold_each_trade_once(client: Client, sink: RedisSink, dsn: str) -> None:
    """Trade times go back a little, at the cut too: the first that has reached it begins what comes behind."""
    times = (0, 1, 2, 10, 9, 11, 10, 12, 9, 13)
    made = [structs.replace(each, time_ms=NOON_MS + ms) for each, ms in zip(trades_from(1, 10), times, strict=True)]
    del made[2]
    async with writer_of(dsn) as writer:
        await writer.put_trades(made, source="ws")
    await sink.write(Batch(trades=[stores.run_of(made[-1:])]))
    whole = told(client.trades(SYMBOL))

    for cut, begin in ((2, 4), (9, 4), (10, 4), (11, 6), (12, 8), (13, 10), (14, 11)):
        before, behind = client.trades(SYMBOL, end=NOON_MS + cut), client.trades(SYMBOL, start=NOON_MS + cut)
        ids = [each.trade_id for each in made]
        assert told(before) + told(behind) == whole
        assert told(behind) == [each for each in ids if each >= begin]
        assert before.to_numpy()["trade_id"].tolist() == [each for each in ids if each < begin]
        assert behind.to_numpy()["trade_id"].tolist() == [each for each in ids if each >= begin]
        assert told(client.replay(TRADES, start=0, end=NOON_MS + cut)) == told(before)
        assert told(client.replay(TRADES, start=NOON_MS + cut)) == told(behind)
