"""The database that a command works with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.model.errors import Misconfigured, SinkUnavailable, Unavailable
from data_collector.observe.logs import get_log
from data_collector.service.service import LIVE_FOLDER
from data_collector.settings import Settings
from data_collector.settings.texts import EMBEDDED
from data_collector.sinks.postgres.failures import failures_told, place_of
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import PostgresPool, open_pool
from data_collector.sinks.postgres.reading import PostgresReader
from data_collector.sinks.postgres.rights import Rights, demand_rights
from data_collector.sinks.postgres.writing import PostgresWriter

UNSET = (
    "There is no database to work with: DATABASE_URL is not set. Put DATABASE_URL=postgresql://USER:PASSWORD@HOST:5432/"
    "DATABASE into .env or the environment."
)


class Database(Struct, frozen=True):
    """Both sides of the database, with its tables in place."""

    reader: PostgresReader
    writer: PostgresWriter
    place: str
    """For people: nothing of the login."""


@asynccontextmanager
async def opened_database(settings: Settings, rights: Rights | None = None) -> AsyncIterator[Database]:
    """The database of `DATABASE_URL`, for the length of the block; `rights` are what will be done to it.

    Raises `Misconfigured` when there is none or it refuses us, `Unavailable` when nobody answers.
    """
    if settings.database_url is None:
        raise Misconfigured(UNSET)
    dsn = settings.database_url.get_secret_value()
    if dsn == EMBEDDED:
        dsn = _embedded_dsn(settings)
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


def running_embedded_dsn(settings: Settings) -> str | None:
    """Where the embedded server of a running collector answers; None when there is none."""
    return EmbeddedPostgres(settings.var_dir / LIVE_FOLDER / "postgres", log=get_log()).running_dsn()


def _embedded_dsn(settings: Settings) -> str:
    dsn = running_embedded_dsn(settings)
    if dsn is None:
        raise Unavailable(f"No embedded PostgreSQL is running below {settings.var_dir}: start `data-collector run`.")
    return dsn
