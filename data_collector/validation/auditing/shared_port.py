"""A collector's end of a line to an audit worker that several collectors share (`auditing.shared_worker`)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from data_collector.child import FrameTooLong, Link, LinkLost, open_link
from data_collector.model.errors import Transient
from data_collector.validation.auditing.chunks import AuditBroken, Sealed
from data_collector.validation.auditing.messages import (
    Answer,
    Audit,
    AuditPart,
    AuditReport,
    CheckReport,
    CheckSuite,
    NoAnswer,
    WorkerFault,
    answer_decoder,
)
from data_collector.validation.auditing.ports import BATCH_BYTES_MAX, audited, reason_of_answer, untried
from data_collector.validation.rules.columns import Kind


class SharedPort:
    """A `WorkerPort`."""

    batch_bytes_max = BATCH_BYTES_MAX

    def __init__(self, end: socket.socket, source: str) -> None:
        self._end = end
        self._source = source
        self._link: Link[Answer] | None = None
        self._turn = asyncio.Lock()
        self.is_up = False
        """Whether it answered when it was asked last."""
        self.starts = 0

    async def audit(self, chunks: Sequence[Sealed]) -> AuditReport:
        """See `AuditPort`. Raises `AuditBroken`, and `Transient` when the worker cannot be asked."""
        async with self._turn:
            try:
                report = await audited(self._asked, self._source, chunks)
            except _Suspected as error:
                raise AuditBroken(f"The audit worker failed: {error}") from error
        self.starts = report.worker_starts
        return report

    async def check(self, kind: Kind, document: bytes) -> list[str]:
        """See `WorkerPort`."""
        async with self._turn:
            try:
                answer = await self._asked(CheckSuite(kind, document))
            except _Suspected as error:
                # What it could not survive must not become the suite in force.
                return untried(str(error))
        return answer.faults if isinstance(answer, CheckReport) else untried(reason_of_answer(answer))

    async def close(self) -> None:
        """Hang up."""
        if self._link is None:
            self._end.close()
        else:
            self._link.close()

    async def _asked(self, request: AuditPart | Audit | CheckSuite) -> Answer:
        """Raises `Transient`. There is no limit of time: whoever holds the worker has one for every request."""
        self.is_up = False
        try:
            if self._link is None:
                self._link = await open_link(self._end, answer_decoder)
            await self._link.send(request)
            answer = await self._link.receive()
        except FrameTooLong as error:
            return WorkerFault(f"The request has {error}.")
        except LinkLost as error:
            raise Transient(f"The line to the shared audit worker is lost ({error}); restart the service.") from error
        if isinstance(answer, NoAnswer):
            raise (_Suspected if answer.is_suspect else Transient)(answer.message)
        self.is_up = True
        return answer


class _Suspected(Transient):
    """The worker failed over this very request."""
