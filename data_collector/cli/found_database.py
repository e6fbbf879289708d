"""The database that a command works with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from data_collector.model.errors import SinkUnavailable, Unavailable
from data_collector.settings import Settings
from data_collector.sinks.postgres.failures import failures_told, place_of
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import PostgresPool, open_pool
from data_collector.sinks.postgres.reading import PostgresReader
from data_collector.sinks.postgres.rights import Rights, demand_rights
from data_collector.sinks.postgres.writing import PostgresWriter


class Database(Struct, frozen=True):
    """Both sides of the database, with its tables in place."""

    reader: PostgresReader
    writer: PostgresWriter
    place: str
    """For people: nothing of the login."""


@asynccontextmanager
async def opened_database(settings: Settings, rights: Rights | None = None) -> AsyncIterator[Database]:
    """The database of `DATABASE_URL`, an address by now, for the length of the block.

    `rights` are what will be done to it. Raises `Misconfigured` when it refuses us, `Unavailable` when nobody answers.
    """
    assert settings.database_url is not None, "found by `found_surroundings`"
    dsn = settings.database_url.get_secret_value()
    place = place_of(dsn)
    try:
        pool = await _ready_pool(dsn, place, rights or {})
    except SinkUnavailable as error:
        raise Unavailable(f"{error}. Start it, or mend DATABASE_URL.") from error
    try:
        yield Database(PostgresReader(pool, place=place), PostgresWriter(pool, place=place), place)
    finally:
        await pool.close()


async def _ready_pool(dsn: str, place: str, rights: Rights) -> PostgresPool:
    """With the tables in place."""
    pool = await open_pool(dsn)
    try:
        with failures_told(place):
            async with pool.acquire() as connection:
                await migrate(connection)
                await demand_rights(connection, rights)
    except BaseException:
        pool.terminate()
        raise
    return pool
