"""The HTTP application: it starts the collector process, asks it, and ends with it.

Serving it takes the port first, then starts the collector, and answers requests until a signal or the collector's end.
"""

from __future__ import annotations

import asyncio
import inspect
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NoReturn

import uvicorn
from fastapi import Depends, FastAPI
from uvicorn.config import STARTUP_FAILURE

from data_collector import __version__
from data_collector.alerting.errand import demand_receivers
from data_collector.api import pages
from data_collector.api.alerting import Alerting, Series
from data_collector.api.announcing import OnState
from data_collector.api.collector import Collector
from data_collector.api.collectors import Collectors, SeveralExchanges, several_of
from data_collector.api.completeness.former_entries import FormerEntries
from data_collector.api.completeness.kline_counting import KlineCounting
from data_collector.api.context import (
    ApiContext,
    Contexts,
    dropped,
    metrics_page,
    own_reasons,
    reasons_of,
    with_reasons,
)
from data_collector.api.live.feed import LiveFeed, Places
from data_collector.api.memory import MarketMemory
from data_collector.api.routes import gaps as gap_routes
from data_collector.api.routes import latest as latest_routes
from data_collector.api.routes import live as live_routes
from data_collector.api.routes import series as series_routes
from data_collector.api.routes import similar as similar_routes
from data_collector.api.routes import spread as spread_routes
from data_collector.api.routes import state as state_routes
from data_collector.api.routes import subscriptions as subscription_routes
from data_collector.api.series.reading import SeriesReading
from data_collector.api.series.streamed import Streams
from data_collector.api.store_reading import StoreReading
from data_collector.model.errors import CollectorError, Misconfigured
from data_collector.model.status import Snapshot
from data_collector.observe.logs import configure_logs, get_log
from data_collector.settings import Settings, load_settings
from data_collector.web.answers import ERROR_ANSWERS, AnswerHeaders, Rejections
from data_collector.web.bounds import RateLimit, RequestBounds
from data_collector.web.capacity import Capacity
from data_collector.web.guard import WriteGuard, WritePolicy
from data_collector.web.openapi import DescribedApp
from data_collector.web.parameters import demand_known_parameters
from data_collector.web.serving import at_signal, base_url, listen, serve_until_signal

FAREWELL = "Leaving at once; the collector process ends by itself when it has written what it holds."

NICE = 10
"""Where readers want more than the machine has, the feed goes first."""

Announce = Callable[[str, Snapshot], None]
"""Gets our base URL and the state every few seconds."""

_DESCRIPTION = "Market data of an exchange into Redis and PostgreSQL: how the service is, and the records."

_ROUTERS = tuple(
    routes.router
    for routes in (
        state_routes, gap_routes, series_routes, similar_routes, latest_routes, spread_routes, subscription_routes,
        live_routes,
    )
)  # fmt: skip

_ONE_PROCESS = (
    "The service runs in one process: start uvicorn without --workers (and without WEB_CONCURRENCY). More HTTP"
    " processes would each start a collector; for more symbols the one collector opens more connections by itself.\n"
)


def create_app(
    settings: Settings | None = None,
    *,
    collector_command: Sequence[str] | None = None,
    collector_environment: Mapping[str, str] | None = None,
    on_state: OnState | None = None,
    several: SeveralExchanges | None = None,
) -> FastAPI:
    """The application, which starts its collector process when it is served.

    Without `settings` they are read from the environment, and a fault ends the process with its sentence and exit
    code: `uvicorn api:app` then shows no traceback. `collector_command` gets `--control-fd N` appended and runs in
    `collector_environment` (ours when None). `on_state` gets the state every few seconds
    (`api.announcing`). `several` says how the collectors of several exchanges are started, where not in the usual way.
    """
    if settings is None:
        _refuse_workers()
        configure_logs()
        settings = _settings_or_exit()
    if several is None and len(settings.exchanges) > 1:
        several = several_of(settings, collector_environment)
    rejections = Rejections()
    app = DescribedApp(
        title="Data Collector", version=__version__, description=_DESCRIPTION, docs_url=None, redoc_url=None,
        # To whatever Host says.
        redirect_slashes=False,
        lifespan=lambda app: _lifespan(contexts_of_app(app), on_state),
        exception_handlers=ERROR_ANSWERS,
        routes=list(pages.ASSETS),
    )  # fmt: skip
    policy = _write_policy(settings)
    if several is None:
        own = {settings.exchange: (settings, Collector(collector_command, collector_environment))}
        app.state.contexts = _contexts(own, None, policy, rejections)
    else:
        collectors = Collectors(several, collector_environment)
        each = {name: (several.settings[name], collector) for name, collector in collectors.of.items()}
        app.state.contexts = _contexts(each, collectors, policy, rejections)
    for router in _ROUTERS:
        app.include_router(router, dependencies=[Depends(demand_known_parameters("exchange"))])
    app.include_router(pages.router)
    # The last one added is the first one that a request meets.
    app.add_middleware(WriteGuard, policy=policy, rejections=rejections)
    app.add_middleware(RateLimit, rejections=rejections)
    app.add_middleware(RequestBounds, rejections=rejections)
    app.add_middleware(Capacity, rejections=rejections)
    app.add_middleware(AnswerHeaders)
    return app


def _write_policy(settings: Settings) -> WritePolicy:
    return WritePolicy(environment=settings.environment, token=settings.token, allowed_hosts=settings.allowed_hosts)


def _contexts(
    of: Mapping[str, tuple[Settings, Collector]], collectors: Collectors | None, policy: WritePolicy,
    rejections: Rejections,
) -> Contexts:  # fmt: skip
    """Of each exchange; the way to the store is shared."""
    store, streams, klines = StoreReading(), Streams(), KlineCounting()
    alerts = Alerting(next(iter(of.values()))[0])
    contexts = {}
    for name, (own, collector) in of.items():
        series, former = SeriesReading(own, store), FormerEntries()
        memory = MarketMemory(own, collector.status, series)
        feed = LiveFeed(collector, own, former, list(of), partial(_judged, series, memory, alerts))
        contexts[name] = ApiContext(
            own, collector, store, series, streams, rejections, policy, former, klines, feed, memory
        )  # fmt: skip
    made = Contexts(contexts, collectors, Places(), alerts)

    async def metrics_now() -> Series:
        all_of = list(made.of.values())
        snapshot = await (all_of[0].collector.status() if collectors is None else collectors.joined())
        return (await metrics_page(made, snapshot, all_of)).series()

    made.alerts.series = metrics_now
    return made


def _judged(
    series: SeriesReading, memory: MarketMemory, alerts: Alerting, snapshot: Snapshot, more: list[str]
) -> Snapshot:  # fmt: skip
    """As `/health` tells it, with `more` reasons."""
    return with_reasons(snapshot, [*own_reasons(series, memory), *dropped(), *alerts.reasons, *more])


def contexts_of_app(app: FastAPI) -> Contexts:
    """What an application's routes work with, its collector processes among them."""
    contexts: Contexts = app.state.contexts
    return contexts


def serve(
    settings: Settings,
    *,
    announce: Announce | None = None,
    collector_command: Sequence[str] | None = None,
    collector_environment: Mapping[str, str] | None = None,
    several: SeveralExchanges | None = None,
) -> int:
    """Run API and collector until a signal, or until the collector ends; return the exit code.

    0 after SIGTERM or Ctrl-C, the collector's own code when it ended by itself. A second Ctrl-C leaves at once.
    Raises `Unavailable` when the port is taken and `Misconfigured` when it cannot be had at all, before anything
    is started.
    """
    demand_receivers(settings.alert_addresses)
    with listen(settings.host, settings.port) as listener:
        url = base_url(listener)
        app = create_app(
            settings,
            collector_command=collector_command,
            collector_environment=collector_environment,
            on_state=None if announce is None else lambda snapshot: announce(url, snapshot),
            several=several,
        )
        return serve_on(listener, app)


def serve_on(listener: socket.socket, app: FastAPI) -> int:
    """Run an application on a listening socket; as `serve`."""
    contexts = contexts_of_app(app)
    for context in contexts.of.values():
        context.memory.api_url = context.collector.api_url = base_url(listener)
    contexts.alerts.port = listener.getsockname()[1]
    serve_until_signal(listener, app, farewell=FAREWELL)
    return (contexts.collectors or contexts.first.collector).exit_code or 0


def main(app: FastAPI) -> int:
    """What `python api.py` does: serve `app` where its settings say; a fault is one sentence on standard error."""
    settings = contexts_of_app(app).first.settings
    try:
        with listen(settings.host, settings.port) as listener:
            url = base_url(listener)
            # At once: `run` and `demo` have a screen, and uvicorn tells it by itself.
            get_log().info("listening", page=f"{url}/", documentation=f"{url}/docs")
            return serve_on(listener, app)
    except CollectorError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


@asynccontextmanager
async def _lifespan(contexts: Contexts, on_state: OnState | None) -> AsyncIterator[None]:
    async with _collecting(contexts, on_state):
        first, all_of = contexts.first, contexts.of.values()
        tasks = [asyncio.create_task(each.series.watch(each.collector.status), name="reading") for each in all_of]
        tasks += [asyncio.create_task(context.live.run(), name="live feed") for context in all_of]
        tasks.append(asyncio.create_task(contexts.alerts.run(), name="alerts"))
        remembering = [asyncio.create_task(context.memory.run(), name="memory") for context in all_of]

        def end_streams() -> None:
            for context in all_of:
                context.live.end()
            first.streams.end()

        try:
            with at_signal(end_streams):
                yield
        finally:
            for task in (*tasks, *remembering):
                task.cancel()
            await contexts.alerts.close(_ending(contexts))
            for context in all_of:
                context.live.close()
                context.series.close()
            first.store.close()
            first.klines.close()
            # Their processes end first: what they read goes with the collectors.
            await asyncio.wait(remembering)


def _ending(contexts: Contexts) -> str | None:
    """Why the service ends by itself; None where somebody wants it to."""
    collector = contexts.collectors or contexts.first.collector
    if collector.stopping or not collector.exit_code:
        return None
    faults = [each.collector.fault for each in contexts.of.values() if each.collector.fault is not None]
    return " ".join(faults) or f"It cannot work (exit code {collector.exit_code})."


@asynccontextmanager
async def _collecting(contexts: Contexts, on_state: OnState | None) -> AsyncIterator[None]:
    """The collector, or all of them, from a start to the end of their processes."""
    many, alone = contexts.collectors, contexts.first.collector

    def tell(snapshot: Snapshot) -> None:
        assert on_state is not None, "it is called only then"
        on_state(with_reasons(snapshot, reasons_of(contexts)))

    if many is None:
        await alone.start()
        # From here on: the collector keeps its own. One that is started again could not.
        os.nice(NICE)
    # A TaskGroup around the yield would go on answering after a crash in it; a task with a callback cannot.
    telling = None if on_state is None else tell
    watch = asyncio.create_task((many or alone).run(telling), name="collector")
    watch.add_done_callback(lambda _: _end_server(many or alone))
    try:
        yield
    finally:
        if many is None:
            await alone.stop()
            await watch
        else:
            await many.stop(watch)


def _end_server(collector: Collector | Collectors) -> None:
    """A server without its collector must not go on: health is unhealthy from here on, and the process ends."""
    if not collector.stopping:
        os.kill(os.getpid(), signal.SIGTERM)


def _refuse_workers() -> None:
    """End a worker of `uvicorn --workers N`, which would start a collector of its own; uvicorn's parent then stops too.

    uvicorn tells an application nothing about its workers, but it imports the application from a method of its
    configuration, and that one knows: whether they were asked for by flag, by variable or by `uvicorn.run`.
    """
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        # --reload runs one process, whatever number of workers was asked for.
        if isinstance(caller, uvicorn.Config) and caller.workers > 1 and not caller.should_reload:
            _end_worker()
        frame = frame.f_back


def _end_worker() -> NoReturn:
    # All workers end, one of them says why.
    if multiprocessing.current_process().name.endswith("-1"):
        sys.stderr.write(_ONE_PROCESS)
    # This very code tells the parent that restarting the worker is of no use.
    raise SystemExit(STARTUP_FAILURE)


def _settings_or_exit() -> Settings:
    try:
        settings = load_settings()
        demand_receivers(settings.alert_addresses)
    except Misconfigured as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(error.exit_code) from None
    return settings
