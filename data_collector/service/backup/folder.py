"""The folder of a backup: made beside its place and put there at the end, and read without trust."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from data_collector.model.errors import Misconfigured
from data_collector.service.backup.certificate import (
    BYTES_MAX,
    NAME,
    SETTINGS_FILE,
    STORE_FILE,
    Certificate,
    FileHeld,
    read_certificate,
    sealed,
)
from data_collector.sinks.postgres.migrate import TABLES
from data_collector.validation.rules.columns import KINDS

FILES_MAX = 100_000
"""The spool has some hundred at most."""

COPY_BYTES = 1024 * 1024

_WORD = r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}"
_OTHERS = re.compile(rf"(?:state|spool)/{_WORD}/{_WORD}")
_KNOWN: Final = frozenset({
    STORE_FILE, SETTINGS_FILE, *(f"database/{table}.csv" for table in TABLES), *(f"rules/{kind}.json" for kind in KINDS)
})  # fmt: skip


class Mark(NamedTuple):
    """A place in a file that is being written."""

    size: int
    digest: hashlib._Hash


class WrittenFile:
    """One file of a backup that is being made. What blocks runs in a thread."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._digest = hashlib.sha256()
        self.size = 0
        """Bytes so far."""

    async def write(self, lines: bytes) -> None:
        """Behind all before."""
        self._digest.update(lines)
        self.size += len(lines)
        try:
            await asyncio.to_thread(self._file.write, lines)
        except OSError as error:
            # Said here: whoever reads a database beside it would take it for the database's.
            raise Misconfigured(
                f"{self._file.name} cannot be written ({error.strerror}). Nothing was backed up."
            ) from error

    def mark(self) -> Mark:
        """Where it is now."""
        return Mark(self.size, self._digest.copy())

    async def rewind(self, mark: object) -> None:
        """Throw away what was written since a mark of this file."""
        assert isinstance(mark, Mark), "it was given by `mark`"
        self.size, self._digest = mark.size, mark.digest.copy()
        await asyncio.to_thread(self._file.seek, mark.size)
        await asyncio.to_thread(self._file.truncate)

    def held(self) -> FileHeld:
        """For the certificate."""
        return FileHeld(name=self._name, bytes=self.size, sha256=self._digest.hexdigest())


class BackupFolder:
    """A folder that is being made; its name is another one until `finish`."""

    def __init__(self, partial: Path, folder: Path) -> None:
        self._partial = partial
        self._folder = folder
        self.files: list[FileHeld] = []

    @asynccontextmanager
    async def file(self, name: str) -> AsyncIterator[WrittenFile]:
        """A new file, on the disk when the block has ended."""
        path = self._partial / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            written = WrittenFile(file, name)
            yield written
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        self.files.append(written.held())

    async def copy(self, source: Path, name: str) -> None:
        """A file of ours that nobody writes to. One that has gone meanwhile is left out."""
        try:
            opened = source.open("rb")
        except FileNotFoundError:
            return
        with opened:
            async with self.file(name) as file:
                while part := await asyncio.to_thread(opened.read, COPY_BYTES):
                    await file.write(part)

    async def finish(self, certificate: Certificate) -> None:
        """Write the certificate, and give the folder its name."""
        async with self.file(NAME) as file:
            await file.write(sealed(certificate))
        await asyncio.to_thread(self._put_in_place)

    def _put_in_place(self) -> None:
        for folder in (*(path for path in self._partial.rglob("*") if path.is_dir()), self._partial):
            _sync(folder)
        self._partial.rename(self._folder)
        _sync(self._folder.parent)


@contextmanager
def made_folder(folder: Path) -> Iterator[BackupFolder]:
    """For the length of the block; what was not finished is gone then. Raises `Misconfigured`."""
    check_new(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700, parents=True)
        yield BackupFolder(partial, folder)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise Misconfigured(
                f"Somebody else has written to {folder} meanwhile; name a new folder for the backup."
            ) from error
        raise Misconfigured(f"The backup cannot be written to {folder} ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_new(folder: Path) -> None:
    """Raise `Misconfigured` where something is in the folder: a backup is never written over."""
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise Misconfigured(f"{folder} is there and not empty; name a new folder for the backup.")


def check_space(folder: Path, wanted: int, what: str) -> None:
    """Raise `Misconfigured` where the disk of a folder, or of the one that it will be in, has less room."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < wanted:
        raise Misconfigured(
            f"{there} has {free / 2**20:,.0f} MiB free, and {what} takes up to about {wanted / 2**20:,.0f} MiB: make "
            "room, or name another disk."
        )


class FoundBackup:
    """A folder that somebody says is a backup. Methods raise `Misconfigured`, and block."""

    def __init__(self, folder: Path) -> None:
        """Reads the certificate."""
        self.folder = folder
        if not folder.is_dir():
            raise Misconfigured(f"There is no folder {folder}.")
        try:
            with self._opened(NAME) as file:
                content = file.read(BYTES_MAX + 1)
        except FileNotFoundError:
            raise Misconfigured(f"{folder} is no backup, or one that was not completed: it has no {NAME}.") from None
        if len(content) > BYTES_MAX:
            raise Misconfigured(f"{folder / NAME} is too large to be a certificate.")
        self.certificate = certificate = read_certificate(content)
        names = [file.name for file in certificate.files]
        strange = [name for name in names if name not in _KNOWN and _OTHERS.fullmatch(name) is None]
        if strange or len(set(names)) < len(names) or len(names) > FILES_MAX:
            raise Misconfigured(f"{folder / NAME} names files that no backup has: {strange[:1] or 'one twice'}.")

    def held(self, name: str) -> FileHeld | None:
        """A file that the certificate names."""
        return next((file for file in self.certificate.files if file.name == name), None)

    def under(self, start: str) -> list[str]:
        """Files whose names begin so."""
        return [file.name for file in self.certificate.files if file.name.startswith(start)]

    def check_file(self, held: FileHeld) -> None:
        """Whether it is as it was written."""
        for _ in self.parts(held):
            pass

    def parts(self, held: FileHeld) -> Iterator[bytes]:
        """Its content; what is another one is told at its end at the latest."""
        with self._told(held.name), self._opened(held.name) as file:
            if os.fstat(file.fileno()).st_size != held.bytes:
                raise Misconfigured(f"{self.folder / held.name} has another size than when it was written.")
            digest = hashlib.sha256()
            while part := file.read(COPY_BYTES):
                digest.update(part)
                yield part
        if digest.hexdigest() != held.sha256:
            raise Misconfigured(f"{self.folder / held.name} was changed after the backup: its SHA-256 is another one.")

    def content(self, name: str) -> bytes:
        """Of a small file that the certificate names."""
        held = self.held(name)
        return b"" if held is None else b"".join(self.parts(held))

    def opened(self, name: str) -> BinaryIO:
        """A file that was checked."""
        with self._told(name):
            return self._opened(name)

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Misconfigured(f"{self.folder / name} cannot be read ({error.strerror or error}).") from error

    def _opened(self, name: str) -> BinaryIO:
        """Nothing that a link leads to, and no pipe or device."""
        path = self.folder / name
        for part in (path, *path.parents):
            if part == self.folder:
                break
            if part.is_symlink():
                raise Misconfigured(f"{part} is a link, and no backup has any.")
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise Misconfigured(f"{path} is no file.")
        return file


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
