"""The embedded store: a Valkey server of our own, kept in one folder, restartable, never doubled.

The server outlives a collector that is killed, on purpose: nothing of it is lost or loaded again. The next start
in the same folder finds it by the lock that it inherited and goes on with it, or stops it when it was started
with other flags.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from data_collector.embedded.binary import server_binary
from data_collector.embedded.lock import FileLock, prepare_directory
from data_collector.embedded.orphan import (
    POLL_S,
    STOP_TIMEOUT_S,
    WATCH_POLL_S,
    identify_orphan,
    orphan_pid,
    stop_orphan,
    until_orphan_gone,
)
from data_collector.embedded.peer import PORTS_TRIED, Identity, identify, is_port_free, ports_to_try
from data_collector.embedded.record import ServerRecord, read_record, remove_record, write_record
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.model.store_url import STORE_PORT, StoreAddress
from data_collector.observe.logs import Log
from data_collector.time_limit import time_limit

START_TIMEOUT_S = 20.0
"""From the start of the program to its first answer; usually 50 ms."""

LOAD_TIMEOUT_S = 900.0
"""Reading the append-only file back: about 200,000 entries a second, so this is far above any store of ours."""

UNIX_PATH_BYTES_MAX = 103
"""The limit of macOS; Linux allows four more."""

LOG_BYTES_MAX = 4 * 1024 * 1024
"""A server writes a few lines per start and rewrite, so this is years."""

BRING_BACK_S = 5.0
"""After a start that failed."""

LINES_QUOTED = 5
QUOTED_BYTES_MAX = 16 * 1024


class ServerLog:
    """The server's own log file: kept small, and quoted when the server fails. Methods block for a moment (files)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin = 0

    def begin(self) -> None:
        """Call before a start: sets a full file aside, and marks where the new server's words begin."""
        if self._size() > LOG_BYTES_MAX:
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        self._begin = self._size()

    def words(self) -> str:
        """What was written since `begin`, its end if it is long."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(self._begin, self._size() - QUOTED_BYTES_MAX))
                return file.read(QUOTED_BYTES_MAX).decode(errors="replace")
        except OSError:
            return ""

    def last_words(self) -> str:
        """The last lines for an error message."""
        lines = [line for line in self.words().splitlines() if line.strip()]
        quoted = "\n".join(f"  {line}" for line in lines[-LINES_QUOTED:]) or "  (nothing)"
        return f"Its last words, from {self.path}:\n{quoted}"

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0


KEPT = "appendonlydir"
"""The part of the folder in which is what it holds; the server's own name for it."""


class EmbeddedValkey:
    """A server in `directory`. Call `start`, then watch `wait`; after it returned, `start` brings the server back.

    Invariant: while one server runs, `valkey.lock` in the folder is held, by us and by that server.
    """

    def __init__(self, directory: Path, *, log: Log, port: int = STORE_PORT) -> None:
        """`port` is the first one to try, 0 any free one. The folder must already be locked by the caller."""
        self._directory = directory.resolve()
        self._first_port = port
        self._log = log
        self._lock = FileLock(self._directory / "valkey.lock")
        self._server_log = ServerLog(self._directory / "valkey.log")
        self._process: subprocess.Popen[bytes] | None = None
        self._record: ServerRecord | None = None

    @property
    def address(self) -> StoreAddress:
        """Where users reach it, on the loopback port."""
        return StoreAddress(host="127.0.0.1", port=self._started.port)

    @property
    def local_address(self) -> StoreAddress:
        """The shortest way for ourselves: the socket where the folder's path allows one."""
        unix_path = self._started.unix_path
        return self.address if unix_path is None else StoreAddress(unix_path=unix_path)

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._started.pid

    @property
    def adopted(self) -> bool:
        """True when an earlier start left the server behind and this one goes on with it."""
        return self._record is not None and self._process is None

    async def start(self) -> None:
        """Return when the server takes commands.

        Raises `Misconfigured` for a folder, port or program that cannot work, `Unavailable` when the server ends
        at once or does not come up in time; call `stop` then too.
        """
        await asyncio.to_thread(prepare_directory, self._directory)
        if not await asyncio.to_thread(self._lock.take) and await self._go_on_with_orphan():
            return
        binary = await asyncio.to_thread(server_binary)
        port_file = self._directory / "valkey.port"
        for port in await asyncio.to_thread(ports_to_try, port_file, self._first_port):
            if await asyncio.to_thread(is_port_free, port) and await self._launch(binary, port):
                await asyncio.to_thread(port_file.write_text, str(port))
                self._log.info("embedded_store_started", pid=self.pid, url=self.address.masked)
                return
        raise Misconfigured(
            f"No port from {self._first_port} to {self._first_port + PORTS_TRIED - 1} is free for the embedded store. "
            "End what listens there, or set REDIS_URL to a store of your own."
        )

    async def wait(self) -> int | None:
        """Return when the server has ended: its exit code, or None for an adopted one."""
        if self._process is not None:
            return await _ended(self._process)
        await until_orphan_gone(self._lock, self._started.port)
        return None

    async def empty(self) -> None:
        """Throw away what it holds. It runs before and after: so one that an earlier start left behind is found, too.

        Raises as `start`.
        """
        await self.stop()
        await asyncio.to_thread(shutil.rmtree, self._directory / KEPT, ignore_errors=True)
        await self.start()

    async def keep_up(self) -> None:
        """Bring the server back when it ends; never returns."""
        while True:
            code = await self.wait()
            self._log.error("embedded_store_ended", exit_code=code)
            while True:
                try:
                    await self.start()
                    break
                except (Misconfigured, Unavailable) as error:
                    self._log.error("embedded_store_not_back", reason=str(error), retry_s=BRING_BACK_S)
                    await asyncio.sleep(BRING_BACK_S)

    async def stop(self) -> None:
        """End the server with everything written out. Safe to call when none runs."""
        if self._process is not None:
            await self._stop_child(self._process)
        elif self._record is not None:
            await stop_orphan(self._lock, self._record.pid, self._log)
        if self._process is not None or self._record is not None:
            # Else what is written down is of a server of somebody else, whose folder it is.
            self._process, self._record = None, None
            await asyncio.to_thread(remove_record, self._directory)
        self._lock.release()

    async def end_left_behind(self) -> None:
        """End a server that an earlier start left behind, with everything written out. Raises as `start`."""
        if not await asyncio.to_thread(self._lock.take):
            record = await asyncio.to_thread(read_record, self._directory)
            identity = await identify_orphan(self._directory, self._unix_path(), record)
            await stop_orphan(self._lock, await orphan_pid(identity, record), self._log)
        await asyncio.to_thread(remove_record, self._directory)
        self._lock.release()

    @property
    def _started(self) -> ServerRecord:
        assert self._record is not None, "the embedded store is not started"
        return self._record

    def _arguments(self, binary: Path, port: int) -> list[str]:
        flags = {
            "port": str(port),
            "bind": "127.0.0.1",
            "protected-mode": "yes",
            "dir": str(self._directory),
            "logfile": str(self._server_log.path),
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        unix_path = self._unix_path()
        if unix_path is not None:
            flags |= {"unixsocket": unix_path, "unixsocketperm": "700"}
        return [str(binary), *(word for name, value in flags.items() for word in (f"--{name}", value))]

    def _unix_path(self) -> str | None:
        path = str(self._directory / "valkey.sock")
        return path if len(os.fsencode(path)) <= UNIX_PATH_BYTES_MAX else None

    async def _launch(self, binary: Path, port: int) -> bool:
        """Start at `port`; False when somebody was quicker to take that port."""
        arguments = self._arguments(binary, port)
        await asyncio.to_thread(self._server_log.begin)
        process = await asyncio.to_thread(self._spawn, arguments)
        self._record = ServerRecord(
            pid=process.pid,
            port=port,
            unix_path=self._unix_path(),
            arguments=arguments,
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self._process = process
        await asyncio.to_thread(write_record, self._directory, self._record)
        try:
            ready = await self._until_ready(process.pid)
        except BaseException:
            # Nobody would hold it: neither a failed nor a cancelled start may leave a server behind.
            if process.poll() is None:
                process.terminate()
            raise
        if ready:
            return True
        self._process, self._record = None, None
        if "Failed listening on port" in await asyncio.to_thread(self._server_log.words):
            return False
        last_words = await asyncio.to_thread(self._server_log.last_words)
        raise Unavailable(f"The embedded store ended at once with exit code {process.returncode}. {last_words}")

    def _spawn(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        # Not asyncio's way: uvloop leaves copies of our own output open in what it starts, and who reads our terminal
        # to its end would wait for a server that outlives us.
        output = os.open(self._server_log.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return subprocess.Popen(  # noqa: S603 - our own program and arguments
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._directory,
                # Our own variables hold passwords, and this process outlives us.
                env={"LC_ALL": "C", **{name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}},
                # Ctrl-C in the terminal goes to its whole group: the server must not end before what writes to it.
                start_new_session=True,
                pass_fds=(self._lock.descriptor,),
            )
        finally:
            os.close(output)

    async def _until_ready(self, pid: int) -> bool:
        """False when our child ended. Raises `Unavailable` when it takes too long."""
        reported = False
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
        while self._process is None or self._process.poll() is None:
            identity = await identify(port=self._started.port)
            # The process id tells our server from one that took the port in the same moment.
            ours = identity is not None and identity.pid == pid
            if ours and identity is not None and not identity.loading:
                return True
            if ours and not reported:
                reported = True
                deadline += LOAD_TIMEOUT_S
                self._log.info("embedded_store_loading", directory=str(self._directory))
            if asyncio.get_running_loop().time() > deadline:
                last_words = await asyncio.to_thread(self._server_log.last_words)
                raise Unavailable(f"The embedded store does not answer at port {self._started.port}. {last_words}")
            await asyncio.sleep(POLL_S)
        return False

    async def _go_on_with_orphan(self) -> bool:
        """Adopt the server that an earlier start left behind if it is what we would start, or else end it."""
        record = await asyncio.to_thread(read_record, self._directory)
        identity = await identify_orphan(self._directory, self._unix_path(), record)
        if record is None or identity is None or not await self._would_start(record, identity):
            await stop_orphan(self._lock, await orphan_pid(identity, record), self._log)
            return False
        self._process, self._record = None, record
        if identity.loading:
            await self._until_ready(record.pid)
        self._log.info("embedded_store_adopted", pid=record.pid, url=self.address.masked, since=record.started_at)
        return True

    async def _would_start(self, record: ServerRecord, identity: Identity) -> bool:
        binary = await asyncio.to_thread(server_binary)
        return identity.pid == record.pid and record.arguments == self._arguments(binary, record.port)

    async def _stop_child(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.terminate()
        try:
            async with time_limit(STOP_TIMEOUT_S):
                await _ended(process)
        except TimeoutError:
            self._log.warning("embedded_store_killed", pid=process.pid, after_s=STOP_TIMEOUT_S)
            process.kill()
            await _ended(process)
        self._log.info("embedded_store_stopped", pid=process.pid, exit_code=process.returncode)


async def _ended(process: subprocess.Popen[bytes]) -> int:
    """Its exit code, when it has ended."""
    while (code := process.poll()) is None:  # noqa: ASYNC110 - a process that is not asyncio's announces nothing
        await asyncio.sleep(WATCH_POLL_S)
    return code
