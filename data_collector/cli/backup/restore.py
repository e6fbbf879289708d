"""`data-collector restore`: a backup into an empty store and database."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec
import typer

from data_collector.cli.backup.progress import progress, told_when_stopped
from data_collector.cli.backup.sentences import sentences
from data_collector.model.errors import Misconfigured, SinkUnavailable, Unavailable
from data_collector.observe.escaping import escaped
from data_collector.observe.logs import configure_logs
from data_collector.service.backup.certificate import SETTINGS_FILE
from data_collector.service.backup.copying import Tell
from data_collector.service.backup.folder import FoundBackup
from data_collector.service.backup.restoration import RestoredBackup, RestoreOrder, check
from data_collector.service.backup.restoration import restore as restored
from data_collector.service.backup.servers import exchange_folders, idle_servers, key_prefixes, servers_folder
from data_collector.settings import Settings, load_settings
from data_collector.settings.texts import EMBEDDED
from data_collector.sinks.postgres.failures import place_of

NO_DATABASE = (
    "The backup holds tables of PostgreSQL, and DATABASE_URL is not set: name an empty database there (`embedded` for "
    "one of our own), or leave them with --without-database."
)


def restore(*, folder: Path, check: bool, replace: bool, without_database: bool, json: bool) -> None:
    """What it takes and does stands in `cli.arguments.kept`."""
    # That embedded servers start and end for this is no news.
    configure_logs(level=logging.WARNING)
    backup = FoundBackup(folder.absolute())
    settings = load_settings()
    if without_database:
        settings = settings.model_copy(update={"database_url": None})
    elif not check and backup.certificate.database is not None and settings.database_url is None:
        raise Misconfigured(NO_DATABASE)
    with progress(quiet=json) as tell, told_when_stopped("Nothing was restored."):
        found = _run(settings, backup, tell, is_check=check, replace=replace)
    if json:
        print(msgspec.json.format(msgspec.json.encode(backup.certificate), indent=2).decode())
        return
    lines = sentences(backup.certificate, without_database=without_database and found is not None)
    if found is None:
        typer.echo("\n".join([*lines, "The backup is whole: every file is as it was written."]))
        return
    if found.expired:
        lines.append(f"Left out: {found.expired:,} keys of candles that have expired since the backup")
    done = f"Restored into {_place(settings)}, read again and found equal to the certificate."
    typer.echo("\n".join([*lines, done]))
    typer.echo(f"Settings it was made with: {folder / SETTINGS_FILE}", err=True)


def _place(settings: Settings) -> str:
    store, url = settings.store_address(), settings.database_url
    folder = servers_folder(settings)
    places = [f"the embedded store in {folder}" if store is None else f"the store at {store.place}"]
    if url is not None:
        dsn = url.get_secret_value()
        places.append("an embedded PostgreSQL beside it" if dsn == EMBEDDED else f"PostgreSQL at {place_of(dsn)}")
    return escaped(" and ".join(places))


def _run(
    settings: Settings, backup: FoundBackup, tell: Tell, *, is_check: bool, replace: bool
) -> RestoredBackup | None:  # fmt: skip
    checked = check(backup, key_prefixes(settings), tell)
    if is_check:
        return None

    async def put() -> RestoredBackup:
        homes = exchange_folders(settings)
        wanted = {name: home for name, home in homes.items() if name in backup.certificate.exchanges}
        try:
            async with idle_servers(settings, wanted.values()) as servers:
                order = RestoreOrder(
                    backup=backup,
                    servers=servers,
                    prefixes=key_prefixes(settings),
                    homes=homes,
                    rules=settings.suites_dir,
                    replace=replace,
                    store_folder=None if settings.redis_url is not None else servers_folder(settings),
                )
                return await restored(order, checked, tell)
        except SinkUnavailable as error:
            raise Unavailable(f"{error} Nothing was restored.") from error

    return asyncio.run(put())
