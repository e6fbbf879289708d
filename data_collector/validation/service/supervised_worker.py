"""The worker process that runs Great Expectations: kept up, one request at a time, few waiting."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Final, Literal

from data_collector.model.backoff import Backoff
from data_collector.model.errors import Transient
from data_collector.observe.logs import get_log
from data_collector.validation.auditing.audit_worker import AuditWorker
from data_collector.validation.auditing.messages import Answer, Request

WAITING_MAX: Final = 4
"""Requests of clients that wait for the worker; a further one is refused, which its sender understands."""

REQUEST_TIMEOUT_S: Final = 60.0
"""For the largest audit on a slow machine; a small one takes a fraction of a second."""

DELAY_FIRST_S: Final = 0.5
DELAY_MAX_S: Final = 30.0

LOOK_S: Final = 0.1

State = Literal["starting", "up", "down"]

_log = get_log()


class WorkerBusy(Transient):
    """Enough requests wait already."""


class SupervisedWorker:
    """The worker that runs now. `run` starts it, and another one when it has died, with growing delays."""

    def __init__(self, make: Callable[[], AuditWorker]) -> None:
        self._make = make
        self._worker: AuditWorker | None = None
        self._turn = asyncio.Lock()
        self._was_up = False
        self._leaving = False
        self.starts = 0
        self.waiting = 0
        """Clients' requests that are not under way yet."""
        self.last_error = ""

    @property
    def state(self) -> State:
        """`starting` is the first start alone; whoever waits for another one hears `down`."""
        if self._worker is not None and self._worker.alive:
            return "up"
        return "down" if self._was_up or self.last_error else "starting"

    @property
    def pid(self) -> int | None:
        """Of the worker that is up."""
        return None if self._worker is None else self._worker.pid

    @property
    def restarts(self) -> int:
        """How often a worker was started after the first."""
        return max(self.starts - 1, 0)

    def leave(self) -> None:
        """The service ends: whoever waits for the worker is told at once, and no other one is started."""
        self._leaving = True
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    async def run(self) -> None:
        """Keep a worker up, until cancelled."""
        backoff = Backoff(DELAY_FIRST_S, DELAY_MAX_S, jitter=False)
        while True:
            began = time.monotonic()
            await self._serve_once()
            if self._leaving:
                await asyncio.Event().wait()
            delay_s = backoff.next_delay_s(served_s=time.monotonic() - began)
            _log.warning("audit_worker_down", reason=self.last_error, next_start_s=delay_s)
            await asyncio.sleep(delay_s)

    async def ask(self, request: Request) -> Answer:
        """For a client. Raises `WorkerBusy` when too many wait, and `Transient` when the worker is down or dies."""
        self.refuse_when_busy()
        self.waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self.waiting -= 1
        try:
            return await self._ask(request)
        finally:
            self._turn.release()

    async def ask_for_us(self, request: Request) -> Answer:
        """For the service's own tasks, which are few: they take their turn and are never refused as too many."""
        async with self._turn:
            return await self._ask(request)

    def refuse_when_busy(self) -> None:
        """Raise what `ask` would raise before a request is even read."""
        self._refuse_when_down()
        if self.waiting >= WAITING_MAX:
            raise WorkerBusy(f"{WAITING_MAX} requests wait for Great Expectations already; try again.", retry_after_s=1)

    def _refuse_when_down(self) -> None:
        if self.state != "up":
            raise Transient(f"The Great Expectations worker is {self.state}; try again.", retry_after_s=1)

    async def _ask(self, request: Request) -> Answer:
        self._refuse_when_down()
        assert self._worker is not None, "it is up"
        try:
            return await self._worker.ask(request, REQUEST_TIMEOUT_S)
        except Transient as error:
            # Another worker is started soon.
            raise Transient(str(error), retry_after_s=1) from error

    async def _serve_once(self) -> None:
        """Start a worker and watch it until it has ended."""
        worker = self._make()
        self.starts += 1
        try:
            await worker.start()
            self._worker = worker
            self._was_up = True
            _log.info("audit_worker_up", pid=worker.pid)
            while worker.alive:  # noqa: ASYNC110 - it is another process that ends
                await asyncio.sleep(LOOK_S)
            self.last_error = "It ended."
        except (Transient, OSError) as error:
            self.last_error = str(error)
        finally:
            self._worker = None
            await worker.close()
