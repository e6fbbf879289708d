"""A server that an earlier start left behind: which one it is, and how to end it when it is no child of ours."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from data_collector.embedded.lock import FileLock
from data_collector.embedded.peer import Identity, command_of, identify, is_alive, until_disconnected
from data_collector.embedded.record import ServerRecord
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.observe.logs import Log

STOP_TIMEOUT_S = 60.0
"""A stop writes the append-only file out and syncs it; a slow disk takes seconds."""

KILL_TIMEOUT_S = 10.0

POLL_S = 0.01
WATCH_POLL_S = 0.1
"""A process that is not ours announces neither its readiness nor its end, so both are asked for."""


async def identify_orphan(directory: Path, unix_path: str | None, record: ServerRecord | None) -> Identity | None:
    """Who answers in the name of `directory`, at the socket or at the recorded port; None when nobody does."""
    identity = await identify(unix_path=unix_path) if unix_path is not None else None
    if identity is None and record is not None:
        identity = await identify(port=record.port)
    return identity if identity is not None and identity.directory.resolve() == directory else None


async def orphan_pid(identity: Identity | None, record: ServerRecord | None) -> int | None:
    """The process to stop: what the server said, or the recorded one when that still is such a server."""
    if identity is not None:
        return identity.pid
    if record is not None and "valkey-server" in await asyncio.to_thread(command_of, record.pid):
        return record.pid
    return None


async def stop_orphan(lock: FileLock, pid: int | None, log: Log) -> None:
    """End the server and take the lock that it held: the lock coming free is the proof that it has ended.

    Raises `Misconfigured` when nobody knows which process it is, `Unavailable` when it cannot be ended.
    """
    if await _taken_within(lock, 0.0):
        return
    if pid is None:
        raise Misconfigured(
            f"A store server that does not answer holds {lock.path}. "
            f"End it (fuser {lock.path} shows its process id), then start again."
        )
    log.info("embedded_store_orphan_stopping", pid=pid)
    for number, timeout_s in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, KILL_TIMEOUT_S)):
        if number == signal.SIGKILL:
            log.warning("embedded_store_killed", pid=pid, after_s=STOP_TIMEOUT_S)
        if is_alive(pid):
            os.kill(pid, number)
        if await _taken_within(lock, timeout_s):
            return
    raise Unavailable(f"The embedded store (process {pid}) cannot be ended. End it by hand: kill -9 {pid}")


async def until_orphan_gone(lock: FileLock, port: int) -> None:
    """Return when the server has ended; its lock is ours then.

    Not the process id: a dead process whose parent does not collect it still has one.
    """
    while not await asyncio.to_thread(lock.take):
        await until_disconnected(port)
        await asyncio.sleep(WATCH_POLL_S)


async def _taken_within(lock: FileLock, timeout_s: float) -> bool:
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not await asyncio.to_thread(lock.take):
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True
