"""Making a backup: the snapshot of the database is begun first, so that the store has whatever the rows lack."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from data_collector.model.errors import Misconfigured
from data_collector.pipeline.spool.segments import SPOOL_SUFFIX
from data_collector.service.backup.certificate import (
    SETTINGS_FILE,
    STORE_FILE,
    Certificate,
    DatabaseHeld,
    StoreHeld,
)
from data_collector.service.backup.folder import BackupFolder, check_new, check_space, made_folder
from data_collector.service.backup.servers import Servers
from data_collector.service.epochs import ENDS_FILE, FILE
from data_collector.service.repairs import SPOOL_FOLDER
from data_collector.sinks.postgres.table_copies import Snapshot, snapshot_of
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.copies.copying import KeyCopier
from data_collector.sinks.redis.suitability import BROKEN_OFF, used_bytes
from data_collector.validation.rules.columns import KINDS
from data_collector.validation.rules.folder import RulesFolder

Tell = Callable[[str, float], None]
"""Gets what is being copied, and the share of it that is done (0 to 1)."""

STORE: Final = "store"
TABLES_SHARE: Final = 0.5
"""Of what tables and indexes take on the server, as CSV."""

HALF_RESTORED: Final = (
    "The store holds a part of a backup: a restore was broken off. Do it again (`data-collector restore FOLDER "
    "--replace`), and then make a backup. Nothing was backed up."
)

STATE_FILES: Final = (FILE, ENDS_FILE)


class BackupOrder(Struct, frozen=True, kw_only=True):
    """What is copied, and where it goes."""

    folder: Path
    servers: Servers
    prefixes: Mapping[str, str]
    """Exchange to what its keys begin with."""
    homes: Mapping[str, Path]
    """Exchange to the folder of its collector."""
    collecting: Sequence[str]
    """Exchanges whose collectors are at work; where there are none, spools are copied too."""
    rules: Path
    settings_text: str


async def back_up(order: BackupOrder, tell: Tell) -> Certificate:
    """Make the folder. Raises `Misconfigured` and `SinkUnavailable`; there is no folder then."""
    begun = _now()
    check_new(order.folder)
    connection = await StoreConnection.connect(order.servers.store, errors="surrogateescape")
    try:
        with made_folder(order.folder) as folder:
            if order.servers.dsn is None:
                await _check_space(order, connection, 0)
                store, database = await _copy_store(order, connection, folder, tell), None
            else:
                async with snapshot_of(order.servers.dsn) as snapshot:
                    await _check_space(order, connection, await snapshot.size())
                    store = await _copy_store(order, connection, folder, tell)
                    database = await _copy_database(snapshot, folder, tell)
            await _copy_files(order, folder)
            certificate = _certificate(order, begun, store, database, folder)
            await folder.finish(certificate)
            return certificate
    finally:
        connection.close()


def _certificate(
    order: BackupOrder, begun: str, store: StoreHeld, database: DatabaseHeld | None, folder: BackupFolder
) -> Certificate:
    found = {each.exchange for each in store.symbols} | set(store.sources)
    found |= {series.exchange for series in database.series} if database is not None else set()
    if not found:
        raise Misconfigured("There is nothing to back up: neither store nor database holds a record of ours.")
    return Certificate(
        begun_at=begun,
        completed_at=_now(),
        collecting=sorted(order.collecting),
        exchanges=sorted(found),
        store=store,
        database=database,
        files=folder.files,
    )


async def _check_space(order: BackupOrder, connection: StoreConnection, database_bytes: int) -> None:
    wanted = await used_bytes(connection) + round(database_bytes * TABLES_SHARE)
    await asyncio.to_thread(check_space, order.folder.parent, wanted, "the backup")


async def _copy_store(
    order: BackupOrder, connection: StoreConnection, folder: BackupFolder, tell: Tell
) -> StoreHeld:  # fmt: skip
    held = StoreHeld(places=list(order.servers.places))
    async with folder.file(STORE_FILE) as file:
        copier = KeyCopier(connection, order.prefixes, file)
        owners = await copier.owners()
        for number, owner in enumerate(owners):
            tell(STORE, number / (len(owners) + 1))
            if owner.symbol:
                held.symbols.append(await copier.copy_symbol(owner))
            else:
                source = await copier.copy_source(owner.exchange)
                if source == BROKEN_OFF:
                    raise Misconfigured(HALF_RESTORED)
                held.sources |= {} if source is None else {owner.exchange: source}
        tell(STORE, len(owners) / (len(owners) + 1))
        held.klines = await copier.copy_klines()
        held.left_out = copier.foreign
    tell(STORE, 1.0)
    return held


async def _copy_database(snapshot: Snapshot, folder: BackupFolder, tell: Tell) -> DatabaseHeld:
    held = DatabaseHeld(version=snapshot.version, tables=[], series=await snapshot.series())
    expected = max(1, round(await snapshot.size() * TABLES_SHARE))
    before = 0
    for table in snapshot.tables:
        async with folder.file(f"database/{table}.csv") as file:

            async def put(part: bytes) -> None:
                await file.write(part)
                tell("database", min(0.99, (before + file.size) / expected))  # noqa: B023

            held.tables.append(await snapshot.copy(table, put))
            before += file.size
    tell("database", 1.0)
    return held


async def _copy_files(order: BackupOrder, folder: BackupFolder) -> None:
    rules = RulesFolder(order.rules)
    for kind in KINDS:
        await folder.copy(rules.path_of(kind), f"rules/{kind}.json")
    for exchange, home in order.homes.items():
        for name in STATE_FILES:
            await folder.copy(home / name, f"state/{exchange}/{name}")
        if not order.collecting:
            for path in sorted((home / SPOOL_FOLDER).glob(f"*{SPOOL_SUFFIX}")):
                await folder.copy(path, f"spool/{exchange}/{path.name}")
    async with folder.file(SETTINGS_FILE) as file:
        await file.write(order.settings_text.encode())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
