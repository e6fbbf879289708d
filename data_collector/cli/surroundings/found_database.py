"""Which database a command of the history works with, and beside which collector: by the settings, or as it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import typer
from msgspec import Struct
from pydantic import SecretStr

from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.model.errors import Misconfigured, SinkUnavailable, Unavailable
from data_collector.observe.escaping import escaped
from data_collector.observe.logs import get_log
from data_collector.service.running import CollectorRecord, running_collectors
from data_collector.settings import Settings
from data_collector.settings.texts import EMBEDDED
from data_collector.sinks.postgres.failures import named_failures, place_of
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import COMMAND_TIMEOUT_S, PostgresPool, open_pool
from data_collector.sinks.postgres.quarantine import PostgresQuarantine
from data_collector.sinks.postgres.reading import PostgresReader
from data_collector.sinks.postgres.rights import Rights, demand_rights
from data_collector.sinks.postgres.writing import PostgresWriter
from data_collector.venues.discovery import find_venue

STATEMENT_S_MIN = 5.0

UNSET = (
    "There is no database to work with: DATABASE_URL is not set, and no collector that keeps history runs below "
    "{folder}. Put DATABASE_URL=postgresql://USER:PASSWORD@HOST:5432/DATABASE into .env or the environment, or start "
    "`data-collector demo`."
)
LOGIN_UNKNOWN = (
    "The collector in {folder} keeps its history in {place}, and its login is not written down: set DATABASE_URL as "
    "it was set there."
)
EMBEDDED_STARTING = (
    "The embedded PostgreSQL of the collector in {folder} does not take logins yet: try again in a moment. "
    "The collector's log and its /health say why if it stays so."
)
EMBEDDED_GONE = (
    "No embedded PostgreSQL is running below {folder}, and no collector that would start one: start "
    "`data-collector run` with DATABASE_URL=embedded, or `data-collector demo`."
)
EMBEDDED_CLOSED = (
    "The embedded PostgreSQL in {folder} runs, and its password cannot be read ({reason}): run this command as the "
    "user who started the collector."
)


class Surroundings(Struct, frozen=True):
    """Where a command works."""

    settings: Settings
    """With a database that can be opened, and the exchange that belongs to it."""
    folder: Path | None
    """Of the collector that was found; None where the settings said all of it."""


def found_surroundings(settings: Settings, *, with_exchange: bool = True) -> Surroundings:
    """What the settings leave open is that of the running collector, and told in one line. Blocks for a moment.

    A database that is set is never joined with the exchange of a collector that writes to another one. Raises
    `Misconfigured` where there is no database, `Unavailable` where an embedded one cannot be used now.
    """
    collectors = running_collectors(settings.var_dir)
    given = None if settings.database_url is None else settings.database_url.get_secret_value()
    candidates = [pair for pair in collectors if pair[1].exchange == settings.exchange and _belongs(*pair, given)]
    if not candidates:
        return Surroundings(_without_collector(settings, given), None)
    folder, record = candidates[0]
    dsn = given if given is not None and given != EMBEDDED else _dsn_of(folder, record)
    taken: dict[str, object] = {}
    parts = []
    if dsn != given:
        taken["database_url"] = SecretStr(dsn)
        parts.append(f"PostgreSQL at {place_of(dsn)}")
    if with_exchange and "rest_url" not in settings.given:
        taken["rest_url"] = record.rest_url
        parts.append(f"exchange at {record.rest_url}")
    if parts:
        others = [path.name for path, _ in candidates[1:]]
        more = f" Also running: {', '.join(others)}; DATABASE_URL chooses." if others else ""
        typer.echo(escaped(f"As the collector in {folder.name} that runs: {', '.join(parts)}.{more}"), err=True)
    return Surroundings(settings.model_copy(update=taken), folder)


def running_embedded_dsn(folder: Path) -> str | None:
    """Where the embedded server of a collector's folder answers; None when it does not run. Raises `Unavailable`."""
    server = EmbeddedPostgres(folder / "postgres", log=get_log())
    try:
        return server.running_dsn()
    except OSError as error:
        raise Unavailable(EMBEDDED_CLOSED.format(folder=server.folder, reason=error.strerror)) from error


def _belongs(folder: Path, record: CollectorRecord, given: str | None) -> bool:
    if given is None:
        return record.database is not None
    if given == EMBEDDED or record.database != EMBEDDED:
        return record.database == (given if given == EMBEDDED else place_of(given))
    # The address that the demo's screen shows is one that people put into their environment.
    return running_embedded_dsn(record.servers_in(folder)) == given


def _dsn_of(folder: Path, record: CollectorRecord) -> str:
    if record.database != EMBEDDED:
        raise Misconfigured(LOGIN_UNKNOWN.format(folder=folder.name, place=record.database))
    dsn = running_embedded_dsn(record.servers_in(folder))
    if dsn is None:
        raise Unavailable(EMBEDDED_STARTING.format(folder=folder.name))
    return dsn


def _without_collector(settings: Settings, given: str | None) -> Settings:
    if given is None:
        raise Misconfigured(UNSET.format(folder=settings.var_dir))
    if given != EMBEDDED:
        return settings
    # A server outlives a collector that was killed.
    dsn = running_embedded_dsn(settings.var_dir / find_venue(settings.exchange).folder)
    if dsn is None:
        raise Unavailable(EMBEDDED_GONE.format(folder=settings.var_dir))
    return settings.model_copy(update={"database_url": SecretStr(dsn)})


class Database(Struct, frozen=True):
    """Both sides of the database, with its tables in place."""

    reader: PostgresReader
    writer: PostgresWriter
    quarantine: PostgresQuarantine
    place: str
    """For people: nothing of the login."""


@asynccontextmanager
async def opened_database(
    settings: Settings, rights: Rights | None = None, *, give_up_s: float = COMMAND_TIMEOUT_S
) -> AsyncIterator[Database]:
    """The database of `DATABASE_URL`, an address by now, for the length of the block.

    `rights` are what will be done to it; a statement is given up after `give_up_s`, but not sooner than a slow disk
    allows. Raises `Misconfigured` when it refuses us, `Unavailable` when nobody answers.
    """
    assert settings.database_url is not None, "found by `found_surroundings`"
    dsn = settings.database_url.get_secret_value()
    place = place_of(dsn)
    try:
        pool = await _ready_pool(dsn, place, rights or {}, min(max(give_up_s, STATEMENT_S_MIN), COMMAND_TIMEOUT_S))
    except SinkUnavailable as error:
        raise Unavailable(f"{error}. Start it, or mend DATABASE_URL.") from error
    try:
        of_exchange = pool, settings.exchange
        yield Database(
            PostgresReader(*of_exchange, place=place),
            PostgresWriter(*of_exchange, place=place),
            PostgresQuarantine(*of_exchange, place=place),
            place,
        )
    finally:
        await pool.close()


async def _ready_pool(dsn: str, place: str, rights: Rights, statement_s: float) -> PostgresPool:
    """With the tables in place."""
    pool = await open_pool(dsn, command_timeout_s=statement_s)
    try:
        with named_failures(place):
            async with pool.acquire() as connection:
                await migrate(connection, lambda sentence: typer.echo(f"PostgreSQL: {sentence}.", err=True))
                await demand_rights(connection, rights)
    except BaseException:
        pool.terminate()
        raise
    return pool
