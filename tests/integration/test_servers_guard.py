"""Embedded servers whose owner was killed: ended with everything on disk, unless somebody goes on with them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from data_collector.embedded.guard import end_left_behind
from data_collector.embedded.lock import COLLECTOR_LOCK, SERVERS_LOCK, lock_directory
from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.embedded.record import read_record
from data_collector.embedded.valkey import EmbeddedValkey
from data_collector.model.store_url import StoreAddress
from data_collector.observe.logs import get_log
from data_collector.sinks.redis.connection import StoreConnection
from tests.integration.processes import is_running
from tests.integration.waiting import until_async

OWNER = """
import asyncio, sys
from pathlib import Path
from data_collector.embedded import guard
from data_collector.embedded.lock import COLLECTOR_LOCK, lock_directory
from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.embedded.valkey import EmbeddedValkey
from data_collector.observe.logs import get_log

async def main() -> None:
    folder, guard.GRACE_S, parts = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3].split(",")
    lock, watched = lock_directory(folder), guard.ServersGuard(folder)
    watched.start()
    store = EmbeddedValkey(folder, port=0, log=get_log())
    database = EmbeddedPostgres(folder / "postgres", log=get_log())
    pids = []
    if "store" in parts:
        await store.start()
        pids.append(store.pid)
    if "database" in parts:
        await database.start()
        pids.append(database.pid)
    print("ready", *pids, watched._process.pid, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await database.stop()
    await store.stop()
    watched.end()
    print("ended", flush=True)

asyncio.run(main())
"""


class Owner:
    """A process that runs servers, and their guard."""

    def __init__(self, folder: Path, parts: str, *, grace_s: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(folder), str(grace_s), parts],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        ready = next(line for line in self.process.stdout if line.startswith("ready"))
        *self.servers, self.guard = map(int, ready.split()[1:])

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    """Short, as paths of sockets must be."""
    with tempfile.TemporaryDirectory(prefix="dc-", ignore_cleanup_errors=True) as made:
        yield (folder := Path(made) / "live")
        await end_left_behind(folder)


async def ask(address: StoreAddress, *words: str) -> object:
    connection = await StoreConnection.connect(address)
    try:
        (reply,) = await connection.execute([words])
        return reply
    finally:
        connection.close()


async def test_servers_of_a_killed_owner_end_with_everything_written_out(folder: Path) -> None:
    owner = await asyncio.to_thread(Owner, folder, "store,database", grace_s=0.2)
    record = read_record(folder)
    assert record is not None
    assert EmbeddedPostgres(folder / "postgres", log=get_log()).running_dsn() is not None
    assert await ask(record.address, "SET", "kept", "1") == "OK"
    owner.kill()

    await until_async(lambda: not any(map(is_running, [*owner.servers, owner.guard])), "the end of all")

    assert "embedded_servers_left_behind" in (folder / "guard.log").read_text()
    lock_directory(folder).release()
    store = EmbeddedValkey(folder, port=0, log=get_log())
    await store.start()
    assert await ask(store.address, "GET", "kept") == "1"
    await store.stop()


@pytest.mark.parametrize("name", [COLLECTOR_LOCK, SERVERS_LOCK])
async def test_who_goes_on_with_them_keeps_them(folder: Path, name: str) -> None:
    """As the collector of one exchange, or as who runs the servers of several."""
    owner = await asyncio.to_thread(Owner, folder, "store", grace_s=0.3)
    owner.kill()
    lock, store = lock_directory(folder, name), EmbeddedValkey(folder, port=0, log=get_log())
    await store.start()

    await until_async(lambda: not is_running(owner.guard), "the end of the guard")

    assert (store.pid, store.adopted) == (owner.servers[0], True)
    assert await ask(store.address, "PING") == "PONG"
    await store.stop()
    lock.release()


async def test_guard_ends_with_an_orderly_owner_and_touches_nothing(folder: Path) -> None:
    owner = await asyncio.to_thread(Owner, folder, "store", grace_s=60)

    told, _ = await asyncio.to_thread(owner.process.communicate)

    assert told.endswith("ended\n")
    assert not is_running(owner.guard)
    assert (folder / "guard.log").read_text() == ""


async def test_guard_that_was_killed_changes_nothing_and_neither_does_a_folder_that_is_gone(folder: Path) -> None:
    owner = await asyncio.to_thread(Owner, folder, "store", grace_s=0.1)
    os.kill(owner.guard, signal.SIGKILL)
    owner.kill()

    assert is_running(owner.servers[0])
    assert await end_left_behind(folder)
    assert not is_running(owner.servers[0])
    assert not await end_left_behind(folder / "nowhere")
