"""History, live streams and a replay of them are one series: the same records, gaps and lives, digit by digit."""

from __future__ import annotations

import itertools

from msgspec import structs

from data_collector.client import Client, Trade
from data_collector.model.sink import Batch
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import MINUTES, TRADES, told, trades_from
from tests.contract.stores import Reader
from tests.contract.test_client_history import at, client, dsn, put_minutes, put_trades, service, writer_of
from tests.market import NOON_MS, SYMBOL, kline

__all__ = ["client", "dsn", "service"]


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
