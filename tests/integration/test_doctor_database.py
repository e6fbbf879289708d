"""`doctor` and PostgreSQL: what it says of a good one, of none, and of one that cannot be used."""

from __future__ import annotations

from data_collector.cli.check_database import check_database
from data_collector.cli.finding import Finding
from data_collector.embedded.peer import free_port
from data_collector.settings import load_settings
from tests.integration.postgres_server import execute, rows

OURS = "select count(*) from pg_tables where tablename like 'market_data%'"


async def findings(url: str | None) -> list[Finding]:
    return await check_database(load_settings({} if url is None else {"DATABASE_URL": url}, None))


async def test_without_a_database_nothing_is_said() -> None:
    assert await findings(None) == []


async def test_good_database_is_well_and_left_as_it_was(database: str) -> None:
    found = await findings(database)

    assert [(each.check, each.state) for each in found] == [("database", "ok"), ("database tables", "ok")]
    assert "PostgreSQL" in found[0].seen
    assert found[1].seen == "they are made at the first start"
    assert rows(database, OURS) == [(0,)]


async def test_foreign_table_is_told_and_left_alone(database: str) -> None:
    execute(database, "create table market_data_trades (id int)")

    _, tables = await findings(database)

    assert (tables.check, tables.state) == ("database tables", "fail")
    assert "market_data_trades" in tables.seen
    assert rows(database, OURS) == [(1,)]


async def test_user_who_may_not_create_tables_is_told(database: str) -> None:
    name = database.rpartition("/")[2].partition("?")[0]
    execute(
        database, "revoke create on schema public from public", f"create role {name}_reader login password 'secret'",
        f"grant connect on database {name} to {name}_reader",
    )  # fmt: skip
    scheme, _, rest = database.partition("://")
    url = f"{scheme}://{name}_reader:secret@{rest.rpartition('@')[2]}"

    found = await findings(url)
    execute(database, f"drop owned by {name}_reader", f"drop role {name}_reader")

    assert [(each.check, each.state) for each in found] == [("database", "ok"), ("database tables", "fail")]
    assert "permission denied" in found[1].seen


async def test_nobody_there_is_told_without_the_password() -> None:
    (found,) = await findings(f"postgresql://somebody:secret@127.0.0.1:{free_port()}/nothing")

    assert found.state == "fail"
    assert "does not answer" in found.seen
    assert "secret" not in str(found)
    assert "DATABASE_URL" in found.cure
