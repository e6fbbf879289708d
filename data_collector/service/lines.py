"""Which lines there are: every stream on one line or on two, in groups as large as the exchange allows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from data_collector.model.keys import Channel, Key
from data_collector.model.protocols import Venue
from data_collector.model.subscriptions import Subscriptions
from data_collector.observe.counters import Counters
from data_collector.pipeline.governor import Governor
from data_collector.pipeline.intake import Intake
from data_collector.pipeline.lateness import Lateness
from data_collector.pipeline.line import Address, Line, Surroundings
from data_collector.pipeline.resolver import Resolver
from data_collector.pipeline.twins import Twins
from data_collector.service.subscription_plan import GroupPlan, plan_groups
from data_collector.settings import Settings

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


class Wiring:
    """Makes the lines anew for every start of the collection; the count of dials goes on over all of them."""

    def __init__(
        self, settings: Settings, venue: Venue, extra: Sequence[Channel], intake: Intake, counters: Counters
    ) -> None:
        """`extra` channels are subscribed to besides."""
        self._settings = settings
        self._venue = venue
        self.extra = extra
        limits = venue.limits
        attempts = max(1, int(limits.connection_attempts * DIALS_PART))
        address = Address(settings.binance_ws_url + venue.stream_path, _proxy(settings), venue.hint_451)
        self._around = Surroundings(
            address=address,
            codec=venue.codec,
            limits=limits,
            receive=intake.receive,
            due=intake.trades.due_id,
            dials=Governor(attempts, limits.connection_attempts_window_s),
            connect=Resolver(counters).connect,
            counters=counters,
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
        return Group(plan.added, list(self._lines(plan.lines, plan.added)))

    def watch(self, group: Group) -> Twins | Lateness:
        """What notices a line of the group that lags."""
        codec = self._venue.codec
        if len(group.lines) < 2:
            return Lateness(group.lines[0], codec, self._around.counters)
        return Twins(group.lines[0], group.lines[1], codec)

    def _lines(self, names: Sequence[str], keys: Sequence[Key]) -> Iterator[Line]:
        turns = asyncio.Lock()
        for position, name in enumerate(names):
            yield Line(name, keys, self._around, turns=turns, first_dial_in_s=position * TWIN_LATER_S)


def _proxy(settings: Settings) -> str | None:
    if not settings.use_proxy:
        return None
    parts = urlsplit(settings.binance_ws_url)
    if proxy_bypass(parts.netloc):
        return None
    proxies = getproxies()
    return proxies.get("https" if parts.scheme == "wss" else "http") or proxies.get("all")
