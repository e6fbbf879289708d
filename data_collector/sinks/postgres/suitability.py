"""What can be known of a PostgreSQL before anything is written to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import asyncpg
from msgspec import Struct

from data_collector.model.errors import Misconfigured, RowsRefused
from data_collector.sinks.postgres.failures import named_failures, place_of
from data_collector.sinks.postgres.hypertables import Layout, layout_of
from data_collector.sinks.postgres.migrate import migrate, tables_version
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


class _Undone(Exception):
    """Rolls a trial back."""


async def facts_of(dsn: str, *rights: Rights, symbols: Sequence[str] = ()) -> Facts:
    """Ask, `rights` too; the tables are made or updated for a try and rolled back.

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
                        async with connection.transaction():
                            await migrate(connection)
                            await demand_rights(connection, *rights)
                            raise _Undone  # noqa: TRY301 - how a transaction is rolled back
                except _Undone:
                    pass
                except Misconfigured as error:
                    facts.fault = str(error)
                return facts
    finally:
        pool.terminate()
