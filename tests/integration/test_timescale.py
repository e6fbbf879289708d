"""With TimescaleDB candles lie in a hypertable: old months go at once, and a database that has partitions keeps them.

That records are written and read alike is in `test_postgres_writing`, which runs on a hypertable too.
"""

from __future__ import annotations

import time
from typing import Final

import asyncpg
import pytest
from msgspec import structs

from data_collector.cli.doctor.check_database import check_database
from data_collector.model.calendar import DAY_MS
from data_collector.settings import load_settings
from data_collector.sinks.postgres.following import FollowedDatabase
from data_collector.sinks.postgres.migrate import TABLES, migrate, migrations
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.writing import PostgresWriter
from tests.integration.postgres_server import execute, rows
from tests.integration.test_postgres_migrations import make_schema_of
from tests.market import MINUTE_MS, kline, ticker

pytestmark = pytest.mark.slow

INSTALL: Final = "create extension timescaledb"
HYPERTABLES = (
    "select hypertable_schema::text, hypertable_name::text from timescaledb_information.hypertables order by 2"
)
OLD_CHUNKS = "select count(*) from timescaledb_information.chunks where range_end < now() - interval '10 days'"
STORED = "select exchange, (extract(epoch from now() - timestamp) / 86400)::int from market_data_ohlcv order by 1, 2"
NOW_MS = int(time.time() * 1000) // MINUTE_MS * MINUTE_MS


async def filled(dsn: str, *, exchange: str = "binance", ages_days: tuple[int, ...]) -> FollowedDatabase:
    """A candle of each age."""
    database = await FollowedDatabase.open(dsn, exchange)
    pool = await open_pool(dsn, size=1)
    times = [NOW_MS - days * DAY_MS for days in ages_days]
    klines = [structs.replace(kline(), open_ms=open_ms, close_ms=open_ms + MINUTE_MS - 1) for open_ms in times]
    await PostgresWriter(pool, exchange).put_klines(klines, source="rest")
    await pool.close()
    return database


async def deleted(database: FollowedDatabase, *, days: int) -> int:
    """How many old candles went by the row."""
    return sum([await database.delete_oldest(each) for each in await database.old_series("market_data_ohlcv", days)])


async def said(dsn: str) -> list[str]:
    """By `doctor` about TimescaleDB."""
    found = await check_database(load_settings({"DATABASE_URL": dsn}, None))
    assert {each.state for each in found} == {"ok"}
    return [each.seen for each in found if each.check == "database timescaledb"]


async def test_candles_become_a_hypertable_in_a_schema_of_their_own_too(timescale: str) -> None:
    execute(timescale, INSTALL, "create schema apart")
    dsn = f"{timescale}?search_path=apart"
    before = await said(dsn)

    database = await FollowedDatabase.open(dsn, "binance")
    layout = await database.layout()
    database.close()

    assert "will lie in a hypertable" in before[0]
    assert rows(timescale, HYPERTABLES) == [("apart", "market_data_ohlcv"), ("apart", "market_data_tickers")]
    assert layout.startswith("hypertable of TimescaleDB 2")
    assert ": candles lie in a hypertable" in (await said(dsn))[0]


async def test_an_extension_that_is_only_available_is_told_and_left_alone(timescale: str) -> None:
    before = await said(timescale)

    database = await FollowedDatabase.open(timescale, "binance")
    layout = await database.layout()
    database.close()

    assert "`create extension timescaledb` before the first start" in before[0]
    assert rows(timescale, "select count(*) from pg_extension where extname = 'timescaledb'") == [(0,)]
    assert layout == "partitions by year, TimescaleDB is there but not installed"


async def test_partitions_stay_partitions_when_the_extension_comes_later(timescale: str) -> None:
    (await filled(timescale, ages_days=(0, 400))).close()
    execute(timescale, INSTALL)

    database = await filled(timescale, ages_days=(0, 1, 400))
    dropped = await database.drop_chunks("market_data_ohlcv", 10)
    layout = await database.layout()
    database.close()

    assert (dropped, rows(timescale, HYPERTABLES)) == (0, [])
    assert rows(timescale, STORED) == [("binance", 0), ("binance", 1), ("binance", 400)]
    assert layout.startswith("partitions by year, made before TimescaleDB")
    assert "not used" in (await said(timescale))[0]


async def test_a_hypertable_with_rows_is_brought_up_to_date(timescale: str) -> None:
    execute(timescale, INSTALL)
    make_schema_of(timescale, 3)
    candle = (
        "insert into market_data_ohlcv (symbol, timestamp, open, high, low, close, volume, interval, source) values "
        "('BTCUSDT', now() - interval '{} days', 1, 1, 1, 1, 1, '1m', 'ws')"
    )
    execute(timescale, candle.format(400), candle.format(0))

    (await filled(timescale, ages_days=(1,))).close()

    stored = "select source, warnings from market_data_ohlcv order by timestamp"
    assert rows(timescale, stored) == [("ws", None), ("rest", None), ("ws", None)]


async def test_partitions_change_over_by_a_copy_into_a_schema_of_its_own(timescale: str) -> None:
    (await filled(timescale, ages_days=(0, 400))).close()
    execute(timescale, INSTALL, "create schema apart")
    (await FollowedDatabase.open(f"{timescale}?search_path=apart", "binance")).close()

    for table in TABLES:
        execute(timescale, f"insert into apart.{table} select * from public.{table} on conflict do nothing")

    everything = "select * from {}.market_data_ohlcv order by timestamp"
    assert rows(timescale, everything.format("apart")) == rows(timescale, everything.format("public"))
    assert rows(timescale, "select count(*) from timescaledb_information.chunks") == [(2,)]


@pytest.mark.parametrize("version", range(1, migrations()[-1].version))
async def test_an_earlier_schema_with_rows_keeps_them_and_its_hypertable(timescale: str, version: int) -> None:
    execute(
        timescale, INSTALL,
        "create table market_data_migrations (version integer primary key, name text not null, "
        "applied_at timestamptz not null default now())",
    )  # fmt: skip
    for step in migrations()[:version]:
        record = f"insert into market_data_migrations (version, name) values ({step.version}, '{step.name}')"
        execute(timescale, step.sql, record)
    execute(
        timescale,
        "insert into market_data_ohlcv (symbol, timestamp, open, high, low, close, volume, interval) "
        "values ('BTCUSDT', '2024-01-01Z', 1, 2, 0.5, 1.50, 123456789012.12345678, '1m')",
    )

    pool = await open_pool(timescale, size=1)
    async with pool.acquire() as connection:
        reached = await migrate(connection)
    await pool.close()

    assert reached == migrations()[-1].version
    assert rows(timescale, "select close::text, volume::text from market_data_ohlcv") == [
        ("1.50", "123456789012.12345678")
    ]
    assert rows(timescale, HYPERTABLES) == [("public", "market_data_ohlcv"), ("public", "market_data_tickers")]


async def test_old_chunks_go_at_once_and_the_rest_by_the_row(timescale: str) -> None:
    execute(timescale, INSTALL)
    database = await filled(timescale, ages_days=(0, 5, 400, 500, 600))
    chunks_before = rows(timescale, OLD_CHUNKS)

    dropped = [await database.drop_chunks("market_data_ohlcv", 10) for _ in range(2)]
    left = rows(timescale, STORED)
    forgotten = await deleted(database, days=3)
    database.close()

    assert dropped == [3, 0]
    assert (chunks_before, rows(timescale, OLD_CHUNKS)) == ([(3,)], [(0,)])
    assert left == [("binance", 0), ("binance", 5)]
    assert (forgotten, rows(timescale, STORED)) == (1, [("binance", 0)])


async def test_samples_of_tickers_are_stored_once_and_go_by_the_chunk(timescale: str) -> None:
    execute(timescale, INSTALL)
    database = await FollowedDatabase.open(timescale, "binance")
    samples = [ticker(NOW_MS - days * DAY_MS) for days in (0, 20, 40)]

    added = [await database.put_tickers(samples) for _ in range(2)]
    dropped = [
        await database.drop_chunks("market_data_ohlcv", 10),
        await database.drop_chunks("market_data_tickers", 10),
    ]
    database.close()

    assert (added, dropped) == ([3, 0], [0, 2])
    assert rows(timescale, "select (extract(epoch from timestamp) * 1000)::bigint from market_data_tickers") == [
        (NOW_MS,)
    ]


async def test_a_chunk_that_somebody_reads_stays_until_the_next_look(timescale: str) -> None:
    execute(timescale, INSTALL)
    database = await filled(timescale, ages_days=(0, 400, 600))
    reader = await asyncpg.connect(timescale)

    async with reader.transaction():
        await reader.fetch(f"{STORED} limit 1")
        dropped = [await database.drop_chunks("market_data_ohlcv", 10)]
    dropped.append(await database.drop_chunks("market_data_ohlcv", 10))
    await reader.close()
    database.close()

    assert dropped == [0, 2]


async def test_chunks_that_hold_another_exchange_stay_and_lose_our_rows_alone(timescale: str) -> None:
    execute(timescale, INSTALL)
    (await filled(timescale, exchange="another", ages_days=(400,))).close()
    database = await filled(timescale, ages_days=(0, 400, 600))

    dropped = await database.drop_chunks("market_data_ohlcv", 10)
    forgotten = await deleted(database, days=10)
    database.close()

    assert (dropped, forgotten) == (1, 1)
    assert rows(timescale, STORED) == [("another", 400), ("binance", 0)]


async def test_user_who_does_not_own_the_table_deletes_rows_and_drops_nothing(timescale: str) -> None:
    execute(timescale, INSTALL)
    (await filled(timescale, ages_days=(0, 600))).close()
    name = timescale.rpartition("/")[2].partition("?")[0]
    execute(
        timescale, f"create role {name}_user login password 'x'",
        f"grant select, insert, update, delete on all tables in schema public to {name}_user",
    )  # fmt: skip
    scheme, _, rest = timescale.partition("://")
    database = await FollowedDatabase.open(f"{scheme}://{name}_user:x@{rest.rpartition('@')[2]}", "binance")

    dropped = await database.drop_chunks("market_data_ohlcv", 10)
    forgotten = await deleted(database, days=10)
    database.close()
    execute(timescale, f"drop owned by {name}_user", f"drop role {name}_user")

    assert (dropped, forgotten) == (0, 1)
    assert rows(timescale, STORED) == [("binance", 0)]
