"""Finding the embedded servers that run now, for programs beside the collector."""

from __future__ import annotations

import asyncio
from pathlib import Path

from data_collector.embedded.peer import identify
from data_collector.embedded.record import RECORD_NAME, ServerRecord, read_record

FOLDERS_MAX = 100


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
