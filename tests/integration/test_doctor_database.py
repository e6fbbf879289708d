"""`doctor` and PostgreSQL: what it says of a good one, of none, and of one that cannot be used."""

from __future__ import annotations

import pytest

from data_collector.cli.doctor.check_database import check_database
from data_collector.cli.doctor.finding import Finding
from data_collector.cli.surroundings.found_database import opened_database
from data_collector.embedded.peer import free_port
from data_collector.model.errors import Misconfigured
from data_collector.settings import load_settings
from data_collector.sinks.postgres.following import FollowedDatabase
from data_collector.sinks.postgres.rights import rights_to_write
from tests.integration.postgres_server import connected, execute, login, rows
from tests.integration.test_postgres_migrations import make_schema_of

OURS = "select count(*) from pg_tables where tablename like 'market_data%'"


async def findings(url: str | None, **variables: str) -> list[Finding]:
    return await check_database(load_settings(variables | ({} if url is None else {"DATABASE_URL": url}), None))


async def test_without_a_database_nothing_is_said() -> None:
    assert await findings(None) == []


async def test_good_database_is_well_and_left_as_it_was(database: str) -> None:
    found = await findings(database)

    assert [(each.check, each.state) for each in found] == [("database", "ok"), ("database tables", "ok")]
    assert "PostgreSQL" in found[0].seen
    assert found[1].seen == "they are made at the first start"
    assert rows(database, OURS) == [(0,)]


async def test_step_that_is_due_is_told_and_not_tried(database: str) -> None:
    """Tables of step 4, and a trade that somebody is reading: a trial would have waited for its lock."""
    make_schema_of(database, 4)
    async with connected(database) as other, other.transaction():
        await other.execute("lock table market_data_trades in access share mode")
        (_, tables) = await findings(database)

    assert tables.state == "ok"
    assert tables.seen.startswith("step 5, 6, 7, 8, 9 is due")


async def test_foreign_table_is_told_and_left_alone(database: str) -> None:
    execute(database, "create table market_data_trades (id int)")

    _, tables = await findings(database)

    assert (tables.check, tables.state) == ("database tables", "fail")
    assert "market_data_trades" in tables.seen
    assert rows(database, OURS) == [(1,)]


async def test_user_who_may_not_make_the_tables_is_told_the_grant(database: str) -> None:
    with login(database) as (name, url):
        found = await findings(url)
        execute(database, f"grant create on schema public to {name}")
        allowed = await findings(url)

    assert [(each.check, each.state) for each in found] == [("database", "ok"), ("database tables", "fail")]
    assert f"GRANT CREATE ON SCHEMA public TO {name}" in found[1].seen
    assert allowed[1].seen == "they are made at the first start"


async def test_user_who_may_only_read_the_tables_is_told_the_grants_and_is_well_with_them(database: str) -> None:
    (await FollowedDatabase.open(database, "binance")).close()
    with login(database, "select on all tables in schema public") as (name, url):
        execute(database, f"revoke temporary on database {database.rpartition('/')[2]} from public")
        (_, tables) = await findings(url, POSTGRES_TRADES="1", RETENTION_DAYS_KLINES="10")
        statements = tables.seen.partition("the owner can: ")[2].split("; ")
        for statement in statements:
            execute(database, statement)
        (_, granted) = await findings(url, POSTGRES_TRADES="1", RETENTION_DAYS_KLINES="10")
        (_, other) = await findings(url, RETENTION_DAYS_TRADES="10")

    tables_written = "public.market_data_cursors, public.market_data_gaps, public.market_data_trades"
    assert tables.state == "fail"
    assert statements == [
        f"GRANT INSERT ON public.market_data_epochs TO {name}",
        f"GRANT INSERT, DELETE ON public.market_data_ohlcv_revisions TO {name}",
        f"GRANT INSERT, UPDATE ON {tables_written} TO {name}",
        f"GRANT INSERT, UPDATE, DELETE ON public.market_data_ohlcv TO {name}",
        f"GRANT TEMPORARY ON DATABASE {database.rpartition('/')[2]} TO {name}",
    ]
    assert (granted.state, granted.seen) == ("ok", "they are there")
    assert f"GRANT DELETE ON public.market_data_trades TO {name}" in other.seen


async def test_user_who_may_not_see_which_tables_there_are_is_told_the_grant(database: str) -> None:
    (await FollowedDatabase.open(database, "binance")).close()
    with login(database) as (name, url):
        (_, tables) = await findings(url)

    assert f"GRANT SELECT ON public.market_data_migrations TO {name}" in tables.seen


async def test_command_that_reads_needs_no_right_to_write_and_one_that_writes_names_the_grant(database: str) -> None:
    (await FollowedDatabase.open(database, "binance")).close()
    with login(database, "select on all tables in schema public") as (name, url):
        settings = load_settings({"DATABASE_URL": url}, None)
        async with opened_database(settings) as found:
            span = await found.reader.span("BTCUSDT", "1m")
        with pytest.raises(Misconfigured, match=f"GRANT INSERT, UPDATE ON .*public.market_data_ohlcv TO {name}"):
            async with opened_database(settings, rights_to_write(trades=False)):
                pass

    assert span is None


async def test_nobody_there_is_told_without_the_password() -> None:
    (found,) = await findings(f"postgresql://somebody:secret@127.0.0.1:{free_port()}/nothing")

    assert found.state == "fail"
    assert "does not answer" in found.seen
    assert "secret" not in str(found)
    assert "DATABASE_URL" in found.cure
