"""The collector as a whole: its parts, run together and stopped in order.

    service = Service(load_settings())
    await service.run()          # until `stop`, or the control link hangs up; raises what stopped it

Phases of a stop: lines first (nothing comes any more), then the outlet is written out, then the store is closed.
"""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import structlog
from msgspec import structs

from data_collector.control import Action, Request, serve_control
from data_collector.model.errors import CollectorError, expected_of
from data_collector.model.keys import Channel
from data_collector.model.status import Snapshot
from data_collector.model.subscriptions import ChangeStatus, DesiredSubscriptions
from data_collector.model.venue import Venue
from data_collector.observe.counters import Counters
from data_collector.pipeline.sequence.tally import Tap
from data_collector.service.collection import Collection
from data_collector.service.epochs import EpochHome
from data_collector.service.history_writer.part import History
from data_collector.service.part import Part, PartHealth, spawner
from data_collector.service.repairs import SpoolHome
from data_collector.service.store import StoreHome
from data_collector.service.subscription_plan import check_venue
from data_collector.service.validation import Validation
from data_collector.service.watches.heartbeat import Heartbeat
from data_collector.service.watches.recording import Recording
from data_collector.service.watches.statistics import Exchange
from data_collector.settings import Settings
from data_collector.sinks.redis.sink import RedisSink
from data_collector.time_limit import time_limit
from data_collector.validation.gate.gate import CompiledGate
from data_collector.venues.discovery import find_venue

STOPPED = "stopped by operator"

FIRST_START_S = 5.0
"""An order to start is answered with what is in the way after so long."""

AT_ONCE_S = 0.05
"""A start or stop that takes longer is answered as begun."""

TOLD_AFTER_S = 1.0
"""Most stops are over by then."""


class Service:
    """One exchange, one store."""

    _acting: asyncio.Task[None] | None = None
    """The newest start or stop that was asked for."""

    def __init__(
        self, settings: Settings, *, folder: str | None = None, venue: Venue | None = None, tap: Tap | None = None,
        extra_channels: Sequence[Channel] = (), empty: bool = False, source: str | None = None, api: str | None = None,
        klines_elsewhere: bool = False, servers: Path | None = None, audit: socket.socket | None = None,
    ) -> None:  # fmt: skip
        """`folder` is the part of VAR_DIR that is ours (default: the exchange's); `empty` throws away what is in it.

        `tap` gets each record that passed the gate; `extra_channels` are subscribed to for it alone. `source` is what
        the store is filled from (default: the REST address). `klines_elsewhere`: not in PostgreSQL by us. `servers` is
        the folder of the embedded servers that somebody else runs for several collectors, `audit` a line to their audit
        worker, and `api` the address of an HTTP process before us. Raises `Misconfigured`.
        """
        self._settings = settings
        self._venue = venue = venue or find_venue(settings.exchange)
        check_venue(settings, venue)
        home, rest_url = settings.var_dir / (folder or venue.folder), settings.rest_url
        self._folder = str(home.absolute())
        self._counters = counters = Counters()
        self.heartbeat = Heartbeat(counters)
        self._store = StoreHome(
            settings, home, venue, counters, source=source or rest_url, empty=empty, servers=servers, api=api,
        )  # fmt: skip
        recording = Recording(settings, venue, counters)
        rest = recording.open_rest(settings, venue, counters)
        spool = SpoolHome(settings, home, counters, empty=empty)
        self._epochs = epochs = EpochHome(settings, home, venue.name, empty=empty)
        validation = Validation(settings, home, counters, use=self._use_gate, shared=audit)
        self._collection = Collection(
            settings, venue, rest, spool, epochs, validation, counters, tap=tap, extra_channels=extra_channels,
            recorder=recording.recorder,
        )  # fmt: skip
        self._subscribed = self._collection.subscribed
        self.history = History(
            settings, home, venue, counters, self._store, self._subscribed, epochs.known,
            klines=not klines_elsewhere, empty=empty,
        )  # fmt: skip
        exchange = Exchange(venue, rest, settings, self._collection.statistics)
        self._parts: Sequence[Part] = (
            self.heartbeat, recording, exchange, self._store, spool, epochs, self.history, validation
        )  # fmt: skip
        """Those that live as long as we, from the ground up."""
        self._log = structlog.get_logger()
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._running = self._stopping = False
        self._changed = asyncio.Condition()
        self._work: asyncio.Task[None] | None = None
        self._collecting: asyncio.Task[None] | None = None
        self._control: asyncio.Task[None] | None = None
        self._fault: CollectorError | None = None

    async def run(self, control: socket.socket | None = None) -> None:
        """Collect until stopped. Raises `Misconfigured` or `Unavailable` when it cannot, and bugs as they are."""
        for notice in self._settings.notices:
            self._log.warning("notice", text=notice)
        self._stopping = False
        try:
            async with asyncio.TaskGroup() as group:
                self._work = group.create_task(self._run_work(group))
                if control is not None:
                    self._control = group.create_task(self._answer_until_hung_up(control))
        except BaseExceptionGroup as errors:
            expected = expected_of(errors)
            if expected is None:
                raise
            raise expected from None

    def _last_words(self) -> Snapshot | None:
        """Why it ends, where that is for people to mend."""
        return None if self._fault is None else structs.replace(self.snapshot(), ending=str(self._fault))

    async def stop(self) -> None:
        """End `run` in order. A second call changes nothing: the first must be able to finish."""
        if self._work is not None and not self._stopping:
            self._stopping = True
            self._work.cancel()

    async def wait_collecting(self) -> None:
        """Return when records are being collected."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._running)

    async def resubscribe(self, wish: DesiredSubscriptions) -> ChangeStatus:
        """Change what is subscribed, and return when that is done or refused."""
        begun = self._subscribed.begin(wish)
        return begun if begun.refusal is not None else await self._subscribed.wait()

    async def answer(self, request: Request) -> Snapshot:
        """Carry out a request from the control link, or begin to, and tell the state after it."""
        subscriptions: ChangeStatus | None = None
        match request.action:
            case "start" | "stop":
                self._acting = asyncio.create_task(self._act(request.action, self._acting))
                # What is done at once is told as done.
                await asyncio.wait((self._acting,), timeout=AT_ONCE_S)
            case "resubscribe":
                subscriptions = self._subscribed.begin(request.desired or DesiredSubscriptions())
            case "subscriptions":
                subscriptions = self._subscribed.status()
            case "status":
                pass
        return structs.replace(self.snapshot(), subscriptions=subscriptions)

    async def _act(self, action: Action, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait((before,))
        if action == "stop":
            self._wanted.clear()
            if self._collecting is not None:
                self._collecting.cancel()
            async with self._changed:
                await self._changed.wait_for(lambda: not self._running)
            return
        self._wanted.set()
        # Before the first one, store and exchange may have to be waited for.
        with suppress(TimeoutError):
            async with time_limit(None if self._collection.parts else FIRST_START_S), self._changed:
                await self._changed.wait_for(lambda: self._running)

    def snapshot(self) -> Snapshot:
        """The state now: health, readiness and every metric."""
        subscriptions = self._subscribed.current
        snapshot = Snapshot(
            collector_running=self._running,
            symbols=list(subscriptions.symbols),
            intervals=list(subscriptions.intervals),
            channels=list(subscriptions.channels),
            exchange=self._venue.name,
            key_prefix=self._venue.key_prefix,
            folder=self._folder,
            acting=self._acting is not None and not self._acting.done(),
        )
        healths = [part.report(snapshot) for part in reversed([*self._parts, *self._collection.parts])]
        if self._collection.parts:
            _judge(snapshot, healths, is_wanted=self._wanted.is_set())
            snapshot.samples, snapshot.histograms = self._counters.samples(), self._counters.histograms()
        elif self._wanted.is_set():
            snapshot.reasons = [self._store.waiting_for or self._epochs.waiting_for or "starting"]
        else:
            snapshot.condition, snapshot.reasons = "degraded", [STOPPED]
        return snapshot

    def _use_gate(self, gate: CompiledGate) -> None:
        self._collection.intake.use(gate)

    async def _answer_until_hung_up(self, control: socket.socket) -> None:
        await serve_control(control, self.answer, self._last_words)
        self._log.info("control_line_closed")
        await self.stop()

    async def _run_work(self, group: asyncio.TaskGroup) -> None:
        tasks: list[asyncio.Task[None]] = []
        spawn = spawner(group, tasks)
        try:
            with self._fault_kept():
                # The heartbeat watches the loop while the others open, too.
                self.heartbeat.start(spawn)
                for part in self._parts:
                    await part.open()
                sink = await self._store.connect()
                for part in self._parts[1:]:
                    part.start(spawn)
                while True:
                    await self._wanted.wait()
                    self._collecting = group.create_task(self._collect(sink))
                    await asyncio.wait((self._collecting,))
        except asyncio.CancelledError:
            self._log.info("stopping")
        finally:
            await self._close(tasks)

    async def _close(self, tasks: list[asyncio.Task[None]]) -> None:
        async with AsyncExitStack() as stack:
            # Each is closed whatever becomes of those before it: what nobody ends here would be left to run.
            for task in (self._control, self._acting):
                if task is not None:
                    stack.callback(task.cancel)
            for part in self._parts:
                stack.push_async_callback(self._close_part, part)
            if self._collecting is not None:
                self._collecting.cancel()
                with self._told("the store to take what was received"):
                    await asyncio.wait((self._collecting,))
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
        self._log.info("stopped")

    async def _close_part(self, part: Part) -> None:
        with self._told(part.awaited):
            await part.close()

    @contextmanager
    def _told(self, awaited: str) -> Iterator[None]:
        """Say what a stop waits for when that takes long."""
        telling = partial(self._log.info, "stop_waits", awaited=awaited)
        timer = asyncio.get_running_loop().call_later(TOLD_AFTER_S, telling)
        try:
            yield
        finally:
            timer.cancel()

    async def _collect(self, sink: RedisSink) -> None:
        """From a start to its stop, or until cancelled; then what waits is written out."""
        with self._fault_kept():
            await self._collection.begin(sink, was_filled=self._store.was_filled)
        await self._set_running(value=True)
        # What is here now stays: collections need not look at it again (131 ms less in a full one).
        gc.collect()
        gc.freeze()
        try:
            with self._fault_kept():
                async with asyncio.TaskGroup() as group:
                    self._collection.start(group)
        finally:
            await self._collection.end()
            await self._set_running(value=False)

    @contextmanager
    def _fault_kept(self) -> Iterator[None]:
        """For the last words: by then the group that has failed is not over yet."""
        try:
            yield
        except CollectorError as error:
            self._fault = error
            raise
        except BaseExceptionGroup as errors:
            self._fault = expected_of(errors)
            raise

    async def _set_running(self, *, value: bool) -> None:
        async with self._changed:
            self._running = value
            self._changed.notify_all()


def _judge(snapshot: Snapshot, healths: Sequence[PartHealth], *, is_wanted: bool) -> None:
    """Condition and readiness from what all parts told, once there has been a collection."""
    if not snapshot.collector_running or not is_wanted:
        snapshot.condition, snapshot.reasons = "degraded", [STOPPED]
        return
    snapshot.ready = all(health.ready for health in healths)
    snapshot.reasons = [reason for health in healths for reason in health.reasons]
    if any(health.is_losing for health in healths):
        snapshot.condition = "unhealthy"
    else:
        snapshot.condition = "degraded" if snapshot.reasons else "healthy"
