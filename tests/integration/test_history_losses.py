"""What the store threw away before the history writer had read it: recorded, and told until it is there."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.model.wire import trade_json
from data_collector.service.history_writer import losses
from data_collector.service.history_writer import writer as history_writer
from data_collector.service.history_writer.messages import Lost, Orders
from data_collector.service.history_writer.writer import HistoryWriter
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.writing import PostgresWriter
from tests.integration.postgres_server import execute, rows
from tests.integration.scene import playing
from tests.integration.store_reader import Store
from tests.integration.test_history_writer import answers, history, writer_pid
from tests.integration.test_postgres_writing import TRADE
from tests.integration.waiting import until_async


async def test_trades_that_the_store_trimmed_while_nobody_took_them_are_recorded_and_brought(
    store: Store, folder: Path, database: str
) -> None:
    async with playing(store, folder, database_url=database, postgres_trades="1") as scene:
        await scene.subscribed()
        await scene.trade(5_000)
        newest = store.tail_id("BTCUSDT")
        highest = "select coalesce(max(trade_id), 0) from market_data_trades where symbol = 'BTCUSDT'"
        await history(scene, lambda found: found.state == "running", "the tables")
        await until_async(partial(answers, database, highest, [(newest,)]), "the first trades")

        execute(database, "alter table market_data_trades rename to elsewhere")
        await scene.trade(20_000)
        await history(scene, lambda found: found.state == "down", "the refusal")
        store.ask("XTRIM", "trades:BTCUSDT", "MAXLEN", 3)
        last = store.tail_id("BTCUSDT")
        execute(database, "alter table elsewhere rename to market_data_trades")

        await until_async(partial(answers, database, highest, [(last,)]), "the trades that are left")
        gaps = rows(database, "select first, last, reason from market_data_gaps where symbol = 'BTCUSDT'")
        assert gaps == [(newest + 1, last - 3, "skipped")]
        told = f"trades of BTCUSDT ({newest + 1} to {last - 3}) before they were written"
        await until_async(lambda: any(told in reason for reason in scene.status.reasons), "the reason")
        assert scene.status.condition == "degraded"
        assert "backfill --exchange binance --symbols BTCUSDT --intervals '' --trades --from" in str(scene.status)

        held = "select count(*)::integer from market_data_trades where symbol = 'BTCUSDT' and trade_id > $"
        lost = f"{held.rpartition(' and')[0]} and trade_id between {newest + 1} and {last - 3}"
        await until_async(partial(answers, database, lost, [(last - 3 - newest,)]), "the lost ones, by REST")
        await until_async(lambda: scene.status.condition == "healthy", "health")


async def test_trades_that_were_trimmed_while_postgresql_was_slow_are_recorded(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_writer, "HELD_UP_S", 1.5)
    add_trades(store, 1)
    writer = HistoryWriter(Orders(database, store.url, "", "binance", ("BTCUSDT",), klines=True, trades=True))
    running = asyncio.create_task(writer.run())
    await until_async(lambda: writer.progress.rows["trade"] == 1, "the first trade")
    execute(
        database,
        "create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(3); return new; end'",
        "create trigger slow before insert on market_data_trades for each row when (new.trade_id = 2)"
        " execute function slow()",
    )

    add_trades(store, 2)
    sleeping = "select count(*)::integer from pg_stat_activity where wait_event = 'PgSleep'"
    await until_async(partial(answers, database, sleeping, [(1,)]), "a slow insert")
    await until_async(lambda: "has not answered" in str(writer.progress.down_reason), "the reason")
    assert writer.progress.lag_seconds > 1
    add_trades(store, 3, 4, 5)
    store.ask("XTRIM", "trades:BTCUSDT", "MAXLEN", 1)

    gaps = "select first, last, reason from market_data_gaps"
    await until_async(partial(answers, database, gaps, [(3, 4, "skipped")]), "the gap")
    await until_async(lambda: writer.progress.rows["trade"] == 3, "the trade behind it")
    running.cancel()
    await asyncio.wait([running])


async def test_trades_that_were_trimmed_between_two_reads_are_recorded_and_told_until_they_are_there(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However short that was: the writer was held for a moment, and the stream is short."""
    monkeypatch.setattr(losses, "LOOK_S", 0.0)
    add_trades(store, 1)
    orders = Orders(database, store.url, "", "binance", ("BTCUSDT",), klines=True, trades=True)
    writer = HistoryWriter(orders)
    running = asyncio.create_task(writer.run())
    await until_async(lambda: writer.progress.rows["trade"] == 1, "the first trade")

    texts = [trade_json(structs.replace(TRADE, trade_id=number), '"BTCUSDT"') for number in range(2, 8)]
    add = "redis.call('XADD', KEYS[1], '1000-' .. (each + 1), 'data', ARGV[each])"
    trimmed = "redis.call('XTRIM', KEYS[1], 'MAXLEN', 2)"
    store.ask("EVAL", f"for each = 1, #ARGV do {add} end {trimmed}", 1, "trades:BTCUSDT", *texts)

    await until_async(lambda: writer.progress.rows["trade"] == 3, "the trades behind them")
    assert rows(database, "select first, last, count, reason from market_data_gaps") == [(2, 5, 4, "skipped")]
    lost = writer.progress.lost
    assert lost == [Lost("BTCUSDT", 2, 5, 4, 0, 1000, 1000)]
    assert HistoryWriter(structs.replace(orders, lost=tuple(lost))).progress.lost == lost
    pool = await open_pool(database, size=1)
    past = PostgresWriter(pool, "binance")
    await past.put_trades([structs.replace(TRADE, trade_id=number) for number in (2, 3)], source="rest")
    execute(database, "update market_data_gaps set first = 5, reason = 'absent', count = 1")
    assert writer.progress.lost
    await past.put_trades([structs.replace(TRADE, trade_id=4)], source="rest")
    pool.terminate()
    await until_async(lambda: not writer.progress.lost, "nothing is lost")
    running.cancel()
    await asyncio.wait([running])


async def test_trades_of_a_stream_that_is_too_short_for_a_writer_that_is_held_are_brought(
    store: Store, folder: Path, database: str
) -> None:
    async with playing(
        store,
        folder,
        symbols=["BTCUSDT"],
        database_url=database,
        postgres_trades="1",
        trades_maxlen="100",
        gx_audit="0",
    ) as scene:
        await scene.subscribed()
        await scene.trade(5_000)
        begins = int(str(store.records("trades:BTCUSDT")[0]["trade_id"]))
        await history(scene, lambda found: found.rows["trade"] > 0, "the first trades")

        os.kill(writer_pid(), signal.SIGSTOP)
        await scene.trade(120_000)
        await history(scene, lambda found: found.state == "down" and found.lag_seconds > 2, "its silence")
        os.kill(writer_pid(), signal.SIGCONT)

        count = store.tail_id("BTCUSDT") - begins + 1
        held = f"select count(*)::integer from market_data_trades where trade_id >= {begins}"
        assert len(store.entries("trades:BTCUSDT")) < count
        await until_async(lambda: "trades of BTCUSDT" in str(scene.status.reasons), "the loss")
        await until_async(partial(answers, database, held, [(count,)]), "all trades")
        await until_async(lambda: scene.status.condition == "healthy", "health")


def add_trades(store: Store, *ids: int) -> None:
    """Put them into the stream."""
    for number in ids:
        text = trade_json(structs.replace(TRADE, trade_id=number), '"BTCUSDT"')
        store.ask("XADD", "trades:BTCUSDT", f"1000-{number}", "data", text)
