"""The collector as a whole: puts the parts together, runs them, stops them in order.

    service = Service(load_settings())
    await service.run()          # until `stop`, or the control line hangs up; raises what stopped it

Phases of a stop: lines first (nothing comes any more), then the outlet is written out, then the store is closed.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import time
import uuid
from collections.abc import Sequence
from functools import partial

import structlog
from msgspec import structs

from data_collector.control import Request, serve_control
from data_collector.model.channels import CHANNELS
from data_collector.model.errors import CollectorError, Misconfigured, SinkUnavailable, VenueRefused, VenueUnreachable
from data_collector.model.keys import Channel
from data_collector.model.protocols import History as ExchangeHistory
from data_collector.model.protocols import Venue
from data_collector.model.status import Snapshot
from data_collector.model.subscriptions import ChangeStatus, Wish
from data_collector.observe.counters import Counters
from data_collector.pipeline.intake import Intake
from data_collector.pipeline.kline_repair import KlineRepair
from data_collector.pipeline.outlet import Outlet
from data_collector.pipeline.pump import Pump
from data_collector.pipeline.standby import Standby
from data_collector.pipeline.supervise import supervised
from data_collector.pipeline.tally import Tap
from data_collector.service.consumer_groups import ConsumerGroups, Limits
from data_collector.service.heartbeat import Heartbeat
from data_collector.service.history import History, Scope
from data_collector.service.lines import Group, Wiring
from data_collector.service.repairs import Repairs
from data_collector.service.report import STOPPED, Parts, fill
from data_collector.service.resubscription import Resubscription, Running
from data_collector.service.silence import SilenceWatch
from data_collector.service.statistics import Statistics
from data_collector.service.store import StoreHome
from data_collector.service.symbols import check_venue, unknown_sentence, unknown_symbols
from data_collector.service.validation import Validation
from data_collector.settings import Settings, expected_store_bytes
from data_collector.sinks.redis.calls import CallBuilder, StoreLimits
from data_collector.sinks.redis.sink import RedisSink
from data_collector.venues.discovery import find_venue

DRAIN_S = 3.0
"""How long a stop waits for the store to take what is left; a reload has 5 s for everything."""

BEGIN_RETRY_S = 0.5

LIVE_FOLDER = "live"


class Service:
    """One exchange, one store."""

    def __init__(
        self, settings: Settings, *, folder: str = LIVE_FOLDER, venue: Venue | None = None, tap: Tap | None = None,
        extra_channels: Sequence[Channel] = (), empty: bool = False, source: str | None = None,
        klines_elsewhere: bool = False,
    ) -> None:  # fmt: skip
        """`folder` is the part of VAR_DIR that is ours; `tap` gets each record that passed the gate.

        `extra_channels` are subscribed to for the tap alone; `empty` throws away what the embedded store held;
        `source` is what the store is filled from (default: the REST address). `klines_elsewhere`: not in PostgreSQL by
        us. Raises `Misconfigured`.
        """
        self._settings = settings
        self._source = source or settings.binance_rest_url
        self._venue = venue or find_venue("binance")
        check_venue(settings, self._venue)
        self._store = StoreHome(settings, settings.var_dir / folder, empty=empty)
        self._counters = Counters()
        self.heartbeat = Heartbeat(self._counters)
        self._log = structlog.get_logger()
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._running = self._stopping = False
        self._changed = asyncio.Condition()
        self._work: asyncio.Task[None] | None = None
        self._collection: asyncio.Task[None] | None = None
        self._control: asyncio.Task[None] | None = None
        self._repairs = Repairs(settings, settings.var_dir / folder, self._counters, empty=empty)
        self._outlet = Outlet(list(settings.symbols), self._repairs.spool)
        codec, calendar = self._venue.codec, self._venue.calendar
        self._validation = Validation(settings, settings.var_dir / folder, self._counters)
        scope = Scope(self._venue.name, self._venue.key_prefix, klines=not klines_elsewhere)
        self.history = History(settings, settings.var_dir / folder, scope, self._counters, empty=empty)
        self._intake = Intake(
            codec, self._validation.keeper.gate, self._outlet, calendar, _kline_intervals(settings), self._counters,
            self._validation.auditor, ledger=self._repairs.ledger,
        )  # fmt: skip
        self._validation.use, self._intake.tap = self._intake.use, tap
        self._history = _open_history(self._venue, settings, self._counters)
        self._repairs.join(self._outlet, self._intake, self._history)
        if "trade" not in settings.channels:
            self._intake.trades.lanes.clear()
        self._wiring = Wiring(settings, self._venue, extra_channels, self._intake, self._counters)
        self._resubscription = Resubscription(settings, self._venue, self._history, self._wiring, self._repairs)
        self._statistics = Statistics(self._history, self._intake, settings.symbols, settings.channels, self._counters)
        self._statistics.on_listed = self._validation.auditor.learn
        self._kline_repair = KlineRepair(self._intake, self._history, catch_up_s=settings.catch_up_seconds)
        self.history.follow(lambda: self._store.address, lambda: self._resubscription.current.symbols)
        self._sink: RedisSink | None = None
        self._pump: Pump | None = None
        self._parts: Parts | None = None

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
        except* CollectorError as errors:
            raise _first(errors) from None

    async def stop(self) -> None:
        """End `run` in order. A second call changes nothing: the first must be able to finish."""
        if self._work is not None and not self._stopping:
            self._stopping = True
            self._work.cancel()

    async def wait_collecting(self) -> None:
        """Return when records are being collected."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._running)

    async def resubscribe(self, wish: Wish) -> ChangeStatus:
        """Change what is subscribed, and return when that is done or refused."""
        begun = self._resubscription.begin(wish)
        return begun if begun.refusal is not None else await self._resubscription.wait()

    async def answer(self, request: Request) -> Snapshot:
        """Carry out a request from the control line and tell the state after it."""
        snapshot = None
        match request.action:
            case "start":
                self._wanted.set()
                async with self._changed:
                    await self._changed.wait_for(lambda: self._running or self._parts is None)
            case "stop":
                self._wanted.clear()
                if self._collection is not None:
                    self._collection.cancel()
                async with self._changed:
                    await self._changed.wait_for(lambda: not self._running)
            case "resubscribe":
                begun = self._resubscription.begin(request.wish or Wish())
                snapshot = structs.replace(self.snapshot(), subscriptions=begun)
            case "subscriptions":
                snapshot = structs.replace(self.snapshot(), subscriptions=self._resubscription.status())
            case "status":
                pass
        return snapshot or self.snapshot()

    def snapshot(self) -> Snapshot:
        """The state now."""
        settings, store = self._settings, self._store.public_address
        subscriptions = self._resubscription.current
        snapshot = Snapshot(
            collector_running=self._running,
            symbols=list(subscriptions.symbols),
            intervals=list(subscriptions.intervals),
            store_url=None if store is None else store.whole,
            redis_url=None if store is None else store.masked,
            validation_service_url=settings.validation_service_url or "embedded",
            key_prefix=self._venue.key_prefix,
            validation=self._validation.status(),
            history=self.history.status(),
            database_url=self.history.embedded_url,
        )
        if self._parts is None:
            snapshot.reasons = [self._store.waiting_for or "starting"]
            if not self._wanted.is_set():
                snapshot.condition, snapshot.reasons = "degraded", [STOPPED]
        else:
            fill(snapshot, self._parts)
        return snapshot

    async def _answer_until_hung_up(self, control: socket.socket) -> None:
        await serve_control(control, self.answer)
        self._log.info("control_line_closed")
        await self.stop()

    async def _run_work(self, group: asyncio.TaskGroup) -> None:
        watches: list[asyncio.Task[None]] = []
        try:
            watches.append(group.create_task(supervised("heartbeat", self.heartbeat.run)))
            sink = await self._prepare()
            watches.append(group.create_task(supervised("store", self._store.watch)))
            watches += [group.create_task(supervised(name, run)) for name, run in self._validation.tasks()]
            watches += [group.create_task(supervised(name, run)) for name, run in self.history.tasks()]
            while True:
                await self._wanted.wait()
                self._collection = group.create_task(self._collect(sink))
                await asyncio.wait((self._collection,))
        except asyncio.CancelledError:
            self._log.info("stopping")
        finally:
            await self._close(watches)

    async def _close(self, watches: list[asyncio.Task[None]]) -> None:
        if self._collection is not None:
            self._collection.cancel()
            await asyncio.wait((self._collection,))
        for watch in watches:
            watch.cancel()
        if watches:
            await asyncio.wait(watches)
        await self._validation.close()
        await self.history.close()
        await self._repairs.close()
        if self._sink is not None:
            await self._sink.close()
        await self._history.close()
        await self._store.close()
        if self._control is not None:
            self._control.cancel()
        self.heartbeat.end()
        self._log.info("stopped")

    async def _prepare(self) -> RedisSink:
        await self._check_symbols()
        await self._store.start()
        await self._repairs.open()
        address = self._store.address
        assert address is not None, "the store is started"
        settings = self._settings
        limits = StoreLimits(settings.trades_maxlen, settings.stream_maxlen, settings.kline_ttl_s)
        calls = CallBuilder(self._venue.store_keys, limits, self._venue.calendar, writer=uuid.uuid4().hex)
        expected = expected_store_bytes(settings)
        self._log.info("store_size_expected", mebibytes=expected // 2**20, symbols=len(settings.symbols))
        sink = RedisSink(address, calls, self._counters, source=self._source, expected_bytes=expected)
        await self._store.open(sink)
        self._sink = sink
        return sink

    async def _check_symbols(self) -> None:
        try:
            listed = await self._history.symbols()
        except (VenueUnreachable, VenueRefused) as error:
            self._log.warning("symbols_unchecked", reason=str(error), advice="`make demo` needs no network")
            self._statistics.down_reason = str(error)
            return
        unknown = unknown_symbols(self._settings.symbols, listed)
        if unknown:
            raise Misconfigured(unknown_sentence(unknown, listed, self._venue.name))
        self._statistics.learn(listed)

    async def _collect(self, sink: RedisSink) -> None:
        """Lines, pump and statistics, until cancelled; then what waits is written out."""
        await self._begin(sink)
        pump = self._pump_to(sink)
        groups = self._wiring.groups(self._resubscription.current)
        keys = [(key, streams) for streams in groups for key in streams.keys]
        watch = SilenceWatch(
            keys, self._venue.codec, self._history, self._intake, self._statistics, self._counters
        )  # fmt: skip
        consumer_groups = self._consumer_groups(sink, pump)
        self._parts = Parts(
            self._intake, self._outlet, pump, sink, groups, self._statistics, self._counters, self._validation,
            ledger=self._repairs.ledger, watch=watch, heartbeat=self.heartbeat, consumer_groups=consumer_groups,
            history=self.history, keeps_on_disk=self._settings.spool_bytes_max > 0,
        )  # fmt: skip
        await self._set_running(value=True)
        # What is here now stays: collections need not look at it again (131 ms less in a full one).
        gc.collect()
        gc.freeze()
        try:
            async with asyncio.TaskGroup() as group:
                for streams in groups:
                    self._start(group, streams)
                if self._settings.standby:
                    group.create_task(supervised("standby", self._stand_by(sink, pump).run))
                self._resubscription.use(Running(self._parts, groups, partial(self._start, group), group.create_task))
                eternal = [
                    ("pump", pump.run), *self._repairs.tasks(), ("statistics", self._statistics.run),
                    ("kline_repair", self._kline_repair.run), ("silence", watch.run),
                    ("consumer_groups", consumer_groups.run),
                ]  # fmt: skip
                for name, run in eternal:
                    group.create_task(supervised(name, run))
        finally:
            self._resubscription.use(None)
            await self._drain(pump)
            await self._set_running(value=False)

    def _pump_to(self, sink: RedisSink) -> Pump:
        """One for all starts: it may hold a batch that the store has not taken yet."""
        if self._pump is None:
            self._pump = Pump(
                self._outlet, sink, self._counters, flush_s=self._settings.flush_ms / 1000,
                go_back=self._intake.klines.go_back, begin_anew=self._intake.trades.begin_anew,
            )  # fmt: skip
        return self._pump

    def _stand_by(self, sink: RedisSink, pump: Pump) -> Standby:
        begin_anew = self._intake.trades.begin_anew
        standby = Standby(self._outlet, sink, pump.ask, self._counters, time.monotonic, begin_anew)
        standby.begin()
        return standby

    def _consumer_groups(self, sink: RedisSink, pump: Pump) -> ConsumerGroups:
        settings = self._settings
        written = [channel for name, channel in CHANNELS.items() if name in settings.channels]
        limits = Limits(
            self._venue.store_keys,
            {each.stream: (each.maxlen, settings.maxlen(each.maxlen)) for each in written if each.stream is not None},
        )
        return ConsumerGroups(sink, pump.ask, lambda: tuple(self._outlet.lanes), limits, self._counters)

    def _start(self, group: asyncio.TaskGroup, streams: Group) -> None:
        """Run the lines of a group for as long as the collection, or until the group is given up."""
        runs = [supervised("line", line.run) for line in streams.lines]
        runs.append(supervised("lag", self._wiring.watch(streams).run))
        streams.tasks = [group.create_task(run) for run in runs]

    async def _begin(self, sink: RedisSink) -> None:
        """Go on where the store, or what we hold for it, ends."""
        for key in self._resubscription.current.every_key():
            self._intake.add(key)
        while True:
            try:
                was_filled = self._store.was_filled
                await self._repairs.begin(sink, was_filled=was_filled)
                wanted = self._resubscription.current
                cursors = await sink.kline_cursors(wanted.symbols, wanted.kline_intervals)
                self._intake.klines.begin(cursors, was_filled=was_filled)
            except SinkUnavailable as error:
                self._log.warning("store_awaited", reason=str(error))
                await asyncio.sleep(BEGIN_RETRY_S)
            else:
                return

    async def _drain(self, pump: Pump) -> None:
        self._intake.release_held(everything=True)
        try:
            async with asyncio.timeout(DRAIN_S):
                await pump.drain()
        except TimeoutError:
            self._log.error("records_left", records=self._outlet.records + pump.held, reason=pump.down_reason)
        self._outlet.end_runs()

    async def _set_running(self, *, value: bool) -> None:
        async with self._changed:
            self._running = value
            self._changed.notify_all()


def _open_history(venue: Venue, settings: Settings, counters: Counters) -> ExchangeHistory:
    return venue.open_history(settings.binance_rest_url, use_proxy=settings.use_proxy, counters=counters)


def _kline_intervals(settings: Settings) -> tuple[str, ...]:
    return settings.intervals if "kline" in settings.channels else ()


def _first(errors: BaseExceptionGroup[CollectorError]) -> CollectorError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, CollectorError), "the group was split by type"
    return error
