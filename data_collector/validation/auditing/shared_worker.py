"""One audit worker for several collectors (docs/decisions/0025-one-great-expectations.md).

Whoever starts the collectors holds the worker, and gives each collector a line to ask it on. They take turns: an audit,
from its first part to its report, or the check of a suite. A line has one request under way, so turns go round, and
none waits longer than for one request of each of the others; what waits for them is kept, and bounded, by each
collector's `Auditor`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from data_collector.child import Link, LinkLost, open_link
from data_collector.model.errors import Transient
from data_collector.observe.logs import get_log
from data_collector.validation.auditing.audit_worker import AUDIT_TIMEOUT_S, CHECK_TIMEOUT_S, AuditWorker
from data_collector.validation.auditing.messages import (
    Answer,
    Audit,
    AuditPart,
    AuditReport,
    CheckSuite,
    NoAnswer,
    Request,
    Taken,
    request_decoder,
)

NEXT_PART_S: Final = 5.0
"""A collector that stands still in the middle of an audit loses its turn: the others wait for it."""

TURN_LOST: Final = f"The next part of the audit did not come within {NEXT_PART_S:g} s, and others had their turn."

_log = get_log()


class SharedWorker:
    """The worker: started when somebody asks, and started again when somebody asks after it has died."""

    def __init__(self, make: Callable[[], AuditWorker] = AuditWorker) -> None:
        self._worker = make()
        self._turn = asyncio.Lock()
        self._lines: set[asyncio.Task[None]] = set()
        self._starts = 0

    def connect(self) -> socket.socket:
        """The end of a new line, for a `SharedPort`. The line lasts until whoever holds that end has closed it."""
        ours, theirs = socket.socketpair()
        line = asyncio.create_task(self._serve(ours), name="audit line")
        self._lines.add(line)
        line.add_done_callback(self._forget)
        return theirs

    async def close(self) -> None:
        """Hang up on all, and end the worker."""
        lines = set(self._lines)
        for line in lines:
            line.cancel()
        if lines:
            await asyncio.wait(lines)
        await self._worker.close()

    def _forget(self, line: asyncio.Task[None]) -> None:
        self._lines.discard(line)
        if not line.cancelled() and line.exception() is not None:
            _log.error("audit_line_failed", exc_info=line.exception())

    async def _serve(self, end: socket.socket) -> None:
        """One collector's requests, until it hangs up."""
        line = _Line(await open_link(end, request_decoder))
        try:
            while True:
                request = await line.received()
                assert request is not None, "it was waited for without end"
                if _is_continued(request):
                    answer: Answer | None = NoAnswer(TURN_LOST, is_suspect=False)
                else:
                    async with self._turn:
                        answer = await self._heard_out(line, request)
                if answer is not None:
                    await line.send(answer)
        except LinkLost:
            return
        finally:
            line.close()

    async def _heard_out(self, line: _Line, request: Request) -> Answer | None:
        """What is said of a request, and of those that belong to it; None where the next one does not come."""
        while True:
            answer = await self._asked(request)
            if not isinstance(answer, Taken):
                return answer
            await line.send(answer)
            following = await line.received(NEXT_PART_S)
            if following is None:
                _log.warning("audit_turn_lost", waited_s=NEXT_PART_S)
                return None
            request = following

    async def _asked(self, request: Request) -> Answer:
        try:
            if not self._worker.alive and not _is_continued(request):
                self._starts += 1
                await self._worker.start()
        except Transient as error:
            return NoAnswer(str(error), is_suspect=False)
        timeout_s = CHECK_TIMEOUT_S if isinstance(request, CheckSuite) else AUDIT_TIMEOUT_S
        try:
            answer = await self._worker.ask(request, timeout_s)
        except Transient as error:
            _log.warning("audit_worker_lost", reason=str(error))
            return NoAnswer(str(error), is_suspect=True)
        if isinstance(answer, AuditReport):
            answer.worker_starts = self._starts
        return answer


class _Line:
    """The end that the worker's holder has: what is on its way can be waited for with a limit, and is not lost."""

    def __init__(self, link: Link[Request]) -> None:
        self._link = link
        self._coming: asyncio.Task[Request] | None = None
        self.send = link.send

    async def received(self, timeout_s: float | None = None) -> Request | None:
        """The next request; None when there is none in this time. Raises `LinkLost`."""
        if self._coming is None:
            self._coming = asyncio.create_task(self._link.receive(), name="audit request")
        await asyncio.wait((self._coming,), timeout=timeout_s)
        if not self._coming.done():
            return None
        coming, self._coming = self._coming, None
        return coming.result()

    def close(self) -> None:
        """Hang up."""
        if self._coming is not None:
            self._coming.cancel()
        self._link.close()


def _is_continued(request: Request) -> bool:
    """Whether parts of an audit have to come before it."""
    return (isinstance(request, AuditPart) and not request.is_first) or (
        isinstance(request, Audit) and request.chunks_before > 0
    )
