"""Running the command line as users do: a process of its own, with exactly the variables that the test names."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from data_collector.embedded.valkey import EmbeddedValkey
from data_collector.model.store_url import StoreAddress
from data_collector.observe.logs import get_log
from data_collector.sinks.redis.connection import Command, StoreConnection

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0


class Finished(Struct, frozen=True):
    """What a command left behind."""

    code: int
    output: str
    errors: str


def command_environment(**variables: str) -> dict[str, str]:
    """Nothing of the machine's own settings reaches the command."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "COLUMNS": "200", **variables}


@asynccontextmanager
async def running(folder: Path, *words: str, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command `words`, running in `folder` for the length of the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "data_collector", *words),
        cwd=folder,
        env=command_environment(**variables),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def finished(folder: Path, *words: str, **variables: str) -> Finished:
    """Run the command to its end."""
    async with running(folder, *words, **variables) as process, asyncio.timeout(DEADLINE_S):
        output, errors = await process.communicate()
        assert process.returncode is not None
        return Finished(process.returncode, output.decode(), errors.decode())


@asynccontextmanager
async def embedded_store(folder: Path) -> AsyncIterator[EmbeddedValkey]:
    """An embedded store that `folder`, as VAR_DIR, is seen to have."""
    store = EmbeddedValkey(folder / "live", port=0, log=get_log())
    try:
        await store.start()
        yield store
    finally:
        await store.stop()


async def put(address: StoreAddress, *commands: Command) -> list[object]:
    """Run commands in the store."""
    connection = await StoreConnection.connect(address)
    try:
        return await connection.execute(commands)
    finally:
        connection.close()
