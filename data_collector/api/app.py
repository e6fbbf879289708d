"""The HTTP application: it starts the collector process, asks it, and ends with it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from data_collector import __version__
from data_collector.api import pages, routes
from data_collector.api.answers import masked
from data_collector.api.bounds import RateLimit, RequestBounds
from data_collector.api.collector import Collector
from data_collector.api.guard import WriteGuard, WritePolicy
from data_collector.api.headers import SECURITY_HEADERS, AnswerHeaders
from data_collector.api.quarantine import QuarantineReader
from data_collector.api.rejections import Rejections
from data_collector.api.workers import refuse_workers
from data_collector.model.errors import Misconfigured
from data_collector.model.status import Snapshot
from data_collector.observe.logs import configure_logs, get_log
from data_collector.settings import Settings, load_settings

FAULTS_TOLD_MAX = 10
"""A sentence about a body lists at most so many things that are wrong with it."""

_DESCRIPTION = "Market data of an exchange into Redis. Records are read from Redis; here is how the service is."

_log = get_log()


def create_app(
    settings: Settings | None = None,
    *,
    collector_command: Sequence[str] | None = None,
    collector_environment: Mapping[str, str] | None = None,
    on_ready: Callable[[Snapshot], None] | None = None,
) -> FastAPI:
    """The application, which starts its collector process when it is served.

    Without `settings` they are read from the environment, and a fault ends the process with its sentence and exit
    code: `uvicorn api:app` then shows no traceback. `collector_command` gets `--control-fd N` appended and runs in
    `collector_environment` (ours when None). `on_ready` gets the first snapshot that knows the store.
    """
    if settings is None:
        refuse_workers()
        configure_logs()
        settings = _settings_or_exit()
    collector = Collector(collector_command, collector_environment)
    rejections = Rejections()
    app = FastAPI(
        title="Data Collector",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lambda app: _lifespan(surroundings_of_app(app), on_ready),
        exception_handlers={RequestValidationError: _answer_invalid, Exception: _answer_bug},
        routes=list(pages.ASSETS),
    )
    app.state.surroundings = routes.Surroundings(settings, collector, QuarantineReader(), rejections)
    app.include_router(routes.router)
    app.include_router(pages.router)
    # The last one added is the first one that a request meets.
    app.add_middleware(WriteGuard, policy=_policy(settings), rejections=rejections)
    app.add_middleware(RateLimit, rejections=rejections)
    app.add_middleware(RequestBounds, rejections=rejections)
    app.add_middleware(AnswerHeaders)
    return app


def surroundings_of_app(app: FastAPI) -> routes.Surroundings:
    """What an application's routes work with, its collector process among them."""
    surroundings: routes.Surroundings = app.state.surroundings
    return surroundings


@asynccontextmanager
async def _lifespan(around: routes.Surroundings, on_ready: Callable[[Snapshot], None] | None) -> AsyncIterator[None]:
    collector = around.collector
    await collector.start()
    # A TaskGroup around the yield would go on answering after a crash in it; a task with a callback cannot.
    watch = asyncio.create_task(collector.run(on_ready), name="collector")
    watch.add_done_callback(lambda _: _end_server(collector))
    try:
        yield
    finally:
        around.quarantine.close()
        await collector.stop()
        await watch


def _end_server(collector: Collector) -> None:
    """A server without its collector must not go on: health is unhealthy from here on, and the process ends."""
    if not collector.stopping:
        os.kill(os.getpid(), signal.SIGTERM)


def _policy(settings: Settings) -> WritePolicy:
    token = settings.control_token
    return WritePolicy(
        environment=settings.environment,
        token=None if token is None else token.get_secret_value(),
        allowed_hosts=settings.allowed_hosts,
    )


def _settings_or_exit() -> Settings:
    try:
        return load_settings()
    except Misconfigured as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(error.exit_code) from None


async def _answer_invalid(_request: Request, error: Exception) -> JSONResponse:
    """One sentence that names every fault, and never what was given: that may be a secret in the wrong place."""
    assert isinstance(error, RequestValidationError), "registered for this class"
    faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    return JSONResponse({"detail": masked("; ".join(faults[:FAULTS_TOLD_MAX]))}, 422)


async def _answer_bug(request: Request, error: Exception) -> JSONResponse:
    """At the edge every bug becomes an answer; the log has the traceback, the client learns nothing of it.

    This answer is made outside of the layers that add headers to all others.
    """
    _log.error("request_failed", path=request.url.path, exc_info=error)
    return JSONResponse({"detail": "The service has a bug; its log tells more."}, 500, SECURITY_HEADERS)
