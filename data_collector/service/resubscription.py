"""Changes what is subscribed while everything else goes on: one change at a time.

First everything that can fail without a trace is asked: the exchange's symbol list, and the store for what it has of
new symbols, and whether it takes new channels. Then room is made for them, streams are subscribed and unsubscribed on
the connections that live, and last, when nothing comes of it any more and what came is written, a removed symbol's
queue goes. Its keys stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence

import structlog
from msgspec import Struct

from data_collector.model.errors import CollectorError, Misconfigured, SinkUnavailable, VenueRefused, VenueUnreachable
from data_collector.model.keys import Key
from data_collector.model.sink import TradeTail
from data_collector.model.subscriptions import (
    Change,
    ChangeRefusal,
    ChangeStatus,
    DesiredSubscriptions,
    GroupStreams,
    Present,
    RefusalKind,
    Subscriptions,
)
from data_collector.model.venue import ListingApi, Venue
from data_collector.pipeline.connections.line import Line
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.outlet.pump import Pump
from data_collector.pipeline.sequence.intake import Intake
from data_collector.pipeline.sequence.trade_sequence import TradeSequence
from data_collector.service.lines import Group, Lines, Wiring, refused_reasons, refused_streams
from data_collector.service.repairs import Repairs
from data_collector.service.storing import Storing
from data_collector.service.subscription_plan import GroupPlan, change_of, listing_faults, resting_notes, wanted_of
from data_collector.service.watches.silence import SilenceWatch
from data_collector.service.watches.statistics import Statistics
from data_collector.settings import Settings
from data_collector.sinks.redis.functions import with_rights
from data_collector.sinks.redis.sink import RedisSink
from data_collector.time_limit import time_limit

ASK_S = 5.0
"""How long the store may take to tell what it has."""

CONNECT_S = 15.0
"""How long connections that must be made for it are waited for; they are made all the same."""

WRITE_OUT_S = 3.0
"""How long a removed symbol waits for gaps to be filled and for the store; what is left is in the spool."""

STOPPED = "Collection is stopped; start it first."
UNDER_WAY = "Another change of subscriptions is under way."


class _Refused(CollectorError):
    """A change that is not made."""

    def __init__(self, kind: RefusalKind, reasons: Sequence[str]) -> None:
        super().__init__(" ".join(reasons))
        self.refusal = ChangeRefusal(kind, list(reasons))


class _Known(Struct, frozen=True):
    """What the store has of new symbols and series."""

    tails: Mapping[str, TradeTail | None]
    cursors: Mapping[Key, int]


class RunningParts(Struct, frozen=True):
    """The parts of a collection that changes can be made to."""

    lines: Lines
    watch: SilenceWatch
    storing: Storing
    spawn: Callable[[Coroutine[None, None, None]], asyncio.Task[None]]
    """Makes a task that ends with the collection."""


class Resubscription:
    """Holds what is subscribed, from the settings on, and changes it."""

    def __init__(
        self, settings: Settings, venue: Venue, rest: ListingApi, wiring: Wiring, intake: Intake, outlet: Outlet,
        repairs: Repairs, statistics: Statistics,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._venue = venue
        self._rest = rest
        self._wiring = wiring
        self._intake = intake
        self._outlet = outlet
        self._repairs = repairs
        self._statistics = statistics
        self._first = Subscriptions(settings.symbols, settings.intervals, settings.channels)
        self.current = self._first
        self._running: RunningParts | None = None
        self._present: Present | None = None
        """Made when it is asked for: the names of 30,000 streams take some milliseconds."""
        self._status = ChangeStatus(self.present())
        self._over = asyncio.Event()
        self._over.set()

    def use(self, running: RunningParts | None) -> None:
        """Changes are made to this from now on; None: nothing is collected."""
        self._running = running
        self._present = None

    def present(self) -> Present:
        """What is subscribed now."""
        if self._present is None:
            name, current = self._venue.codec.stream_name, self.current
            groups = self._running.lines.groups if self._running is not None else []
            self._present = Present(
                list(current.symbols),
                list(current.intervals),
                list(current.channels),
                [GroupStreams([line.name for line in each.lines], [name(key) for key in each.keys]) for each in groups],
                changed=current != self._first,
            )
        return self._present

    def status(self) -> ChangeStatus:
        """How far the newest change is."""
        self._status.present = self.present()
        return self._status

    def begin(self, desired: DesiredSubscriptions) -> ChangeStatus:
        """Begin a change; `status` tells when it is over, and `wait` returns then."""
        number = self._status.number
        if self._running is None or self._status.busy:
            refusal = ChangeRefusal("conflict", [STOPPED if self._running is None else UNDER_WAY])
            return ChangeStatus(self.present(), number, busy=self._status.busy, refusal=refusal)
        self._status = ChangeStatus(self.present(), number + 1, busy=True)
        self._over.clear()
        self._running.spawn(self._run(self._status, self._running, desired))
        return self._status

    async def wait(self) -> ChangeStatus:
        """Return when no change is under way."""
        await self._over.wait()
        return self.status()

    async def _run(self, status: ChangeStatus, running: RunningParts, desired: DesiredSubscriptions) -> None:
        log = structlog.get_logger()
        status.refusal = ChangeRefusal("unavailable", ["The collection ended before the change was made."])
        try:
            status.done = await self._change(running, desired)
            status.refusal = None
            log.info("subscriptions_changed", added=len(status.done.added), removed=len(status.done.removed))
        except _Refused as error:
            status.refusal = error.refusal
            log.warning("subscriptions_refused", kind=error.refusal.kind, reason=str(error))
        finally:
            status.busy = False
            self._over.set()

    async def _change(self, running: RunningParts, desired: DesiredSubscriptions) -> Change:
        faults: list[str] = []
        before = self.current
        # With thousands of symbols each of these takes a tenth of a second, and the feed must not wait for it.
        wanted = await asyncio.to_thread(wanted_of, before, desired, self._venue, faults)
        self._check_extra(before, wanted, faults)
        notes = await self._check_symbols(before, wanted, faults)
        if faults:
            raise _Refused("impossible", faults)
        plans = await asyncio.to_thread(self._wiring.plan, running.lines.groups, wanted)
        change = await asyncio.to_thread(change_of, plans, before, wanted, self._venue, self._settings)
        change.notes += notes
        removed = [key for plan in plans for key in plan.removed]
        added = [key for plan in plans for key in plan.added if key.channel in wanted.channels]
        # What has no stream is in no plan.
        made, unmade = self._made(wanted) - self._made(before), self._made(before) - self._made(wanted)
        added += sorted(made)
        known = await self._ask_store(running.storing, added)
        self.current = wanted
        self._intake.tally.former.difference_update(key for plan in plans for key in plan.added)
        self._add(added, known)
        running.watch.remove(removed)
        try:
            change.notes += await self._rewire(running, plans)
            change.notes += await self._write_out(running.storing.pump, [*removed, *unmade])
        finally:
            # What is unsubscribed must go, also when the collection ends in the middle of it.
            self._remove(running.storing.sink, [*removed, *unmade])
        return change

    def _made(self, subscriptions: Subscriptions) -> set[Key]:
        """What is made of what streams bring."""
        if self._venue.klines == "streamed":
            return set()
        return {key for key in subscriptions.every_key() if not self._venue.has_stream(key)}

    def _check_extra(self, before: Subscriptions, wanted: Subscriptions, faults: list[str]) -> None:
        """Their streams are subscribed to already, and stay so."""
        faults += [
            f"channels: {channel} is one of extra_channels; it can be neither added nor removed."
            for channel in self._wiring.extra
            if (channel in before.channels) != (channel in wanted.channels)
        ]

    async def _check_symbols(self, before: Subscriptions, wanted: Subscriptions, faults: list[str]) -> list[str]:
        if set(wanted.symbols) <= set(before.symbols):
            return []
        try:
            listed = await self._rest.symbols()
        except (VenueUnreachable, VenueRefused) as error:
            raise _Refused(
                "unavailable", [*faults, f"The exchange cannot be asked whether it lists the new symbols: {error}"]
            ) from error
        faults += listing_faults(wanted, listed, self._venue)
        return resting_notes(wanted, listed)

    async def _ask_store(self, storing: Storing, added: Sequence[Key]) -> _Known:
        """Between two batches: the store's connection serves one caller at a time."""
        trades = sorted({key.symbol for key in added if key.channel == "trade"})
        klines = sorted({key.symbol for key in added if key.channel == "kline"})
        intervals = sorted({key.interval for key in added if key.interval is not None})
        with_own_rights = with_rights({key.channel for key in added})
        tails: dict[str, TradeTail | None] = {}
        cursors: dict[Key, int] = {}

        async def question() -> None:
            tails.update(await storing.sink.tails(trades))
            cursors.update(await storing.sink.kline_cursors(klines, intervals, self._intake.tally.exchange_now_ms()))
            if with_own_rights:
                await storing.sink.begin_channels(with_own_rights)

        try:
            async with time_limit(ASK_S):
                if trades or klines or with_own_rights:
                    await storing.pump.ask(question)
        except (SinkUnavailable, Misconfigured, TimeoutError) as error:
            reason = str(error) or f"it has not answered for {ASK_S:g} s"
            sentence = f"The store is not ready for what is new: {reason}"
            raise _Refused("unavailable", [sentence]) from error
        if (awaited := self._repairs.unknown_epochs(trades, tails)) is not None:
            raise _Refused("unavailable", [awaited])
        return _Known(tails, cursors)

    def _add(self, added: Sequence[Key], known: _Known) -> None:
        """Make room for what is about to come, at once and as at a start."""
        outlet, intake, klines = self._outlet, self._intake, self._intake.klines
        sequences: list[TradeSequence] = []
        for key in added:
            if key.symbol not in outlet.queues:
                outlet.add(key.symbol)
            intake.add(key)
            if key.channel == "trade":
                sequences.append(intake.trades.collect(key.symbol))
            elif key.channel == "kline":
                klines.add(key)
        self._repairs.use(self.current)
        self._statistics.use(self.current)
        self._repairs.resume(sequences, known.tails)
        new = set(added)
        klines.resume({key: due_ms for key, due_ms in known.cursors.items() if key in new})

    async def _rewire(self, running: RunningParts, plans: Sequence[GroupPlan]) -> list[str]:
        """Let the connections carry the new streams, each at its own pace; what an operator must know."""
        touched: list[Line] = []
        async with asyncio.TaskGroup() as changes:
            for plan, group in zip(plans, self._groups(running, plans), strict=True):
                for key in plan.added:
                    if key.channel in self.current.channels:
                        running.watch.add(key, group)
                if plan.is_new:
                    running.lines.start_group(group)
                    touched += group.lines
                elif not group.keys:
                    running.lines.groups.remove(group)
                    self._present = None
                    for task in group.tasks:
                        task.cancel()
                elif plan.added or plan.removed:
                    touched += group.lines
                    for line in group.lines:
                        changes.create_task(line.carry(group.keys))
        try:
            async with time_limit(CONNECT_S):
                for line in touched:
                    await line.complete.wait()
        except TimeoutError:
            late = ", ".join(line.name for line in touched if not line.complete.is_set())
            return [f"Connections that do not carry all of it yet: {late}."]
        added = {key for plan in plans for key in plan.added}
        refused = {key: each for key, each in refused_streams(touched).items() if key in added}
        return [
            f"{reason[0].upper()}{reason[1:]}." for reason in refused_reasons(refused, self._wiring.symbols_setting)
        ]

    def _groups(self, running: RunningParts, plans: Sequence[GroupPlan]) -> list[Group]:
        """The group of each plan, with the streams that it is to have."""
        groups = running.lines.groups
        for plan, group in zip(plans, groups, strict=False):
            if not plan.added and not plan.removed:
                continue
            gone = set(plan.removed)
            group.keys[:] = [*(key for key in group.keys if key not in gone), *plan.added]
        groups += [self._wiring.group(plan) for plan in plans if plan.is_new]
        self._present = None
        return list(groups)

    async def _write_out(self, pump: Pump, removed: Sequence[Key]) -> list[str]:
        """Nothing comes of the removed streams any more: what came is filled up and stored, for so long."""
        symbols = self._leaving(removed)
        try:
            async with time_limit(WRITE_OUT_S):
                while any(self._waits(pump, symbol) for symbol in symbols):
                    await pump.ask(_nothing)
        except TimeoutError:
            left = ", ".join(symbol for symbol in symbols if self._waits(pump, symbol))
            return [f"Not everything of {left} was stored in time; it is kept, and stored when it is subscribed again."]
        return []

    def _waits(self, pump: Pump, symbol: str) -> bool:
        """Whether something of the symbol is not stored yet."""
        sequence = self._intake.trades.sequences[symbol]
        return bool(sequence.gap or sequence.held) or self._outlet.waits(symbol) or pump.holds(symbol)

    def _leaving(self, removed: Sequence[Key]) -> list[str]:
        symbols = {key.symbol for key in removed} - set(self.current.symbols)
        symbols |= {key.symbol for key in removed if key.channel == "trade"}
        return [symbol for symbol in self._outlet.queues if symbol in symbols]

    def _remove(self, sink: RedisSink, removed: Sequence[Key]) -> None:
        intake = self._intake
        intake.tally.former.update(removed)
        for key in removed:
            self._repairs.forget(key)
            intake.remove(key)
            if key.channel == "kline":
                intake.klines.remove(key)
        for symbol in self._leaving(removed):
            intake.trades.remove(symbol)
            sink.ahead.pop(symbol, None)
            if symbol not in self.current.symbols:
                intake.forget(symbol)
                self._outlet.remove(symbol)
                sink.broken_keys.forget_symbol(symbol)


async def _nothing() -> None:
    """A question that only tells that the batch before it is stored."""
