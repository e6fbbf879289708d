"""Bringing the tables of a database up to what this version needs. Steps go forward only."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

import asyncpg
import structlog
from msgspec import Struct

from data_collector.model.errors import Misconfigured
from data_collector.sinks.postgres.rights import demand_ownership, demand_rights, demand_tables_can_be_made

LOCK = 0x6D61726B6574
"""Key of the advisory lock ("market"): collectors that start together migrate one after the other."""

LOCK_TIMEOUT_S = 5

STEP_TIMEOUT_S = 24 * 3600.0
"""For one step, and for that of another collector. A new key of a large table is an hour's work, which begins anew when
it is cut off; without a number the driver takes that of the pool."""

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


async def migrate(
    connection: asyncpg.Connection, tell: Callable[[str], None] | None = None, *, upto: int | None = None
) -> int:
    """Apply the steps that the database lacks, all or none of them, and return the version it has then.

    Safe to call at every start. `tell` gets a sentence before what may take long; steps after `upto` are left for
    later. Raises `Misconfigured` as `due_steps` does, and what the driver raises.
    """
    newest = migrations()[-1].version if upto is None else upto
    if (version := await tables_version(connection)) == newest:
        return newest
    async with connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        if not await connection.fetchval("select pg_try_advisory_xact_lock($1)", LOCK):
            _tell_of(version + 1, tell)
            await connection.execute("select pg_advisory_xact_lock($1)", LOCK, timeout=STEP_TIMEOUT_S)
        # A table that somebody locks is told soon, and nobody waits behind us meanwhile.
        await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")
        due = [step for step in await due_steps(connection) if step.version <= newest]
        if due and due[0].version == 1:
            await connection.execute(_RECORD)
        for step in due:
            if due[0].version > 1:
                # Empty tables take no time.
                _tell_of(step.version, tell)
            await connection.execute(step.sql, timeout=STEP_TIMEOUT_S)
            await connection.execute(
                "insert into market_data_migrations (version, name) values ($1, $2)", step.version, step.name
            )
    return newest


def _tell_of(step: int, tell: Callable[[str], None] | None) -> None:
    if tell is None:
        structlog.get_logger().info("history_tables_updated", step=step)
    else:
        tell(f"the tables are being brought up to date (step {step}), which may take long")


async def due_steps(connection: asyncpg.Connection) -> list[Migration]:
    """Those that the database lacks; nothing is changed.

    Raises `Misconfigured` for tables that are not ours or newer than this program and for a login that may not make
    any, and what the driver raises.
    """
    known = migrations()
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
    return [step for step in known if step.version > version]


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
