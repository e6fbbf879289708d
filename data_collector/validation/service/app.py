"""The application: its doors, its routes, the tasks behind them, and serving it until a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from fastapi import Depends, FastAPI
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data_collector.model.errors import CollectorError, Transient
from data_collector.observe.counters import Counters
from data_collector.observe.logs import get_log
from data_collector.validation.auditing.audit_worker import AuditWorker
from data_collector.validation.auditing.messages import CheckReport, CheckSuite, WorkerFault
from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.rules.folder import RulesFolder
from data_collector.validation.rules.suite import DOCUMENT_BYTES_MAX, Suite
from data_collector.validation.service import routes
from data_collector.validation.service.bodies import AUDIT_BYTES_MAX, VALIDATE_BYTES_MAX, LargeBodies
from data_collector.validation.service.context import Options, ServiceContext, ServiceState
from data_collector.validation.service.docs_site import DocsSite, SiteFiles
from data_collector.validation.service.findings import Findings
from data_collector.validation.service.rulebook import PastSuites, Rulebook, Source
from data_collector.validation.service.supervised_worker import SupervisedWorker
from data_collector.web.answers import ERROR_ANSWERS, AnswerHeaders, Rejections
from data_collector.web.bounds import RateLimit, RequestBounds
from data_collector.web.capacity import Capacity
from data_collector.web.guard import WriteGuard, WritePolicy
from data_collector.web.parameters import demand_known_parameters
from data_collector.web.serving import serve_until_signal

OPEN_PATHS = ("/validate", "/audit")
"""A POST there computes an answer and changes nothing."""

LARGE_BODIES = {
    "/validate": VALIDATE_BYTES_MAX,
    "/audit": AUDIT_BYTES_MAX,
    **{f"/suites/{kind}": DOCUMENT_BYTES_MAX for kind in KINDS},
}

CLOSED = "Suites can be PUT only where CONTROL_TOKEN is set; without one, edit the files in SUITES_DIR."

COUNTED: Final = frozenset({"validate", "audit", "suites", "health", "metrics", "docs-site"})
"""First parts of the paths that requests are counted by."""

FAREWELL = "Leaving at once; the worker process ends by itself."

_log = get_log()


def serve(listener: socket.socket, options: Options, make_worker: Callable[[], AuditWorker]) -> int:
    """Run the service on a listening socket until SIGTERM or Ctrl-C; return the exit code.

    0 when it was asked to end, 70 when one of its tasks died. A second Ctrl-C leaves at once.
    """
    app = create_app(options, make_worker)
    context = context_of_app(app)
    serve_until_signal(listener, app, farewell=FAREWELL, on_exit=context.worker.leave)
    return CollectorError.exit_code if context.running.fault else 0


def create_app(options: Options, make_worker: Callable[[], AuditWorker]) -> FastAPI:
    """The application, which starts a worker process when it is served."""
    context = _context(options, make_worker)
    app = FastAPI(
        title="Data Validation Service",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lambda _: _lifespan(context),
        exception_handlers=ERROR_ANSWERS,
        routes=[Mount("/docs-site", SiteFiles(context.site), name="docs-site")],
    )
    app.state.context = context
    app.include_router(routes.router, dependencies=[Depends(demand_known_parameters())])
    policy = WritePolicy(
        environment=options.environment,
        token=options.token,
        allowed_hosts=options.allowed_hosts,
        always_token=True,
        closed=CLOSED,
    )
    rejections = context.rejections
    # The last one added is the first one that a request meets.
    app.add_middleware(WriteGuard, policy=policy, rejections=rejections, open_paths=OPEN_PATHS)
    app.add_middleware(RateLimit, rejections=rejections, work_paths=OPEN_PATHS)
    app.add_middleware(RequestBounds, rejections=rejections, large_bodies=LARGE_BODIES)
    app.add_middleware(Capacity, rejections=rejections, work_paths=OPEN_PATHS)
    app.add_middleware(AnswerHeaders)
    app.add_middleware(CountRequests, counters=context.counters)
    return app


def context_of_app(app: FastAPI) -> ServiceContext:
    """What an application's routes work with."""
    context: ServiceContext = app.state.context
    return context


def _context(options: Options, make_worker: Callable[[], AuditWorker]) -> ServiceContext:
    counters = Counters()
    findings = Findings(counters)
    worker = SupervisedWorker(make_worker)

    def changed(kind: Kind, source: Source) -> None:
        findings.suite_changed(kind)
        counters.add("data_validation_suite_changes_total", kind=kind, source=source)

    return ServiceContext(
        options=options,
        running=ServiceState(time.monotonic()),
        worker=worker,
        rulebook=Rulebook(
            RulesFolder(options.suites_dir),
            PastSuites(options.folder / "suites"),
            check=lambda suite: _faults_by_gx(worker, suite),
            on_change=changed,
        ),
        findings=findings,
        counters=counters,
        rejections=Rejections("data_validation_rejected_total"),
        bodies=LargeBodies(),
        site=DocsSite(
            options.folder / "docs", worker, counters, every_s=options.docs_every_s, audits=lambda: findings.audits
        ),
    )


@asynccontextmanager
async def _lifespan(context: ServiceContext) -> AsyncIterator[None]:
    await context.rulebook.load()
    # A TaskGroup around the yield would go on answering after a crash in it; tasks with a callback cannot.
    tasks = [
        asyncio.create_task(context.worker.run(), name="worker"),
        asyncio.create_task(context.rulebook.watch(), name="suites"),
        asyncio.create_task(context.site.run(), name="data docs"),
    ]
    for task in tasks:
        task.add_done_callback(lambda task: _end_server(context, task))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _end_server(context: ServiceContext, task: asyncio.Task[None]) -> None:
    """A service of which a part has died must not go on as if nothing were."""
    if task.cancelled():
        return
    _log.error("task_failed", task=task.get_name(), exc_info=task.exception())
    context.running.fault = f"The service's task for {task.get_name()} has ended; this is a bug, its log tells more."
    os.kill(os.getpid(), signal.SIGTERM)


async def _faults_by_gx(worker: SupervisedWorker, suite: Suite) -> list[str] | None:
    """What real Great Expectations has against a suite; None when it cannot be asked."""
    try:
        report = await worker.ask_for_us(CheckSuite(suite.kind, suite.encoded()))
    except Transient:
        return None
    if isinstance(report, CheckReport):
        return report.faults
    return [report.message if isinstance(report, WorkerFault) else "it answered something else"]


class CountRequests:
    """ASGI: the first thing that a request meets, so that what others refuse is counted too."""

    def __init__(self, app: ASGIApp, counters: Counters) -> None:
        self._app = app
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        first = scope["path"].split("/")[1] if scope["path"].startswith("/") else ""
        route = first if first in COUNTED else "other"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._counters.add("data_validation_requests_total", route=route, status=str(message["status"]))
            await send(message)

        await self._app(scope, receive, counted)
