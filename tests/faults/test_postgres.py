"""Row 63: PostgreSQL is away, refuses, or dies in mid-stream, and so does its writer; Redis goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.faults.test_processes import SYMBOLS, assert_alive_and_exact, progress, subscribed
from tests.integration.postgres_server import PostgresServer, execute, postgres_server, rows
from tests.integration.processes import CollectorProcess, Exchange, collecting
from tests.integration.store_reader import Store
from tests.integration.waiting import until

BURST = 3_000
TABLES_THERE = "select to_regclass('market_data_cursors') is not null"
TRADES = "select symbol, trade_id, price::text, quantity::text from market_data_trades order by 1, 2"
CANDLES = (
    "select symbol, interval, to_char(timestamp, 'YYYY-MM-DD\"T\"HH24:MI:SS+00:00'), close::text, volume::text"
    " from market_data_ohlcv order by 1, 2, 3"
)
DISK_FULL = """
create function refuse() returns trigger language plpgsql
as $$ begin raise exception 'No space left on device' using errcode = '53100'; end $$;
create trigger refuse before insert on market_data_trades execute function refuse()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One whose acknowledged rows survive a kill."""
    with postgres_server(fsync=True) as running:
        yield running


@pytest.fixture
def postgres(server: PostgresServer) -> PostgresServer:
    """An empty one, whose DSN is that of its first database."""
    execute(server.dsn, "drop schema public cascade", "create schema public")
    return server


def test_row_63_postgresql_that_is_stopped_or_killed_in_mid_stream_costs_nothing(
    market: Exchange, folder: Path, store: Store, postgres: PostgresServer
) -> None:
    with collecting(folder, market, redis_url=store.url, database_url=postgres.dsn, postgres_trades="1") as collector:
        subscribed(collector)
        written(postgres, collector)
        for how in (signal.SIGINT, signal.SIGKILL):
            market.act("burst", symbol="BTCUSDT", trades=BURST)
            postgres.end(how)
            progress(store, collector)
            told(collector, "does not answer")
            waits = "a count of what waits"
            until(lambda: (collector.status().history.lag_entries or 0) > 0, waits, output=collector.told)

            postgres.start()

            written(postgres, collector)
        assert_alive_and_exact(market, store, collector)
        assert_all_in_postgresql(store, postgres, collector)


def test_row_63_writer_that_is_killed_while_it_writes_doubles_and_loses_nothing(
    market: Exchange, folder: Path, store: Store, postgres: PostgresServer
) -> None:
    with collecting(folder, market, redis_url=store.url, database_url=postgres.dsn, postgres_trades="1") as collector:
        subscribed(collector)
        written(postgres, collector)
        for kills in range(1, 3):
            market.act("burst", symbol="BTCUSDT", trades=BURST)
            until(lambda: in_transaction(postgres), "a transaction", output=collector.told)
            os.kill(writer_of(collector), signal.SIGKILL)
            until(partial(was_restarted, collector, kills), "a restart", output=collector.told)
        assert_alive_and_exact(market, store, collector)
        assert_all_in_postgresql(store, postgres, collector)


def test_row_63_refusal_of_rows_is_told_and_waited_for(
    market: Exchange, folder: Path, store: Store, postgres: PostgresServer
) -> None:
    with collecting(folder, market, redis_url=store.url, database_url=postgres.dsn, postgres_trades="1") as collector:
        subscribed(collector)
        written(postgres, collector)
        execute(postgres.dsn, DISK_FULL)
        told(collector, "No space left on device")
        progress(store, collector)

        execute(postgres.dsn, "drop function refuse cascade")

        assert_alive_and_exact(market, store, collector)
        assert_all_in_postgresql(store, postgres, collector)


def told(collector: CollectorProcess, words: str) -> None:
    """Health says so, and it is degraded and no worse."""
    until(lambda: any(words in reason for reason in collector.status().reasons), words, output=collector.told)
    assert collector.status().condition == "degraded"


def written(postgres: PostgresServer, collector: CollectorProcess) -> None:
    """More trades are in PostgreSQL than now."""
    before = trade_count(postgres)
    until(lambda: trade_count(postgres) > before, "new rows", output=collector.told)


def trade_count(postgres: PostgresServer) -> int:
    """0 before there are tables."""
    if rows(postgres.dsn, TABLES_THERE) == [(False,)]:
        return 0
    count = rows(postgres.dsn, "select count(*) from market_data_trades")[0][0]
    assert isinstance(count, int)
    return count


def assert_all_in_postgresql(store: Store, postgres: PostgresServer, collector: CollectorProcess) -> None:
    """What the store holds, each record once, with its digits; the market must stand still."""
    trades = [record for symbol in SYMBOLS for record in store.records(f"trades:{symbol}")]
    klines = [record for symbol in SYMBOLS for record in store.records(f"stream:{symbol}") if record["is_closed"]]
    expected = sorted((r["symbol"], r["trade_id"], str(r["price"]), str(r["quantity"])) for r in trades)
    candles = sorted((r["symbol"], r["interval"], r["timestamp"], str(r["close"]), str(r["volume"])) for r in klines)
    until(lambda: rows(postgres.dsn, TRADES) == expected, "every trade in PostgreSQL once", output=collector.told)
    until(lambda: rows(postgres.dsn, CANDLES) == candles, "every candle in PostgreSQL once", output=collector.told)
    until(lambda: collector.status().condition == "healthy", "health", output=collector.told)


def was_restarted(collector: CollectorProcess, times: int) -> bool:
    """So many times since the start."""
    return collector.status().history.restarts == times


def in_transaction(postgres: PostgresServer) -> bool:
    """Whether the writer is at it right now."""
    query = "select 1 from pg_stat_activity where application_name = 'data-collector' and xact_start is not null"
    return bool(rows(postgres.dsn, query))


def writer_of(collector: CollectorProcess) -> int:
    """The collector's history writer."""
    pid = collector.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next(int(each) for each in children if b"history-writer" in Path(f"/proc/{each}/cmdline").read_bytes())
