"""Real Great Expectations for commands: the audit worker, for the length of a block."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, TypeVar

from rich.console import Console

from data_collector.model.errors import Transient, Unavailable
from data_collector.validation.auditing.audit_worker import AuditWorker
from data_collector.validation.auditing.messages import CheckReport, CheckSuite, Validate, ValidateReport, WorkerFault
from data_collector.validation.rules.columns import Value
from data_collector.validation.rules.suite import Suite

ANSWER_TIMEOUT_S: Final = 120.0
"""10,000 rows and a hundred rules take a second, and many times that on a busy machine."""

ROWS_MAX: Final = 10_000
"""What is asked about at once."""

Report = TypeVar("Report", CheckReport, ValidateReport)


class GreatExpectations:
    """What commands ask of it. Methods raise `Unavailable` when there is no answer."""

    def __init__(self, worker: AuditWorker) -> None:
        self._worker = worker

    async def faults(self, suite: Suite) -> list[str]:
        """What it has against a suite, having loaded it and run it over a few good records."""
        return (await self._ask(CheckSuite(suite.kind, suite.encoded()), CheckReport)).faults

    async def validate(self, suite: Suite, rows: list[list[Value]]) -> ValidateReport:
        """What it says of at most `ROWS_MAX` rows."""
        return await self._ask(Validate(suite.kind, suite.encoded(), rows), ValidateReport)

    async def _ask(self, request: CheckSuite | Validate, wanted: type[Report]) -> Report:
        try:
            answer = await self._worker.ask(request, ANSWER_TIMEOUT_S)
        except Transient as error:
            raise Unavailable(str(error)) from error
        if isinstance(answer, wanted):
            return answer
        told = answer.message if isinstance(answer, WorkerFault) else type(answer).__name__
        raise Unavailable(f"Great Expectations could not answer: {told}")


@asynccontextmanager
async def great_expectations() -> AsyncIterator[GreatExpectations]:
    """It, started for the block. Raises `Unavailable` when it does not start."""
    worker = AuditWorker(quiet=True)
    try:
        with waiting("Great Expectations starts …"):
            await worker.start()
        yield GreatExpectations(worker)
    except (Transient, OSError) as error:
        raise Unavailable(f"Great Expectations cannot be asked: {error}") from error
    finally:
        await worker.close()


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """A spinner on a terminal; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True).status(words):
        yield
