"""Starting, asking and ending the audit worker. Nothing here imports Great Expectations."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from importlib.util import find_spec
from typing import Final

import msgspec

from data_collector.model.errors import Transient
from data_collector.observe.child import is_over, send_signal, start_child
from data_collector.observe.logs import get_log
from data_collector.validation.messages import (
    FRAME_BYTES_MAX,
    LENGTH_BYTES,
    Answer,
    AuditReport,
    Request,
    WorkerFault,
    answer_decoder,
    encode,
)

COMMAND: Final = (sys.executable, "-m", "data_collector.validation.audit")
"""`--fd N` is appended: the end of the socket pair that the worker answers on."""

START_S: Final = 60.0
"""Importing takes 2 s, and many times that where nothing is compiled yet and the machine is busy."""

GROWTH_BYTES_MAX: Final = 512 * 1024 * 1024
"""A worker that has grown so much since its first report is ended; whoever holds it starts another one."""

ORDERLY_STOP_S: Final = 0.5
"""It sees that we hung up when it has answered; one that takes longer is killed, which costs nothing but the answer."""


def gx_is_installed() -> bool:
    """Whether there can be an audit here: a slim image leaves Great Expectations out."""
    return find_spec("great_expectations") is not None


class AuditWorker:
    """One worker process, asked one thing at a time. When it is gone, whoever holds this may start it again."""

    def __init__(self, command: Sequence[str] = COMMAND, *, quiet: bool = False) -> None:
        """`quiet`: its log lines go nowhere, for a command whose terminal belongs to people."""
        self._command = command
        self._first_bytes = 0
        self._log_to = asyncio.subprocess.DEVNULL if quiet else None
        self._child: asyncio.subprocess.Process | None = None
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Of the worker, while there is one."""
        return self._child.pid if self._child is not None and self.alive else None

    @property
    def alive(self) -> bool:
        """Whether it runs; one that died is found out about by asking it, or a moment later."""
        return self._child is not None and self._child.returncode is None

    async def start(self) -> None:
        """Start it, in place of one that still runs, and wait until it can answer. Raises `Transient` if it cannot."""
        async with self._turn:
            await self._kill()
            self._first_bytes = 0
            async with self._or_killed("was not ready", START_S):
                await self._launch()
                await self._read()

    async def ask(self, request: Request, timeout_s: float) -> Answer:
        """Its answer. Raises `Transient` when it is gone, or has not answered in time and was killed for it.

        It is also killed when the caller is cancelled: the next answer would be to the wrong question.
        """
        content = encode(request)
        if len(content) > FRAME_BYTES_MAX:
            return WorkerFault(f"The request has {len(content)} bytes and may have {FRAME_BYTES_MAX}.")
        async with self._turn, self._or_killed("did not answer", timeout_s):
            await self._write(content)
            answer: Answer = answer_decoder.decode(await self._read())
            if isinstance(answer, AuditReport) and self._has_grown(answer.memory_bytes):
                get_log().warning("audit_worker_grown", memory_bytes=answer.memory_bytes)
                await self._kill()
        return answer

    async def close(self) -> None:
        """Hang up and wait until it has ended. May be called at any time, and again."""
        self._hang_up()
        if self._child is not None:
            await is_over(self._child, ORDERLY_STOP_S)
        await self._kill()

    def _has_grown(self, memory_bytes: int) -> bool:
        self._first_bytes = self._first_bytes or memory_bytes
        return memory_bytes > self._first_bytes + GROWTH_BYTES_MAX

    @contextlib.asynccontextmanager
    async def _or_killed(self, failing: str, timeout_s: float) -> AsyncIterator[None]:
        done = False
        try:
            async with asyncio.timeout(timeout_s):
                yield
            done = True
        except TimeoutError as error:
            raise Transient(f"The audit worker {failing} within {timeout_s:g} s.") from error
        except (OSError, EOFError, msgspec.DecodeError) as error:
            raise Transient(f"The audit worker is gone ({type(error).__name__}: {error}).") from error
        finally:
            if not done:
                await self._kill()

    async def _launch(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._line = await asyncio.open_connection(sock=ours)
            self._child = await start_child(self._command, theirs, stderr=self._log_to)

    async def _write(self, content: bytes) -> None:
        _, writer = self._connected()
        writer.write(len(content).to_bytes(LENGTH_BYTES))
        writer.write(content)
        await writer.drain()

    async def _read(self) -> bytes:
        reader, _ = self._connected()
        length = int.from_bytes(await reader.readexactly(LENGTH_BYTES))
        if length > FRAME_BYTES_MAX:
            raise EOFError(f"it announced {length} bytes and may send {FRAME_BYTES_MAX}")
        return await reader.readexactly(length)

    def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._line is None:
            raise EOFError("it was not started")
        return self._line

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line[1].close()
            self._line = None

    async def _kill(self) -> None:
        self._hang_up()
        if self._child is not None:
            send_signal(self._child, signal.SIGKILL)
            await self._child.wait()
