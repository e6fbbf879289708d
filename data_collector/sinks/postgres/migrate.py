"""Bringing the tables of a database up to what this version needs. Steps go forward only."""

from __future__ import annotations

from importlib import resources

import asyncpg
from msgspec import Struct

from data_collector.model.errors import Misconfigured
from data_collector.sinks.postgres.rights import demand_ownership, demand_rights, demand_tables_can_be_made

LOCK = 0x6D61726B6574
"""Key of the advisory lock ("market"): collectors that start together migrate one after the other."""

LOCK_TIMEOUT_S = 5

TABLES = {
    "market_data_ohlcv": 1, "market_data_ohlcv_revisions": 1, "market_data_trades": 1, "market_data_gaps": 2,
    "market_data_cursors": 2, "market_data_tickers": 3, "market_data_epochs": 5, "market_data_quarantine": 6,
}  # fmt: skip
"""Each table of ours, and the step that makes it."""

_RECORD = """
create table if not exists market_data_migrations (
  version integer primary key, name text not null, applied_at timestamptz not null default now()
)
"""


class Migration(Struct, frozen=True):
    """One step."""

    version: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """All steps that this version knows, in order."""
    folder = resources.files("data_collector.sinks.postgres.migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [
        Migration(int(file.name.partition("_")[0]), file.name.partition("_")[2].removesuffix(".sql"), file.read_text())
        for file in files
    ]


async def migrate(connection: asyncpg.Connection) -> int:
    """Apply the steps that the database lacks, all or none of them, and return the version it has then.

    Safe to call at every start. Raises `Misconfigured` for tables that are not ours or newer than this program and for
    a login that may not make any, and what the driver raises.
    """
    known = migrations()
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", LOCK)
        version = await tables_version(connection)
        if version > known[-1].version:
            raise Misconfigured(
                f"The tables in PostgreSQL are of version {version}, and this program knows {known[-1].version}: "
                "a newer data-collector made them. Update this one."
            )
        await _refuse_foreign_tables(connection, version)
        if version < known[-1].version:
            await demand_tables_can_be_made(connection)
            await demand_ownership(connection, [name for name, step in TABLES.items() if step <= version])
            # A table that somebody locks is told soon, and nobody waits behind us meanwhile.
            await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")
        if version == 0:
            await connection.execute(_RECORD)
        for migration in known:
            if migration.version > version:
                await connection.execute(migration.sql)
                await connection.execute(
                    "insert into market_data_migrations (version, name) values ($1, $2)",
                    migration.version, migration.name,
                )  # fmt: skip
    return known[-1].version


async def tables_version(connection: asyncpg.Connection) -> int:
    """The step that our tables are at; 0 when they are not there. Raises `Misconfigured` where it may not be read."""
    if await connection.fetchval("select to_regclass('market_data_migrations')::text") is None:
        return 0
    await demand_rights(connection, {"market_data_migrations": ("SELECT",)})
    version = await connection.fetchval("select coalesce(max(version), 0) from market_data_migrations")
    assert isinstance(version, int), "the column is an integer"
    return version


async def _refuse_foreign_tables(connection: asyncpg.Connection, version: int) -> None:
    awaited = [name for name, step in TABLES.items() if step > version]
    rows = await connection.fetch(
        "select name from unnest($1::text[]) as name where to_regclass(name) is not null", awaited
    )
    if rows:
        names = ", ".join(str(row["name"]) for row in rows)
        raise Misconfigured(
            f"PostgreSQL already has {names}, and not by us: nothing was touched. Rename it, or name another database "
            "in DATABASE_URL, or another schema with ?search_path=NAME."
        )
