"""Tables of PostgreSQL come from nothing, from the version before, and never over somebody else's."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from data_collector.embedded.peer import free_port
from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.sinks.postgres import migrate as migrate_module
from data_collector.sinks.postgres.migrate import TABLES, migrate, migrations
from data_collector.sinks.postgres.pool import open_pool
from tests.integration.postgres_server import connected, execute, login, rows
from tests.integration.waiting import until_async

NEWEST = migrations()[-1].version


async def migrated(dsn: str) -> int:
    """The version after `migrate`."""
    pool = await open_pool(dsn, size=1)
    try:
        async with pool.acquire() as connection:
            return await migrate(connection)
    finally:
        await pool.close()


def make_schema_of(dsn: str, version: int) -> None:
    """The tables as the program of that version made them."""
    execute(
        dsn,
        "create table market_data_migrations (version integer primary key, name text not null, "
        "applied_at timestamptz not null default now())",
    )
    for step in migrations():
        if step.version > version:
            break
        record = f"insert into market_data_migrations (version, name) values ({step.version}, '{step.name}')"
        execute(dsn, step.sql, record)


async def test_an_empty_database_gets_all_tables_once(database: str) -> None:
    versions = [await migrated(database), await migrated(database)]

    assert versions == [NEWEST, NEWEST]
    assert rows(database, "select version from market_data_migrations order by 1") == [
        (step.version,) for step in migrations()
    ]  # fmt: skip
    for table in TABLES:
        assert rows(database, f"select count(*) from {table}") == [(0,)]


async def test_two_collectors_that_start_together_both_get_through(database: str) -> None:
    assert await asyncio.gather(*(migrated(database) for _ in range(3))) == [NEWEST] * 3


@pytest.mark.parametrize("version", [step.version for step in migrations()][:-1])
async def test_an_earlier_schema_with_rows_keeps_them(database: str, version: int) -> None:
    make_schema_of(database, version)
    execute(
        database,
        "insert into market_data_ohlcv (symbol, timestamp, open, high, low, close, volume, interval) "
        "values ('BTCUSDT', '2024-01-01Z', 1, 2, 0.5, 1.50, 123456789012.12345678, '1m')",
        "insert into market_data_trades (symbol, trade_id, timestamp, price, quantity, is_buyer_maker) "
        "values ('BTCUSDT', 7, '2024-01-01Z', 0.10, 3, true)",
    )

    assert await migrated(database) == NEWEST

    assert rows(database, "select close::text, volume::text, exchange from market_data_ohlcv") == [
        ("1.50", "123456789012.12345678", "binance")
    ]
    assert rows(database, "select trade_id, price::text from market_data_trades") == [(7, "0.10")]
    assert rows(database, "select count(*) from market_data_tickers") == [(0,)]
    # Where older rows are from stays as it was told, which may be not at all.
    for table in ("market_data_ohlcv", "market_data_trades"):
        assert rows(database, f"select source, warnings from {table}") == [(None, None)]


async def test_after_the_step_an_id_may_come_again_in_another_epoch(database: str) -> None:
    make_schema_of(database, 4)
    trade = "insert into market_data_trades (symbol, trade_id, timestamp, price, quantity{}) values ({})"
    execute(database, trade.format("", "'BTCUSDT', 7, '2024-01-01Z', 1, 1"))
    gap = "insert into market_data_gaps (symbol, channel, first, last, count, reason) values ({})"
    execute(database, gap.format("'BTCUSDT', 'trade', 1, 1, 1, 'lost'"))

    await migrated(database)

    execute(database, trade.format(", epoch", "'BTCUSDT', 7, '2024-01-01Z', 2, 1, 1"))
    assert rows(database, "select epoch, price::text from market_data_trades order by 1") == [(0, "1"), (1, "2")]
    assert rows(database, "select epoch, first from market_data_gaps") == [(0, 1)]


async def test_after_the_step_an_exchange_may_leave_out_who_was_the_maker(database: str) -> None:
    make_schema_of(database, 3)
    trade = (
        "insert into market_data_trades (symbol, trade_id, timestamp, price, quantity) values "
        "('BTCUSDT', 7, '2024-01-01Z', 1, 1)"
    )
    with pytest.raises(asyncpg.PostgresError, match="is_buyer_maker"):
        execute(database, trade)

    await migrated(database)

    execute(database, trade)


async def test_a_row_without_an_exchange_is_of_the_one_that_the_session_is_for(database: str) -> None:
    """The contract's INSERT, in a subclass of another exchange and in a program with a pool of its own."""
    insert = (
        "INSERT INTO market_data_ohlcv (symbol, timestamp, open, high, low, close, volume, interval) "
        "VALUES ($1, $2, 1, 1, 1, 1, 1, '1m')"
    )
    await migrated(database)
    pool = await open_pool(database, size=1, exchange="kraken")
    for minute in range(2):
        async with pool.acquire() as connection:
            await connection.execute(insert, "BTC/USD", f"2024-01-01T00:0{minute}:00+00:00")
            await connection.execute("set application_name = 'my own'")
    await pool.close()
    async with connected(database) as own:
        await own.execute(insert, "BTCUSDT", datetime(2024, 1, 1, tzinfo=UTC))
    with pytest.raises(Misconfigured, match="the name of an exchange has"):
        await open_pool(database, exchange="a'b")

    assert rows(database, "select exchange, symbol from market_data_ohlcv order by 1") == [
        ("binance", "BTCUSDT"), ("kraken", "BTC/USD"), ("kraken", "BTC/USD"),
    ]  # fmt: skip


async def test_a_login_that_does_not_own_the_tables_is_told_who_does(database: str) -> None:
    make_schema_of(database, 3)
    with login(database, "create, usage on schema public", "select, insert on all tables in schema public") as found:
        name, url = found
        with pytest.raises(Misconfigured, match=f"their owner alone may: .* GRANT .* TO {name}"):
            await migrated(url)

    assert rows(database, "select max(version) from market_data_migrations") == [(3,)]


async def test_a_table_that_somebody_holds_is_told_and_the_step_comes_later(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate_module, "LOCK_TIMEOUT_S", 0.05)
    make_schema_of(database, 3)
    async with connected(database) as other, other.transaction():
        await other.execute("lock table market_data_ohlcv")
        with pytest.raises(asyncpg.PostgresError, match="lock timeout"):
            await migrated(database)

    assert await migrated(database) == NEWEST


async def test_step_takes_longer_than_any_other_statement_may_and_is_told(database: str) -> None:
    """A limit of 0.5 s for a statement at the driver and at the server, and a step that takes longer."""
    make_schema_of(database, 4)
    execute(
        database,
        "create function slow() returns event_trigger language plpgsql as 'begin perform pg_sleep(0.3); end'",
        "create event trigger slow on ddl_command_start when tag in ('ALTER TABLE') execute function slow()",
    )
    told: list[str] = []
    connection = await asyncpg.connect(database, command_timeout=0.5, server_settings={"statement_timeout": "500ms"})
    try:
        assert await migrate(connection, told.append) == NEWEST
    finally:
        await connection.close()

    assert told[0] == "the tables are being brought up to date (step 5), which may take long"


async def test_collector_that_waits_for_the_steps_of_another_tells_so(database: str) -> None:
    told: list[str] = []
    async with connected(database) as other, connected(database) as ours:
        async with other.transaction():
            await other.execute("select pg_advisory_xact_lock($1)", migrate_module.LOCK)
            waiting = asyncio.create_task(migrate(ours, told.append))
            await until_async(lambda: told != [], "the sentence")
        assert await waiting == NEWEST

    assert "step 1" in told[0]


async def test_somebody_elses_table_of_that_name_is_refused_and_untouched(database: str) -> None:
    execute(database, "create table market_data_ohlcv (id integer)", "insert into market_data_ohlcv values (7)")

    with pytest.raises(Misconfigured, match="market_data_ohlcv, and not by us"):
        await migrated(database)

    assert rows(database, "select id from market_data_ohlcv") == [(7,)]
    assert rows(database, "select to_regclass('market_data_trades')::text") == [(None,)]


async def test_somebody_elses_table_of_a_later_step_is_refused_and_the_rest_stays_as_it_was(database: str) -> None:
    make_schema_of(database, 2)
    execute(database, "create table market_data_tickers (id integer)")

    with pytest.raises(Misconfigured, match="market_data_tickers, and not by us"):
        await migrated(database)

    assert rows(database, "select max(version) from market_data_migrations") == [(2,)]


async def test_tables_of_a_newer_program_are_refused(database: str) -> None:
    await migrated(database)
    execute(database, "insert into market_data_migrations values (9999, 'tomorrow')")

    with pytest.raises(Misconfigured, match="version 9999"):
        await migrated(database)


@pytest.mark.parametrize(
    ("dsn", "error", "words"),
    [
        ("postgresql://somebody:canary@127.0.0.1:{port}/absent_database", Misconfigured, "absent_database"),
        ("postgresql://nobody_at_all:can%40ary@127.0.0.1:{port}/postgres", Misconfigured, "refuses the login"),
        ("postgresql://u:canary@127.0.0.1:{closed}/x", SinkUnavailable, "does not answer"),
        ("postgresql://u:can/ary@127.0.0.1:{closed}/x", Misconfigured, "percent escape"),
        ("postgresql://u:canary@127.0.0.1:port/x", Misconfigured, "percent escape"),
    ],
)
async def test_a_database_that_cannot_be_had_is_told_without_the_password(
    database_server: str, dsn: str, error: type[Exception], words: str
) -> None:
    port = int(database_server.partition("@")[2].partition(":")[2].partition("/")[0])
    execute_once(database_server)

    with pytest.raises(error, match=words) as raised:
        await open_pool(dsn.format(port=port, closed=free_port()))

    assert "ary" not in str(raised.value)


def execute_once(dsn: str) -> None:
    """The account that the parameters name."""
    execute(dsn, "do $$ begin create role somebody login password 'x'; exception when duplicate_object then end $$")
