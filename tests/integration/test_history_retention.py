"""What is older than the retention goes, a little at a time, and nothing else does; failures are told and passed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.cli.history.options import check_retention
from data_collector.facade import DataCollector
from data_collector.history.filling import TimeSpan
from data_collector.model.calendar import DAY_MS
from data_collector.model.errors import Misconfigured
from data_collector.model.keys import Key
from data_collector.model.wire import trade_json
from data_collector.service.history_writer import forgetting as history_forgetting
from data_collector.service.history_writer import writer as history_writer
from data_collector.service.history_writer.forgetting import PERIOD_S, RETRY_S, Forgetting
from data_collector.service.history_writer.messages import Orders
from data_collector.service.history_writer.reading import ReadBatch, StreamReader
from data_collector.service.history_writer.writer import HistoryWriter
from data_collector.settings import load_settings
from data_collector.sinks.postgres import forgetting
from data_collector.sinks.postgres.following import FollowedDatabase
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.quarantine import PostgresQuarantine, RefusedRow
from data_collector.sinks.postgres.writing import PostgresWriter
from tests.clock import Clock
from tests.integration.postgres_server import connected, execute, login, rows
from tests.integration.scene import playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async
from tests.market import kline, trade

MINUTE_MS = 60_000
NOW_MS = int(time.time() * 1000) // MINUTE_MS * MINUTE_MS
AGES_DAYS = (0, 5, 9, 11, 400)

KLINES, REVISIONS, TRADES = "market_data_ohlcv", "market_data_ohlcv_revisions", "market_data_trades"


async def filled(dsn: str, symbols: Sequence[str] = ("BTCUSDT",)) -> FollowedDatabase:
    """A candle and a trade of each age and symbol, and a revision of the candles of 9 and 11 days."""
    database = await FollowedDatabase.open(dsn, "binance")
    pool = await open_pool(dsn, size=1)
    writer = PostgresWriter(pool, "binance")
    for symbol in symbols:
        # Ids grow with time.
        for number, days in enumerate(sorted(AGES_DAYS, reverse=True), start=1):
            open_ms = NOW_MS - days * DAY_MS
            candle = structs.replace(kline(0), symbol=symbol, open_ms=open_ms, close_ms=open_ms + MINUTE_MS - 1)
            await writer.put_klines([candle], source="rest")
            if days in {9, 11}:
                await writer.put_klines([structs.replace(candle, close="1.5")], source="rest")
            await writer.put_trades([structs.replace(trade(number), symbol=symbol, time_ms=open_ms)], source="rest")
    await pool.close()
    return database


def orders_of(dsn: str, store_url: str = "", *, klines: int | None = 10, trades: int | None = None) -> Orders:
    return Orders(
        dsn, store_url, "", "binance", ("BTCUSDT",), klines=True, trades=True, keep_klines_days=klines,
        keep_trades_days=trades,
    )  # fmt: skip


def ages(dsn: str, table: str) -> list[object]:
    """Of the rows that are there, in days."""
    return [
        row[0]
        for row in rows(dsn, f"select (extract(epoch from now() - timestamp) / 86400)::int from {table} order by 1")
    ]


async def steps_of_a_round(at_work: Forgetting, database: FollowedDatabase, orders: Orders) -> int:
    """How many steps it takes until nothing is left to do."""
    for number in count(1):
        before, failed = at_work.completed_s, at_work.failures
        await at_work.step(database, orders)
        if at_work.completed_s != before or at_work.failures != failed:
            return number
    raise AssertionError


async def test_old_rows_of_every_series_go_in_short_steps_and_later_ones_when_it_is_time_again(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "ROWS_PER_STATEMENT", 1)
    monkeypatch.setattr(history_forgetting, "ROWS_PER_STATEMENT", 1)
    clock = Clock()
    at_work = Forgetting(clock)
    followed = await filled(database, ("BTCUSDT", "ETHUSDT"))
    orders = orders_of(database, trades=6)

    steps = await steps_of_a_round(at_work, followed, orders)
    first = (ages(database, KLINES), ages(database, REVISIONS), ages(database, TRADES))
    execute(database, f"update {KLINES} set timestamp = timestamp - interval '2 days' where symbol = 'BTCUSDT'")
    clock.now_s += PERIOD_S - 1
    await at_work.step(followed, orders)
    early = len(ages(database, KLINES))
    clock.now_s += 1
    await steps_of_a_round(at_work, followed, orders)
    followed.close()

    assert first == ([0, 0, 5, 5, 9, 9], [9, 9], [0, 0, 5, 5])
    # Three looks, and each series once more than it has old rows: 6 + 4 + 8 statements, and the end.
    assert steps == -(-(3 + 6 + 4 + 8 + 1) // history_forgetting.STATEMENTS_PER_STEP)
    assert early == 6
    assert ages(database, KLINES) == [0, 2, 5, 7, 9]
    assert at_work.deleted == {KLINES: 5, REVISIONS: 2, TRADES: 6}


async def test_rows_stay_for_the_slack_beyond_their_days_and_those_of_another_exchange_for_ever(database: str) -> None:
    followed = await filled(database)
    hours = f"interval '{10 * 24 + forgetting.SLACK_HOURS} hours'"
    young, old = f"now() - {hours} + interval '1 minute'", f"now() - {hours} - interval '1 minute'"
    execute(
        database, f"delete from {KLINES}",
        *(
            f"insert into {KLINES} (exchange, symbol, timestamp, open, high, low, close, volume, interval) "
            f"values ('{exchange}', 'BTCUSDT', {moment}, 1, 1, 1, 1, 1, '1m')"
            for exchange in ("binance", "kraken") for moment in (young, old)
        ),
    )  # fmt: skip

    await steps_of_a_round(Forgetting(Clock()), followed, orders_of(database))
    followed.close()

    left = rows(database, f"select exchange, timestamp < now() - {hours} from {KLINES} order by 1, 2")
    assert left == [("binance", False), ("kraken", False), ("kraken", True)]


async def test_what_was_refused_stays_as_the_evidence_of_what_is_missing(database: str) -> None:
    followed = await filled(database)
    pool = await open_pool(database, size=1)
    key = Key("kline", "BTCUSDT", "1m")
    await PostgresQuarantine(pool, "binance").put(
        [RefusedRow(key, NOW_MS - 400 * DAY_MS, kline(0), ("high_not_below_low",), "rest")]
    )
    await pool.close()

    await steps_of_a_round(Forgetting(Clock()), followed, orders_of(database))
    followed.close()

    for table in ("market_data_quarantine", "market_data_gaps"):
        assert rows(database, f"select rules from {table}") == [(["high_not_below_low"],)]
    assert ages(database, KLINES) == [0, 5, 9]


async def test_locked_table_is_told_and_tried_again_while_the_others_go_on(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "LOCK_TIMEOUT_S", 0.05)
    clock = Clock()
    at_work = Forgetting(clock)
    followed = await filled(database)
    orders = orders_of(database, trades=10)

    async with connected(database) as other, other.transaction():
        await other.execute(f"lock table {KLINES} in share mode")
        await at_work.step(followed, orders)
        await at_work.step(followed, orders)
        told, trades = at_work.reason, ages(database, TRADES)
    clock.now_s += RETRY_S
    await steps_of_a_round(at_work, followed, orders)
    followed.close()

    assert told is not None
    assert "lock timeout" in told
    assert trades == [0, 5, 9]
    assert (at_work.failures, at_work.reason) == (1, None)
    assert ages(database, KLINES) == [0, 5, 9]


async def test_statement_that_takes_too_long_is_told(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "LOCK_TIMEOUT_S", 60.0)
    monkeypatch.setattr(forgetting, "STATEMENT_TIMEOUT_S", 0.05)
    followed = await filled(database)
    at_work = Forgetting(Clock())

    async with connected(database) as other, other.transaction():
        await other.execute(f"lock table {KLINES}")
        await steps_of_a_round(at_work, followed, orders_of(database))
    await followed.put([], [], [], [], {"stream:BTCUSDT": "1-0"})
    followed.close()

    assert at_work.reason is not None
    assert "statement timeout" in at_work.reason


@asynccontextmanager
async def writing(writer: HistoryWriter) -> AsyncIterator[None]:
    """The writer runs for the length of the block."""
    task = asyncio.create_task(writer.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def put_trade(store: Store, trade_id: int) -> None:
    made = structs.replace(trade(trade_id), time_ms=NOW_MS)
    store.ask("XADD", "trades:BTCUSDT", f"{NOW_MS}-{trade_id}", "data", trade_json(made, '"BTCUSDT"'))


async def test_writer_that_may_not_delete_goes_on_writing_and_names_the_grant(store: Store, database: str) -> None:
    (await filled(database)).close()
    clock = Clock()
    with login(database, "select, insert, update on all tables in schema public") as (name, url):
        writer = HistoryWriter(orders_of(url, store.url), clock)
        async with writing(writer):
            await until_async(lambda: writer.progress.deletion_reason, "the reason")
            put_trade(store, 1_000)
            await until_async(lambda: writer.progress.rows["trade"] == 1, "the trade")
            told = writer.progress
            execute(database, f"grant delete on all tables in schema public to {name}")
            clock.now_s += RETRY_S
            await until_async(lambda: writer.progress.deletion_reason is None, "the end of the reason")

    assert told.down_reason is None
    assert told.deletion_reason is not None
    assert f"GRANT DELETE ON public.{KLINES}, public.{REVISIONS} TO {name}" in told.deletion_reason
    assert told.deletion_failures == 2
    assert ages(database, KLINES) == [0, 5, 9]


async def test_writer_that_may_only_read_tells_the_grant_and_goes_on_when_it_has_it(
    store: Store, database: str
) -> None:
    (await filled(database)).close()
    put_trade(store, 1_000)
    with login(database, "select on all tables in schema public") as (name, url):
        writer = HistoryWriter(orders_of(url, store.url, klines=None))
        async with writing(writer):
            await until_async(lambda: "GRANT" in (writer.progress.down_reason or ""), "the reason")
            told = writer.progress.down_reason
            execute(database, f"grant insert, update on all tables in schema public to {name}")
            await until_async(lambda: writer.progress.rows["trade"] == 1, "the trade")

    assert told is not None
    assert f"GRANT INSERT, UPDATE ON public.market_data_cursors, public.market_data_gaps, public.{KLINES}" in told


async def test_health_tells_that_old_rows_stay_while_new_ones_are_written_and_metrics_count_both(
    store: Store, folder: Path, database: str
) -> None:
    (await filled(database)).close()
    with login(database, "select, insert, update on all tables in schema public") as (name, url):
        execute(database, f"grant delete on {TRADES} to {name}")
        async with playing(
            store, folder, database_url=url, retention_days_klines="10", retention_days_trades="6"
        ) as scene:
            await scene.subscribed()
            await scene.klines_closed()
            await until_async(lambda: scene.status.history.rows.get("kline"), "the candles")
            await until_async(lambda: scene.status.history.deleted.get(TRADES) == 3, "the end of old trades")
            told, condition, reasons = scene.status.history, scene.status.condition, scene.status.reasons
            deleted = [scene.counted("history_rows_deleted_total", table=table) for table in (KLINES, TRADES)]
            failures = scene.counted("history_deletion_failures_total")

    grant = f"GRANT DELETE ON public.{KLINES}, public.{REVISIONS} TO {name}"
    assert (told.state, told.reason, condition) == ("running", None, "degraded")
    assert told.deletion_reason is not None
    assert grant in told.deletion_reason
    (reason,) = reasons
    assert reason.startswith("history: rows older than their retention stay, new ones are written: ")
    assert reason.endswith(grant)
    assert (deleted, failures) == ([0, 3], 2)


class StoringNothing(DataCollector):
    """Keeps klines to itself."""

    async def store_in_postgres(self, data: dict[str, object]) -> None:
        """Nowhere."""


async def test_old_rows_go_too_where_a_subclass_stores_klines_itself(store: Store, folder: Path, database: str) -> None:
    (await filled(database)).close()

    async with playing(store, folder, kind=StoringNothing, database_url=database, retention_days_klines="10") as scene:
        await until_async(lambda: scene.status.history.deleted.get(REVISIONS) == 1, "the end of old rows")

    assert ages(database, KLINES) == [0, 5, 9]


class NeverDone(StreamReader):
    """As if there were always more to read at once."""

    async def read(self) -> ReadBatch:
        batch = await super().read()
        batch.is_full = True
        return batch


async def test_writer_that_never_catches_up_deletes_too(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_writer, "StreamReader", NeverDone)
    (await filled(database)).close()
    writer = HistoryWriter(orders_of(database, store.url, trades=6), Clock())

    async with writing(writer):
        await until_async(lambda: writer.progress.deletion_completed_s, "the end of the round")

    assert writer.progress.deleted == {KLINES: 2, REVISIONS: 1, TRADES: 3}
    assert ages(database, TRADES) == [0, 5]


def test_backfill_of_rows_that_would_go_again_is_refused_with_the_way_out() -> None:
    settings = load_settings({"RETENTION_DAYS_TRADES": "10"}, None)
    span = TimeSpan(NOW_MS - 11 * DAY_MS, NOW_MS, NOW_MS)

    check_retention(settings, [Key("kline", "BTCUSDT", "1m")], span)
    with pytest.raises(Misconfigured, match=r"RETENTION_DAYS_TRADES=10 .* --from -10d"):
        check_retention(settings, [Key("kline", "BTCUSDT", "1m"), Key("trade", "BTCUSDT")], span)
