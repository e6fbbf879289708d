"""What a running collector writes down of itself, so that commands beside it work with its database and exchange."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from data_collector.embedded.peer import command_of, is_alive
from data_collector.embedded.record import RECORD_BYTES_MAX, write_file
from data_collector.model.keys import FIRST_EXCHANGE

RECORD_NAME = "collector.json"
FOLDERS_MAX = 100


class CollectorRecord(Struct, frozen=True):
    """One collector. A record can outlive its process: `running_collectors` leaves those out."""

    pid: int
    command: str
    """Its command line: another process can have the number by now."""
    started_at: str
    """ISO-8601 UTC."""
    rest_url: str
    """The exchange's REST side."""
    database: str | None
    """`embedded`, or host, port and database of another one, without its login; None without PostgreSQL."""
    exchange: str = FIRST_EXCHANGE
    """Its name; left out by releases that knew the first one alone."""
    servers: str | None = None
    """The folder of the embedded servers that it shares with collectors of other exchanges; None without."""
    api: str | None = None
    """Base URL of the HTTP process that started it; None where that has not told."""
    ws_url: str | None = None
    """The exchange's streams; left out by releases that did not tell."""

    def servers_in(self, folder: Path) -> Path:
        """The folder of its embedded servers, whose own is `folder`."""
        return folder if self.servers is None else Path(self.servers)


def write_down(folder: Path, record: CollectorRecord) -> None:
    """For a folder that is locked by us. Blocks for a moment."""
    write_file(folder / RECORD_NAME, msgspec.json.encode(record) + b"\n")


def forget(folder: Path) -> None:
    """Collecting is over. Blocks for a moment."""
    (folder / RECORD_NAME).unlink(missing_ok=True)


def running_collectors(var_dir: Path) -> list[tuple[Path, CollectorRecord]]:
    """The folders below `var_dir` in which a collector is at work; newest start first. Blocks for a moment."""
    found: list[tuple[Path, CollectorRecord]] = []
    for path in sorted(var_dir.glob(f"*/{RECORD_NAME}"))[:FOLDERS_MAX]:
        try:
            with path.open("rb") as file:
                record = msgspec.json.decode(file.read(RECORD_BYTES_MAX), type=CollectorRecord)
        except (OSError, msgspec.MsgspecError, RecursionError):
            continue
        if is_alive(record.pid) and command_of(record.pid) == record.command:
            found.append((path.parent.resolve(), record))
    return sorted(found, key=lambda pair: pair[1].started_at, reverse=True)
