"""What the service is told at its start, and what its routes work with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Final

from fastapi import Depends, Request
from msgspec import Struct

from data_collector import __version__
from data_collector.observe.counters import Counters
from data_collector.validation.service.bodies import LargeBodies
from data_collector.validation.service.docs_site import DocsSite
from data_collector.validation.service.findings import Findings
from data_collector.validation.service.rulebook import Rulebook
from data_collector.validation.service.supervised_worker import SupervisedWorker
from data_collector.web.answers import Rejections

WORKER_GRACE_S: Final = 60.0
"""Great Expectations takes seconds to import, on a slow machine many."""

DOCS_EVERY_S: Final = 300.0


class Options(Struct, frozen=True, kw_only=True):
    """Plain values: the command line reads the settings."""

    folder: Path
    """The service's own: suites of the past, Data Docs."""
    suites_dir: Path
    """The user's rules; the service writes there what is PUT."""
    environment: str = "development"
    """Shown in `/health`."""
    token: str | None = None
    """Bearer token of the routes that write."""
    allowed_hosts: tuple[str, ...] | None = None
    """Host headers that are accepted there."""
    docs_every_s: float = DOCS_EVERY_S
    """Seconds between two builds of the Data Docs."""
    version: str = __version__


class ServiceState(Struct):
    """How the process itself is."""

    began: float
    fault: str = ""
    """Of one of the service's own tasks that has died: a bug."""

    @property
    def in_grace(self) -> bool:
        """Whether it has just been started."""
        return time.monotonic() - self.began < WORKER_GRACE_S


class ServiceContext(Struct, frozen=True):
    """Put into the application's state by `create_app`."""

    options: Options
    running: ServiceState
    worker: SupervisedWorker
    rulebook: Rulebook
    findings: Findings
    counters: Counters
    rejections: Rejections
    bodies: LargeBodies
    site: DocsSite


async def context_of(request: Request) -> ServiceContext:
    """For `Depends`; a coroutine, because a plain function would be run in a thread."""
    context: ServiceContext = request.app.state.context
    return context


Context = Annotated[ServiceContext, Depends(context_of)]
