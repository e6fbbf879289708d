"""The store and the database that a backup is of, or is put into: those of the settings, or embedded ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from msgspec import Struct

from data_collector.embedded.guard import ServersGuard
from data_collector.embedded.lock import SERVERS_LOCK, lock_directory
from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.embedded.valkey import EmbeddedValkey
from data_collector.model.store_url import StoreAddress
from data_collector.observe.logs import get_log
from data_collector.service.former_stores import known_folders, with_store
from data_collector.settings import Settings
from data_collector.settings.texts import EMBEDDED
from data_collector.venues.discovery import find_venue, venue_names


class Servers(Struct, kw_only=True):
    """Where store and database are."""

    store: StoreAddress
    places: list[str]
    """Names under which collectors know that store; the first is the one of the settings as they are."""
    dsn: str | None
    """None without a database."""
    rows: Path | None = None
    """The folder of the database, where it is embedded."""


def exchange_folders(settings: Settings) -> dict[str, Path]:
    """Of every exchange that may have been collected."""
    names = dict.fromkeys((*settings.exchanges, *venue_names()))
    return {name: settings.var_dir / find_venue(name).folder for name in names}


def key_prefixes(settings: Settings) -> dict[str, str]:
    """What the keys of each exchange begin with."""
    return {name: find_venue(name).key_prefix for name in exchange_folders(settings)}


def servers_folder(settings: Settings) -> Path:
    """Where the embedded servers are, or would be."""
    folders = [settings.var_dir / find_venue(name).folder for name in settings.exchanges]
    return next(iter(with_store((*folders, *known_folders(settings.var_dir)))), folders[0])


def place_name(address: StoreAddress) -> str:
    """As cursors in the database begin."""
    return f"{address.place}/{address.database}"


def uses_embedded_database(settings: Settings) -> bool:
    """Whether `DATABASE_URL` leaves it to us."""
    url = settings.database_url
    return url is not None and url.get_secret_value() == EMBEDDED


@asynccontextmanager
async def idle_servers(settings: Settings, folders: Iterable[Path]) -> AsyncIterator[Servers]:
    """Those of the settings, where no collector is at work: embedded ones run as long as the block.

    The `folders` of collectors are locked so long. Raises `Misconfigured` where one is in use, and as the servers do.
    """
    home, given = servers_folder(settings), settings.store_address()
    embeds_database = uses_embedded_database(settings)
    async with AsyncExitStack() as stack:
        for folder in dict.fromkeys((*folders, home)):
            stack.callback((await asyncio.to_thread(lock_directory, folder)).release)
        stack.callback((await asyncio.to_thread(lock_directory, home, SERVERS_LOCK)).release)
        if given is None or embeds_database:
            guard = ServersGuard(home)
            stack.push_async_callback(asyncio.to_thread, guard.end)
            await asyncio.to_thread(guard.start)
        if given is None:
            store = EmbeddedValkey(home, log=get_log())
            stack.push_async_callback(store.stop)
            await store.start()
            alone, shared = store.local_address, store.address
            # Of several collectors none is the one who starts it.
            given = shared if len(settings.exchanges) > 1 else alone
            places = [place_name(given), place_name(alone), place_name(shared)]
        else:
            places = [place_name(given)]
        url, rows = settings.database_url, None
        dsn = None if url is None else url.get_secret_value()
        if embeds_database:
            database = EmbeddedPostgres(home / "postgres", log=get_log())
            stack.push_async_callback(database.stop)
            await database.start()
            dsn, rows = database.dsn, database.folder
        yield Servers(store=given, places=[*dict.fromkeys(places)], dsn=dsn, rows=rows)
