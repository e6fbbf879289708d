"""Which lines there are: every stream on one line or on two, in groups as large as the exchange allows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence

from data_collector.model.keys import Channel, Key
from data_collector.model.status import Snapshot
from data_collector.model.subscriptions import Subscriptions
from data_collector.model.venue import Venue
from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.governor import Governor
from data_collector.pipeline.connections.lateness import Lateness, Twins
from data_collector.pipeline.connections.line import Line, LineContext
from data_collector.pipeline.connections.refused_streams import RefusedStream
from data_collector.pipeline.connections.transport import Address, Resolver
from data_collector.pipeline.sequence.intake import Intake
from data_collector.proxies import proxy_of
from data_collector.recording.recorder import Recorder
from data_collector.service.part import Part, PartHealth, Spawn, names
from data_collector.service.subscription_plan import GroupPlan, plan_groups
from data_collector.settings import Settings
from data_collector.settings.fields import variable_of

DIALS_PART = 0.9
"""Of the connection attempts that the exchange allows per address: others may share ours."""

TWIN_LATER_S = 0.5
"""The second line of a pair dials so much after the first."""


class Group:
    """Streams that share their lines."""

    def __init__(self, keys: Sequence[Key], lines: Sequence[Line]) -> None:
        self.keys = list(keys)
        self.lines = lines
        self.tasks: list[asyncio.Task[None]] = []
        """Those that run it."""

    @property
    def is_connected(self) -> bool:
        """Whether something brings its streams."""
        return any(line.down_s == 0.0 for line in self.lines)

    @property
    def refused(self) -> set[Key]:
        """Streams that the exchange gives to none of its lines."""
        return set.intersection(*(set(line.refused) for line in self.lines))


class Lines(Part):
    """The connections of one collection, and what came of them."""

    def __init__(self, groups: list[Group], wiring: Wiring, intake: Intake, counters: Counters) -> None:
        self.groups = groups
        self._wiring = wiring
        self._intake = intake
        self._counters = counters

    def start(self, spawn: Spawn) -> None:
        """See `Part`."""
        self._spawn = spawn
        for group in self.groups:
            self.start_group(group)

    def start_group(self, group: Group) -> None:
        """Run the lines of a group for as long as the collection, or until the group is given up."""
        group.tasks = [self._spawn("line", line.run) for line in group.lines]
        group.tasks.append(self._spawn("lag", self._wiring.watch(group).run))

    def report(self, snapshot: Snapshot) -> PartHealth:
        """Messages by what became of them, and the state of each connection."""
        lines = [line for group in self.groups for line in group.lines]
        snapshot.connections = [line.status for line in lines]
        self._count_messages(snapshot)
        self._counters.set("data_collector_connections", sum(line.down_s == 0.0 for line in lines))
        refused = refused_streams(lines)
        self._counters.set("data_collector_streams_refused", len(refused))
        reasons = _down_reasons(lines, self._wiring.advice) + refused_reasons(refused, self._wiring.symbols_setting)
        late = [(line.name, line.lag_s) for line in lines if line.lag_s]
        reasons += [
            f"line {name} brings messages {lag_s:.0f} s later than it did: the way to the exchange is too slow"
            for name, lag_s in late
        ]
        return PartHealth(reasons, ready=bool(self.groups) and all(group.is_connected for group in self.groups))

    def _count_messages(self, snapshot: Snapshot) -> None:
        intake = self._intake
        held, newest = intake.trades.holdback.count, intake.tally.newest_trade
        snapshot.messages_received = intake.tally.judged + held
        snapshot.messages_validated = intake.tally.validated
        snapshot.validation_errors = intake.tally.errors
        snapshot.messages_in_flight = held
        if intake.tally.last_received_ns:
            snapshot.last_message_seconds_ago = round((time.time_ns() - intake.tally.last_received_ns) / 1e9, 3)
        if newest is not None:
            lag_s = newest.received_ns / 1e9 - newest.event_ms / 1e3
            self._counters.set("data_collector_event_lag_seconds", lag_s)


def _down_reasons(lines: Sequence[Line], advice: str) -> list[str]:
    down = [line.status for line in lines if line.down_s > 0.0]
    if not down:
        return []
    reason = next((status.last_error for status in down if status.last_error), "connecting")
    advice = f" ({advice})" if advice and len(down) == len(lines) else ""
    return [f"{len(down)} of {len(lines)} connections to the exchange are down: {reason}{advice}"]


def refused_streams(lines: Iterable[Line]) -> dict[Key, RefusedStream]:
    """Those that the exchange does not give to every line that asks for them."""
    return {key: refused for line in lines for key, refused in line.refused.items()}


def refused_reasons(refused: Mapping[Key, RefusedStream], setting: str) -> list[str]:
    """What an operator must know of it, in one sentence; `setting` names the symbols."""
    if not refused:
        return []
    units: dict[str, list[str]] = {}
    for key in refused:
        units.setdefault(key.symbol, []).append(key.unit)
    told = [f"{symbol} ({', '.join(sorted(found))})" for symbol, found in sorted(units.items())]
    words = min(refused.items())[1].words
    again = "they are not asked for again before a restart, because each time it costs the connection"
    if not all(each.is_final for each in refused.values()):
        again = "they are asked for again every few minutes"
    cure = f"correct the symbol's name, or give it up ({setting}, or a change of subscriptions)"
    return [f"the exchange refuses streams of {names(told)} ({words!r}); the others flow, and {again}: {cure}"]


class Wiring:
    """Makes the lines anew for every start of the collection; the count of dials goes on over all of them."""

    def __init__(
        self, settings: Settings, venue: Venue, extra: Sequence[Channel], intake: Intake, counters: Counters,
        recorder: Recorder | None,
    ) -> None:  # fmt: skip
        """`extra` channels are subscribed to besides; `recorder` keeps what is said."""
        self._settings = settings
        self.symbols_setting = variable_of("symbols", venue.name)
        """What names the symbols at a start."""
        self.advice = settings.offline_advice
        self._venue = venue
        self.extra = extra
        limits = venue.limits
        attempts = max(1, int(limits.connection_attempts * DIALS_PART))
        proxy = proxy_of(settings.ws_url) if settings.use_proxy else None
        address = Address(settings.ws_url + venue.stream_path, proxy, venue.hint_451)
        self._context = LineContext(
            address=address,
            codec=venue.codec,
            limits=limits,
            receive=intake.receive,
            due=intake.trades.due_id,
            dials=Governor(attempts, limits.connection_attempts_window_s),
            connect=Resolver(counters).connect,
            counters=counters,
            recorder=recorder,
        )

    def groups(self, subscriptions: Subscriptions) -> list[Group]:
        """New lines for all streams."""
        return [self.group(plan) for plan in self.plan([], subscriptions)]

    def plan(self, groups: Sequence[Group], wanted: Subscriptions) -> list[GroupPlan]:
        """How streams are spread over the groups that there are, and new ones."""
        return plan_groups(
            [([line.name for line in group.lines], group.keys) for group in groups],
            list(wanted.every_key(self.extra)),
            self._venue,
            lines_per_stream=self._settings.lines_per_stream,
        )

    def group(self, plan: GroupPlan) -> Group:
        """New lines for the streams of a new group."""
        rollover_lock = asyncio.Lock()
        lines = [
            Line(name, plan.added, self._context, rollover_lock=rollover_lock, first_dial_in_s=position * TWIN_LATER_S)
            for position, name in enumerate(plan.lines)
        ]
        return Group(plan.added, lines)

    def watch(self, group: Group) -> Twins | Lateness:
        """What notices a line of the group that lags."""
        if len(group.lines) < 2:
            return Lateness(group.lines[0], self._context.counters)
        return Twins(group.lines[0], group.lines[1])
