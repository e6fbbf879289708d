"""Putting a backup back: looked at as a whole before anything is written, and compared with its certificate after.

A store that is being filled names a restore as its source, which every collector refuses, and the database gets
everything in one transaction. So one that was broken off, by whatever, is taken for no whole one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.pipeline.spool.segments import SPOOL_SUFFIX
from data_collector.service.backup.certificate import STORE_FILE, DatabaseHeld
from data_collector.service.backup.copying import STATE_FILES, STORE, Tell
from data_collector.service.backup.folder import FoundBackup, check_space
from data_collector.service.backup.servers import Servers
from data_collector.service.repairs import SPOOL_FOLDER
from data_collector.sinks.postgres.table_copies import Restoration, restoring
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.copies.lines import LINE_BYTES_MAX, Line, StreamHeld
from data_collector.sinks.redis.copies.restoring import KeyComparison, KeyRestorer, LineCheck, LineFault

STORE_BYTES_A_BYTE = 2
"""Of the embedded store's file, for one of the backup's."""

ROW_BYTES_A_BYTE = 3
"""Of the embedded database with its indexes and its log."""


class RestoreOrder(Struct, frozen=True, kw_only=True):
    """What is put where."""

    backup: FoundBackup
    servers: Servers
    prefixes: Mapping[str, str]
    homes: Mapping[str, Path]
    """Exchange to the folder of its collector; they are locked by the caller."""
    rules: Path
    replace: bool
    """Whether what is there is thrown away."""
    store_folder: Path | None
    """Of an embedded store."""


class CheckedBackup(Struct, frozen=True):
    """What was found in the files, beside what the certificate says."""

    streams: dict[str, StreamHeld]
    sources: dict[str, str]


class RestoredBackup(Struct, frozen=True):
    """What has become of it."""

    expired: int
    """Keys of klines that would have expired meanwhile."""


def check(backup: FoundBackup, prefixes: Mapping[str, str], tell: Tell) -> CheckedBackup:
    """Read all of it. Raises `Misconfigured` for the first thing that is not as it was written. Blocks."""
    certificate = backup.certificate
    held = [] if certificate.store is None else [each.exchange for each in certificate.store.symbols]
    unknown = [name for name in (*certificate.exchanges, *held) if name not in prefixes]
    if unknown:
        raise Misconfigured(f"The backup holds {unknown[0]}, and no exchange of that name is known here.")
    total = sum(file.bytes for file in certificate.files) or 1
    done = 0
    for file in certificate.files:
        backup.check_file(file)
        done += file.bytes
        tell("check", done / total)
    tables = [] if certificate.database is None else [held.table for held in certificate.database.tables]
    wanted = [f"database/{table}.csv" for table in tables] + ([] if certificate.store is None else [STORE_FILE])
    lacking = [name for name in wanted if backup.held(name) is None]
    if lacking:
        raise Misconfigured(f"The certificate of {backup.folder} tells of {lacking[0]}, and names no such file.")
    for name in (*backup.under("state/"), *backup.under("spool/")):
        kind, exchange, last = name.split("/")
        is_known = last in STATE_FILES if kind == "state" else last.endswith(SPOOL_SUFFIX)
        if exchange not in prefixes or not is_known:
            raise Misconfigured(f"The certificate of {backup.folder} names {name}, which no backup has.")
    return _checked_store(backup, prefixes)


def _checked_store(backup: FoundBackup, prefixes: Mapping[str, str]) -> CheckedBackup:
    store = backup.certificate.store
    if store is None:
        return CheckedBackup({}, {})
    found = LineCheck(prefixes)
    number = 0
    try:
        for number, line in enumerate(_lines(backup), start=1):  # noqa: B007 - told where a line is wrong
            found.take(line)
        found.end()
    except LineFault as error:
        raise Misconfigured(f"{backup.folder / STORE_FILE}, line {number}: {error}.") from error
    told = {
        f"{prefixes[each.exchange]}{kind}:{each.symbol}": stream
        for each in store.symbols
        for kind, stream in each.streams.items()
    }
    if told != found.streams or store.sources != found.sources:
        raise Misconfigured(f"{backup.folder / STORE_FILE} holds something else than its certificate says.")
    return CheckedBackup(found.streams, found.sources)


def _lines(backup: FoundBackup) -> Iterator[bytes]:
    with backup.opened(STORE_FILE) as file:
        while line := file.readline(LINE_BYTES_MAX):
            if not line.endswith(b"\n"):
                raise LineFault("it is too long, or has no end")
            yield line


async def restore(order: RestoreOrder, checked: CheckedBackup, tell: Tell) -> RestoredBackup:
    """Put it there. Raises `Misconfigured` and `SinkUnavailable`; nothing of it is there then."""
    await asyncio.to_thread(_check_room, order)
    connection = await StoreConnection.connect(order.servers.store, errors="surrogateescape")
    try:
        restorer = KeyRestorer(connection, order.prefixes, time.time_ns() // 1_000_000)
        await _refuse_used_store(order, restorer)
        await asyncio.to_thread(_refuse_used_files, order)
        files = _Files(order)
        async with _undone_on_failure(order, restorer, files):
            database = order.backup.certificate.database
            if order.servers.dsn is None or database is None:
                await _put_keys_and_files(order, checked, connection, restorer, files, tell)
            else:
                async with restoring(order.servers.dsn) as rows:
                    await _refuse_used_database(order, rows)
                    await _put_rows(order, database, rows, tell)
                    await _put_keys_and_files(order, checked, connection, restorer, files, tell)
        await restorer.finish(checked.sources)
        return RestoredBackup(restorer.expired)
    finally:
        connection.close()


@asynccontextmanager
async def _undone_on_failure(order: RestoreOrder, restorer: KeyRestorer, files: _Files) -> AsyncIterator[None]:
    """Throw keys and files away again, where they were begun and the block fails."""
    try:
        yield
    except BaseException:
        await asyncio.to_thread(files.remove)
        if restorer.has_begun:
            # What was under way has cost the connection. Where there is no other one, the store stays marked.
            with contextlib.suppress(SinkUnavailable, Misconfigured):
                connection = await StoreConnection.connect(order.servers.store)
                await KeyRestorer(connection, order.prefixes, 0).clear()
                connection.close()
        raise


async def _put_keys_and_files(
    order: RestoreOrder, checked: CheckedBackup, connection: StoreConnection, restorer: KeyRestorer, files: _Files,
    tell: Tell,
) -> None:  # fmt: skip
    await restorer.begin()
    if order.replace:
        await restorer.clear(keep_sources=True)
    async for line in _told_lines(order, tell, STORE):
        await restorer.put(line)
    await restorer.flush()
    comparison = KeyComparison(connection, order.prefixes)
    async for line in _told_lines(order, tell, "comparison", with_entries=False):
        await comparison.take(line)
    await comparison.flush()
    for key, held in checked.streams.items():
        await comparison.compare_stream(key, held)
    if comparison.differing:
        raise Misconfigured(
            f"The store holds something else of {comparison.differing[0]} than was put there: is somebody else writing "
            "to it? Nothing was restored."
        )
    await asyncio.to_thread(files.put)


async def _told_lines(
    order: RestoreOrder, tell: Tell, name: str, *, with_entries: bool = True
) -> AsyncIterator[Line]:  # fmt: skip
    """Looked at once more: the file may have been changed since. Entries of streams may be left out: they are lists."""
    held = order.backup.held(STORE_FILE)
    if held is None:
        return
    check_line, done = LineCheck(order.prefixes), 0
    try:
        for line in _lines(order.backup):
            done += len(line)
            if with_entries or not line.startswith(b"["):
                yield check_line.take(line)
            tell(name, done / max(held.bytes, 1))
    except LineFault as error:
        raise Misconfigured(f"{STORE_FILE} was changed while it was read: {error}. Nothing was restored.") from error


async def _put_rows(order: RestoreOrder, database: DatabaseHeld, rows: Restoration, tell: Tell) -> None:
    await rows.begin(database.version)
    for number, held in enumerate(database.tables):
        tell("database", number / len(database.tables))
        name = f"database/{held.table}.csv"
        file = order.backup.held(name)
        assert file is not None, "it was checked"
        with order.backup.opened(name) as opened:
            await rows.put(held, opened)
        if await rows.sum_of(held) != (held.rows, file.sha256):
            raise Misconfigured(
                f"PostgreSQL holds something else of {held.table} than was put there. Nothing was restored."
            )
    store = order.backup.certificate.store
    if store is not None:
        await rows.move_cursors(store.places, order.servers.places[0])
    await rows.update()
    tell("database", 1.0)


def _check_room(order: RestoreOrder) -> None:
    wanted = {name: sum(file.bytes for file in order.backup.certificate.files if file.name.startswith(name))
              for name in (STORE_FILE, "database/")}  # fmt: skip
    if order.store_folder is not None:
        check_space(order.store_folder, wanted[STORE_FILE] * STORE_BYTES_A_BYTE, "the store")
    if order.servers.rows is not None:
        check_space(order.servers.rows, wanted["database/"] * ROW_BYTES_A_BYTE, "PostgreSQL")


async def _refuse_used_store(order: RestoreOrder, restorer: KeyRestorer) -> None:
    place = order.servers.store.place
    others = await restorer.others()
    if others:
        raise Misconfigured(
            f"A data-collector is connected to the store at {place} (from {others[0]}): stop it, and whatever of ours "
            "else reads there, before something is restored."
        )
    if not order.replace and not await restorer.is_empty():
        raise Misconfigured(
            f"The store at {place} holds records already: name an empty one (REDIS_URL, or VAR_DIR of the embedded "
            "one), or throw them away with --replace."
        )


async def _refuse_used_database(order: RestoreOrder, rows: Restoration) -> None:
    if await rows.others():
        raise Misconfigured(
            f"A data-collector is connected to PostgreSQL at {rows.place}: stop it, and whatever of ours else reads "
            "there, before something is restored."
        )
    is_empty = await rows.is_empty()
    if not order.replace and not is_empty:
        raise Misconfigured(
            f"PostgreSQL at {rows.place} holds rows already: name an empty database (DATABASE_URL), or throw them away "
            "with --replace."
        )


def _refuse_used_files(order: RestoreOrder) -> None:
    if order.replace:
        return
    for home in order.homes.values():
        found = next((home / SPOOL_FOLDER).glob(f"*{SPOOL_SUFFIX}"), None)
        if found is not None:
            raise Misconfigured(
                f"{found.parent} holds trades that wait for a store: choose another VAR_DIR, or throw them away with "
                "--replace."
            )
    for name in order.backup.under("rules/"):
        path = order.rules / Path(name).name
        if path.exists() and path.read_bytes() != order.backup.content(name):
            raise Misconfigured(
                f"{path} is there and another one: move it away, or have it overwritten with --replace."
            )


class _Files:
    """Rules, numbers of epochs and spools on their way back. Methods block."""

    def __init__(self, order: RestoreOrder) -> None:
        self._order = order
        self._made: list[Path] = []

    def put(self) -> None:
        """All of them."""
        order = self._order
        for home in order.homes.values() if order.replace else ():
            shutil.rmtree(home / SPOOL_FOLDER, ignore_errors=True)
            for name in STATE_FILES:
                (home / name).unlink(missing_ok=True)
        for name in order.backup.under("rules/"):
            self._put(name, order.rules / Path(name).name)
        for name in (*order.backup.under("state/"), *order.backup.under("spool/")):
            kind, exchange, last = name.split("/")
            home = order.homes[exchange]
            self._put(name, home / SPOOL_FOLDER / last if kind == "spool" else home / last)

    def remove(self) -> None:
        """Those that were made."""
        for path in self._made:
            path.unlink(missing_ok=True)

    def _put(self, name: str, path: Path) -> None:
        held = self._order.backup.held(name)
        assert held is not None, "it is one of the certificate's"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            self._made.append(path)
        unfinished = path.with_name(f".{path.name}.restored")
        unfinished.unlink(missing_ok=True)
        try:
            with os.fdopen(
                os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
            ) as file:
                for part in self._order.backup.parts(held):
                    file.write(part)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
