"""What is written down about a running server, so that the next start and other programs find it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from data_collector.embedded.peer import identify
from data_collector.model.store_url import StoreAddress

RECORD_NAME = "valkey.json"
RECORD_BYTES_MAX = 64 * 1024
FOLDERS_MAX = 100


class ServerRecord(Struct, frozen=True):
    """One server. A record proves nothing: whoever reads it asks the server itself (`peer.identify`)."""

    pid: int
    port: int
    unix_path: str | None
    arguments: list[str]
    """The whole command line; a start that would use another one does not go on with this server."""
    started_at: str
    """ISO-8601 UTC."""

    @property
    def address(self) -> StoreAddress:
        """Where users reach it."""
        return StoreAddress(host="127.0.0.1", port=self.port)


def write_record(directory: Path, record: ServerRecord) -> None:
    """Put the record into the folder. Blocks for a moment."""
    write_file(directory / RECORD_NAME, msgspec.json.encode(record) + b"\n")


def write_file(path: Path, content: bytes) -> None:
    """In one step: readers see the old one or the new one. For this user alone. Blocks for a moment."""
    unfinished = path.with_suffix(".new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    unfinished.replace(path)


def read_record(directory: Path) -> ServerRecord | None:
    """The record of the folder; None when there is none that can be read. Blocks for a moment."""
    try:
        with (directory / RECORD_NAME).open("rb") as file:
            return msgspec.json.decode(file.read(RECORD_BYTES_MAX), type=ServerRecord)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None


def remove_record(directory: Path) -> None:
    """Forget the server. Blocks for a moment."""
    (directory / RECORD_NAME).unlink(missing_ok=True)


async def running_servers(var_dir: Path) -> list[tuple[Path, ServerRecord]]:
    """The folders below `var_dir` whose server answers, with what is written down of it; newest start first."""
    folders = await asyncio.to_thread(_folders_with_record, var_dir)
    found = [(folder, record) for folder in folders if (record := await _answering(folder)) is not None]
    return sorted(found, key=lambda pair: pair[1].started_at, reverse=True)


def _folders_with_record(var_dir: Path) -> list[Path]:
    return sorted(path.parent.resolve() for path in var_dir.glob(f"*/{RECORD_NAME}"))[:FOLDERS_MAX]


async def _answering(folder: Path) -> ServerRecord | None:
    record = await asyncio.to_thread(read_record, folder)
    if record is None:
        return None
    identity = await identify(port=record.port)
    # A record can outlive its server, and another server can have the port now.
    return record if identity is not None and identity.pid == record.pid else None
