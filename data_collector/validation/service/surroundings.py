"""What the routes of the service work with."""

from __future__ import annotations

import time
from typing import Annotated, Final

from fastapi import Depends, Request
from msgspec import Struct

from data_collector.observe.counters import Counters
from data_collector.validation.service.bodies import LargeBodies
from data_collector.validation.service.docs_site import DocsSite
from data_collector.validation.service.findings import Findings
from data_collector.validation.service.line import WorkerLine
from data_collector.validation.service.options import Options
from data_collector.validation.service.rulebook import Rulebook
from data_collector.web.rejections import Rejections

WORKER_GRACE_S: Final = 60.0
"""Great Expectations takes seconds to import, on a slow machine many."""


class Running(Struct):
    """How the process itself is."""

    began: float
    fault: str = ""
    """Of one of the service's own tasks that has died: a bug."""

    @property
    def in_grace(self) -> bool:
        """Whether it has just been started."""
        return time.monotonic() - self.began < WORKER_GRACE_S


class Surroundings(Struct, frozen=True):
    """Put into the application's state by `create_app`."""

    options: Options
    running: Running
    line: WorkerLine
    rulebook: Rulebook
    findings: Findings
    counters: Counters
    rejections: Rejections
    bodies: LargeBodies
    site: DocsSite


async def surroundings_of(request: Request) -> Surroundings:
    """For `Depends`; a coroutine, because a plain function would be run in a thread."""
    surroundings: Surroundings = request.app.state.surroundings
    return surroundings


Around = Annotated[Surroundings, Depends(surroundings_of)]
