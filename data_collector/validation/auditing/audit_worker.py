"""Starting, asking and ending the audit worker. Nothing here imports Great Expectations."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from importlib.util import find_spec
from typing import Final

from data_collector.child import Child, FrameTooLong, LinkLost, start_child
from data_collector.model.errors import Transient
from data_collector.observe.logs import get_log
from data_collector.time_limit import time_limit
from data_collector.validation.auditing.messages import Answer, AuditReport, Request, WorkerFault, answer_decoder

COMMAND: Final = (sys.executable, "-m", "data_collector.validation.audit")
"""`--fd N` is appended: the end of the socket pair that the worker answers on."""

START_S: Final = 60.0
"""Importing takes 2 s, and many times that where nothing is compiled yet and the machine is busy."""

AUDIT_TIMEOUT_S: Final = 60.0
"""A full batch takes about 2 s; a worker at the lowest priority on a busy machine much longer."""

CHECK_TIMEOUT_S: Final = 20.0
"""Loading a suite and running it over a few records takes less than a second."""

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
        self._child: Child[Answer] | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Of the worker, while there is one."""
        return self._child.pid if self._child is not None and self.alive else None

    @property
    def alive(self) -> bool:
        """Whether it runs; one that died is found out about by asking it, or a moment later."""
        return self._child is not None and self._child.is_running

    async def start(self) -> None:
        """Start it, in place of one that still runs, and wait until it can answer. Raises `Transient` if it cannot."""
        async with self._turn:
            await self._kill()
            self._first_bytes = 0
            async with self._or_killed("was not ready", START_S):
                self._child = await start_child(self._command, answer_decoder, stderr=self._log_to)
                await self._child.link.receive_frame()

    async def ask(self, request: Request, timeout_s: float) -> Answer:
        """Its answer. Raises `Transient` when it is gone, or has not answered in time and was killed for it.

        It is also killed when the caller is cancelled: the next answer would be to the wrong question.
        """
        async with self._turn, self._or_killed("did not answer", timeout_s):
            if self._child is None:
                raise LinkLost("it was not started")
            try:
                await self._child.link.send(request)
            except FrameTooLong as error:
                return WorkerFault(f"The request has {error}.")
            answer = await self._child.link.receive()
            if isinstance(answer, AuditReport) and self._has_grown(answer.memory_bytes):
                get_log().warning("audit_worker_grown", memory_bytes=answer.memory_bytes)
                await self._kill()
        return answer

    async def close(self) -> None:
        """Hang up and wait until it has ended. May be called at any time, and again."""
        if self._child is not None:
            await self._child.end(ORDERLY_STOP_S)

    def _has_grown(self, memory_bytes: int) -> bool:
        self._first_bytes = self._first_bytes or memory_bytes
        return memory_bytes > self._first_bytes + GROWTH_BYTES_MAX

    @contextlib.asynccontextmanager
    async def _or_killed(self, failing: str, timeout_s: float) -> AsyncIterator[None]:
        done = False
        try:
            async with time_limit(timeout_s):
                yield
            done = True
        except TimeoutError as error:
            raise Transient(f"The audit worker {failing} within {timeout_s:g} s.") from error
        except LinkLost as error:
            raise Transient(f"The audit worker is gone ({error}).") from error
        except OSError as error:
            raise Transient(f"The audit worker is gone ({type(error).__name__}: {error}).") from error
        finally:
            if not done:
                await self._kill()

    async def _kill(self) -> None:
        if self._child is not None:
            await self._child.end(0.0)
