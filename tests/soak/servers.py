"""A primary and a replica of a real store, and what can befall them."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
from pathlib import Path

from data_collector.embedded.binary import server_binary
from data_collector.embedded.peer import free_port
from data_collector.model.errors import SinkUnavailable
from data_collector.model.store_url import StoreAddress
from data_collector.sinks.redis.connection import ReplyError, StoreConnection
from tests.integration.redis_server import PROGRAM
from tests.proxy import Proxy

START_TIMEOUT_S = 60.0
"""Loading some hundred megabytes on a busy machine."""

POLL_S = 0.01


def program(server: str) -> Path:
    """The server to run: the embedded Valkey, or Debian's Redis."""
    return server_binary() if server == "valkey" else PROGRAM


class Server:
    """One server process with a folder of its own."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self._idle: list[StoreConnection] = []

    async def start(self, *, replica_of: int | None = None) -> None:
        """Return when it takes commands."""
        process = self._process = self._started(replica_of)
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await self.answers():
                assert process.poll() is None, f"the server has ended: {self.folder / 'server.log'}"
                await asyncio.sleep(POLL_S)

    def _started(self, replica_of: int | None) -> subprocess.Popen[bytes]:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            str(self._binary), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--enable-debug-command", "yes",
            "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--repl-timeout", "10",
            "--maxmemory-policy", "noeviction",
        ]  # fmt: skip
        if replica_of is not None:
            command += ["--replicaof", f"127.0.0.1 {replica_of}"]
        with (self.folder / "server.log").open("a") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    async def ask(self, *words: str | int) -> object:
        """One command, whoever else asks. Raises `SinkUnavailable` or `ReplyError`."""
        idle = self._idle.pop() if self._idle else None
        if idle is None or not idle.is_open:
            idle = await StoreConnection.connect(StoreAddress(host="127.0.0.1", port=self.port))
        (reply,) = await idle.execute([words], timeout_s=START_TIMEOUT_S)
        self._idle.append(idle)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    async def answers(self) -> bool:
        """Whether it takes commands; one that loads its data does not."""
        try:
            return await self.ask("PING") == "PONG"
        except (SinkUnavailable, ReplyError):
            return False

    def hold(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """As a power cut does to the process; returns when it is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def forget(self) -> None:
        """Throw its data away; it must be dead."""
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)
        for file in self.folder.glob("*.rdb"):
            file.unlink()


class Pair:
    """Collectors reach the primary through `door`, the replica through `feed`: both can be hurt on their own."""

    def __init__(self, server: str, folder: Path) -> None:
        self.primary = Server(program(server), folder / "store-a")
        self.replica = Server(program(server), folder / "store-b")
        self.door = Proxy(self.primary.port)
        self.feed = Proxy(self.primary.port)
        self.changing = asyncio.Lock()
        """Held while the primary is down or about to be another one, by whoever does it."""

    async def start(self) -> None:
        """Both up, the replica in step."""
        await self.door.start()
        await self.feed.start()
        await self.primary.start()
        await self.replica.start(replica_of=self.feed.port)
        await self.in_step()

    def stop(self) -> None:
        """Both gone."""
        self.door.stop()
        self.feed.stop()
        self.primary.kill()
        self.replica.kill()

    async def in_step(self) -> None:
        """Return when the replica is connected and has all that it was given at first."""
        async with asyncio.timeout(START_TIMEOUT_S):
            while True:
                try:
                    told = str(await self.replica.ask("INFO", "replication"))
                except (SinkUnavailable, ReplyError):
                    told = ""
                if "master_link_status:up" in told:
                    return
                await asyncio.sleep(POLL_S)

    async def restart_primary(self) -> None:
        """kill -9, and the same server again with what it has on disk."""
        self.primary.kill()
        await self.primary.start()

    async def promote(self) -> None:
        """Make the replica the primary; the old one is dead, or will be by `renew_replica`."""
        await self.replica.ask("REPLICAOF", "NO", "ONE")
        self.primary, self.replica = self.replica, self.primary
        self.door.point_to(self.primary.port)

    async def renew_replica(self) -> None:
        """Whatever the replica was and had: dead, emptied, and in step with the primary."""
        self.replica.kill()
        self.replica.forget()
        self.feed.go_on()
        self.feed.point_to(self.primary.port)
        await self.replica.start(replica_of=self.feed.port)
        await self.in_step()
