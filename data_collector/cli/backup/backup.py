"""`data-collector backup`: all that a service holds, as a folder with a certificate."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import typer

from data_collector.cli.backup.progress import progress, told_when_stopped
from data_collector.cli.backup.sentences import sentences
from data_collector.cli.surroundings.found_database import found_surroundings, running_embedded_dsn
from data_collector.cli.surroundings.found_store import find_store
from data_collector.embedded.record import running_servers
from data_collector.model.errors import Misconfigured, SinkUnavailable, Unavailable
from data_collector.observe.logs import configure_logs
from data_collector.service.backup.certificate import Certificate
from data_collector.service.backup.copying import BackupOrder, Tell, back_up
from data_collector.service.backup.folder import check_new
from data_collector.service.backup.servers import (
    Servers,
    exchange_folders,
    idle_servers,
    key_prefixes,
    place_name,
    servers_folder,
    uses_embedded_database,
)
from data_collector.service.backup.settings_file import settings_text
from data_collector.service.former_stores import with_store
from data_collector.service.running import running_collectors
from data_collector.settings import Settings, load_settings

NOTHING = (
    "There is nothing to back up below {folder}: no service runs there, and none has run. Name its VAR_DIR, or its "
    "REDIS_URL."
)


def backup(*, out: Path, json: bool) -> None:
    """What it takes and does stands in `cli.arguments.kept`."""
    # That embedded servers start and end for this is no news.
    configure_logs(level=logging.WARNING)
    settings = load_settings()
    folder = out.absolute()
    check_new(folder)
    with progress(quiet=json) as tell, told_when_stopped("Nothing was backed up."):
        certificate = asyncio.run(_backed_up(settings, folder, tell))
    if json:
        print(msgspec.json.format(msgspec.json.encode(certificate), indent=2).decode())
        return
    typer.echo("\n".join([*sentences(certificate), f"Backup: {out}"]))


async def _backed_up(settings: Settings, folder: Path, tell: Tell) -> Certificate:
    running = running_collectors(settings.var_dir)
    if running and "exchange" not in settings.given and settings.exchange not in {each.exchange for _, each in running}:
        settings = load_settings(exchange=running[0][1].exchange)
    homes = exchange_folders(settings) | {record.exchange: home for home, record in reversed(running)}
    every = [load_settings(exchange=name) for name in settings.exchanges]
    try:
        async with _servers(settings, homes, is_running=bool(running)) as servers:
            order = BackupOrder(
                folder=folder,
                servers=servers,
                prefixes=key_prefixes(settings),
                homes=homes,
                collecting=[record.exchange for _, record in running],
                rules=settings.suites_dir,
                settings_text=settings_text([settings, *every[1:]]),
            )
            return await back_up(order, tell)
    except SinkUnavailable as error:
        raise Unavailable(f"{error} Nothing was backed up.") from error


@asynccontextmanager
async def _servers(settings: Settings, homes: dict[str, Path], *, is_running: bool) -> AsyncIterator[Servers]:
    """Those that run, or else embedded ones for the length of the block."""
    embedded = await running_servers(settings.var_dir)
    if is_running or (settings.redis_url is None and embedded):
        yield await _running(settings, is_running=is_running)
        return
    if settings.redis_url is None and not with_store([*homes.values(), servers_folder(settings)]):
        raise Misconfigured(NOTHING.format(folder=settings.var_dir))
    async with idle_servers(settings, [home for home in homes.values() if home.is_dir()]) as servers:
        yield servers


async def _running(settings: Settings, *, is_running: bool) -> Servers:
    store = await find_store(settings=settings)
    places = [place_name(store)]
    for _, record in await running_servers(settings.var_dir):
        if record.address == store and record.unix_path is not None:
            places.append(f"{record.unix_path}/0")
    return Servers(store=store, places=places, dsn=_dsn(settings, is_running=is_running))


def _dsn(settings: Settings, *, is_running: bool) -> str | None:
    has_database = [
        record.database for _, record in running_collectors(settings.var_dir) if record.database is not None
    ]
    if not is_running and uses_embedded_database(settings):
        return running_embedded_dsn(servers_folder(settings))
    if settings.database_url is None and not has_database:
        return None
    url = found_surroundings(settings, with_exchange=False).settings.database_url
    return None if url is None else url.get_secret_value()
