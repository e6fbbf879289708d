"""The database that a command works with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from data_collector.model.errors import SinkUnavailable, Unavailable
from data_collector.settings import Settings
from data_collector.sinks.postgres.failures import place_of
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.reading import PostgresReader
from data_collector.sinks.postgres.writing import PostgresWriter


class Database(Struct, frozen=True):
    """Both sides of the database, with its tables in place."""

    reader: PostgresReader
    writer: PostgresWriter
    place: str
    """For people: nothing of the login."""


@asynccontextmanager
async def opened_database(settings: Settings) -> AsyncIterator[Database]:
    """The database of `DATABASE_URL`, an address by now, for the length of the block.

    Raises `Misconfigured` when it refuses us, `Unavailable` when nobody answers.
    """
    assert settings.database_url is not None, "found by `found_surroundings`"
    dsn = settings.database_url.get_secret_value()
    place = place_of(dsn)
    try:
        pool = await open_pool(dsn)
    except SinkUnavailable as error:
        raise Unavailable(f"{error}. Start it, or mend DATABASE_URL.") from error
    try:
        async with pool.acquire() as connection:
            await migrate(connection)
        yield Database(PostgresReader(pool, place=place), PostgresWriter(pool, place=place), place)
    finally:
        await pool.close()
