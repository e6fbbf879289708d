"""Everything that works with PostgreSQL works behind a pooler that lends a connection for a transaction only."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data_collector.api.series.postgres import PostgresReading
from data_collector.cli.doctor.check_database import check_database
from data_collector.cli.history.audit import audited
from data_collector.cli.history.backfill import BackfillOptions
from data_collector.model.errors import Misconfigured
from data_collector.model.wire import open_time_text
from data_collector.settings import load_settings
from data_collector.sinks.postgres.copying import CopiedPage, CopyForm
from data_collector.sinks.postgres.following import FollowedDatabase
from data_collector.sinks.postgres.pool import open_pool
from tests.integration.past import START_MS, past
from tests.integration.pgbouncer_server import pgbouncer, pooler
from tests.integration.postgres_server import execute, rows
from tests.integration.scene import playing
from tests.integration.store_reader import Store
from tests.integration.test_history_writer import minutes, truth, writer_pid
from tests.integration.waiting import until_async

__all__ = ["pooler"]


async def test_writer_that_is_killed_goes_on_behind_pgbouncer(
    store: Store, folder: Path, database: str, pooler: str
) -> None:
    """SIGKILL leaves the pooler with server connections that another client used before."""
    async with playing(store, folder, database_url=pooler, postgres_trades="1") as scene:
        await scene.subscribed()
        for _ in range(2):
            await scene.trade(5_000)
            await scene.klines_closed()
            await until_async(lambda: minutes(database) == truth(scene) != [], "the candles")
            os.kill(writer_pid(), signal.SIGKILL)
            await until_async(lambda: scene.status.history.state == "down", "the end of the writer")
            await until_async(lambda: scene.status.history.state == "running", "a new writer")
        assert scene.status.condition == "healthy", scene.status.reasons


async def test_backfill_audit_doctor_and_pages_work_behind_pgbouncer(
    tmp_path: Path, database: str, pooler: str
) -> None:
    """The server speaks neither ISO nor UTC by itself, and a pooler's connection comes back with its own settings."""
    name = database.rpartition("/")[2]
    for setting in ("datestyle = 'German'", "timezone = 'Asia/Tokyo'"):
        execute(database, f"alter database {name} set {setting}")
    async with past(tmp_path, pooler) as world:
        settings = load_settings(world.variables, None)
        for _ in range(2):
            ended = await world.told(with_trades=True)
            wish = BackfillOptions("BTCUSDT", "1m", "2025-12-30", "now", with_trades=True)
            verdict = await audited(settings, wish, against_exchange=True, repair=True)
            found = await check_database(settings)
        pool = await open_pool(pooler, size=1, exchange="kraken")
        await pool.execute("insert into market_data_epochs (symbol, epoch) values ('BTC/USD', 1)")
        times = [await pool.fetchval("select '2026-01-31 00:00+00'::timestamptz") for _ in range(2)]
        await pool.close()
        reading, copied = PostgresReading(pooler, "binance"), list[CopiedPage]()
        async with reading.turn() as reader:
            klines = await reader.klines("BTCUSDT", "1m", START_MS - 600_000, START_MS, 100)
            for form in (CopyForm(), CopyForm(is_plain=True)):
                span = range(START_MS - 600_000, START_MS)
                copied.append(
                    await reader.copier(form).klines("BTCUSDT", "1m", span, 100, step_ms=60_000, solid_from=span.start)
                )
        reading.close()
        closes = {each.open_ms: each.close for each in world.simulator.closed_klines("BTCUSDT", "1m")}

    assert (ended.outcome, ended.added) == ("complete", 0)
    assert verdict.equal, verdict
    assert rows(database, "select exchange from market_data_epochs where symbol = 'BTC/USD'") == [("kraken",)]
    assert times == [datetime(2026, 1, 31, tzinfo=UTC)] * 2
    assert {each.state for each in found} == {"ok"}, found
    assert [kline.open_ms for kline in klines] == list(range(START_MS - 600_000, START_MS - 60_000, 60_000))
    assert [(page.first, page.last) for page in copied] == [(klines[0].open_ms, klines[-1].open_ms)] * 2
    assert copied[0].text.startswith(f"BTCUSDT,{open_time_text(klines[0].open_ms)},1m,{klines[0].open},".encode())
    traded = [kline for kline in klines if kline.trades]
    assert [kline.close for kline in traded] == [closes[kline.open_ms] for kline in traded] != []


async def test_what_cannot_work_behind_pgbouncer_is_refused_with_a_sentence(database: str, pooler: str) -> None:
    """Pooling by statement ends transactions; a schema in the URL is a start parameter, refused or even left out."""
    with pgbouncer(database, "statement") as by_statement, pytest.raises(Misconfigured, match="pool_mode"):
        await FollowedDatabase.open(by_statement, "binance")
    with pgbouncer(database, more="ignore_startup_parameters = search_path") as ignoring:
        for url in (pooler, ignoring):
            (found,) = await check_database(load_settings({"DATABASE_URL": f"{url}?search_path=elsewhere"}, None))

            assert found.state == "fail"
            assert "ALTER ROLE" in found.seen
