"""What can be known of a PostgreSQL before anything is written to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import asyncpg
from msgspec import Struct

from data_collector.model.errors import Misconfigured, RowsRefused
from data_collector.sinks.postgres.believing import demand_columns
from data_collector.sinks.postgres.failures import named_failures, place_of
from data_collector.sinks.postgres.hypertables import Layout, layout_of
from data_collector.sinks.postgres.migrate import due_steps, tables_version
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.rights import Rights, demand_rights


class Facts(Struct):
    """Of one server and database."""

    place: str
    """Nothing of the login."""
    version: str
    major: int
    is_standby: bool
    clock_s: float
    """Seconds since 1970 by the server's clock."""
    layout: Layout
    encoding: str
    unfit: dict[str, str]
    """Symbols of those asked about that it cannot hold, and why."""
    tables_version: int = 0
    """Of our tables; 0 when they are not there."""
    due_steps: tuple[int, ...] = ()
    """That the next start takes, to make our tables or to bring them up to date."""
    fault: str | None = None
    """Why our tables cannot be made, brought up to date, or written to."""


async def unfit_symbols(connection: asyncpg.Connection, symbols: Iterable[str], place: str) -> dict[str, str]:
    """Symbols that the database's encoding cannot hold, and the sentence about it. Raises what the driver raises."""
    unfit: dict[str, str] = {}
    for symbol in symbols:
        if not symbol.isascii():
            try:
                with named_failures(place):
                    await connection.fetchval("select $1::text", symbol)
            except RowsRefused as error:
                unfit[symbol] = str(error)
    return unfit


async def facts_of(dsn: str, *rights: Rights, symbols: Sequence[str] = ()) -> Facts:
    """Ask, `rights` too; nothing is changed, since a step may take an hour and locks the tables.

    Raises `SinkUnavailable`, `Misconfigured`.
    """
    place = place_of(dsn)
    pool = await open_pool(dsn, size=1)
    try:
        with named_failures(place):
            async with pool.acquire() as connection:
                version = str(await connection.fetchval("show server_version"))
                facts = Facts(
                    place,
                    version,
                    int(str(await connection.fetchval("show server_version_num"))) // 10_000,
                    bool(await connection.fetchval("select pg_is_in_recovery()")),
                    float(str(await connection.fetchval("select extract(epoch from clock_timestamp())::float8"))),
                    await layout_of(connection),
                    str(await connection.fetchval("show server_encoding")),
                    await unfit_symbols(connection, symbols, place),
                )
                try:
                    with named_failures(place):
                        facts.tables_version = await tables_version(connection)
                        facts.due_steps = tuple(step.version for step in await due_steps(connection))
                        await demand_rights(connection, *rights)
                        await demand_columns(connection)
                except Misconfigured as error:
                    facts.fault = str(error)
                return facts
    finally:
        pool.terminate()
