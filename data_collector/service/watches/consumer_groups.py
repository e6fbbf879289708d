"""Warns readers before trimming takes what their consumer group still needs, and tells it afterwards.

Life cycle: the service runs one beside the pump. Every few seconds the groups of some of our streams are looked at, all
streams in turn. A stream is trimmed at its length, whoever reads it: we never wait for a reader.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal

import structlog

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.keys import KeyKind, StoreKeys
from data_collector.model.status import Snapshot
from data_collector.observe.counters import Counters
from data_collector.pipeline.outlet.pump import Question
from data_collector.service.part import Part, PartHealth, Spawn
from data_collector.sinks.redis.entries import EntryId
from data_collector.sinks.redis.groups import NOTHING_YET, GroupPlace
from data_collector.sinks.redis.sink import RedisSink

LOOK_S = 5.0
STREAMS_PER_LOOK = 200
"""One question for each stream that nobody reads in a group: some 0.2 ms of the store's time in all."""

MARGIN = 0.1
"""Of what a stream keeps: with less than that left before a group's oldest entry its reader is warned."""

SHOWN_MAX = 5
"""So many groups are named in health."""

State = Literal["at_risk", "lost"]


class ConsumerGroups(Part):
    """What is known of the groups of our streams."""

    def __init__(
        self, sink: RedisSink, ask: Callable[[Question], Awaitable[None]], streams: Callable[[], Sequence[str]],
        keys: StoreKeys, limits: Mapping[KeyKind, tuple[str, int]], counters: Counters,
    ) -> None:  # fmt: skip
        """`ask` has the store asked between two batches; `streams` are those that are written now.

        `limits`: of every kind of stream, the setting and its value that trims it.
        """
        self._sink = sink
        self._ask = ask
        self._streams = streams
        self._keys = keys
        self._limits = limits
        self._counters = counters
        self._turn = 0
        self._states: dict[tuple[str, str], State] = {}

    def start(self, spawn: Spawn) -> None:
        """See `Part`."""
        spawn("consumer_groups", self.run)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self._ask(self.look)

    async def look(self) -> None:
        """Once, at the streams whose turn it is."""
        streams = self._streams()
        start = self._turn if self._turn < len(streams) else 0
        self._turn = start + STREAMS_PER_LOOK
        chosen = streams[start : self._turn]
        try:
            places = await self._sink.groups(chosen)
        except (SinkUnavailable, Misconfigured):
            # The next batch will say so.
            return
        found = {(place.stream, place.group): judge(place, self._limit_of(place.stream)[1]) for place in places}
        kept = set(streams) - set(chosen)
        states = {key: state for key, state in self._states.items() if key[0] in kept}
        states |= {key: state for key, state in found.items() if state is not None}
        self._tell(states)
        self._states = states
        for state in ("at_risk", "lost"):
            count = sum(each == state for each in states.values())
            self._counters.set("data_collector_consumer_groups_behind", count, state=state)

    def report(self, snapshot: Snapshot) -> PartHealth:
        """A sentence for each of the first groups, and one for all others."""
        reasons = [self._sentence(*key, state) for key, state in list(self._states.items())[:SHOWN_MAX]]
        if len(self._states) > len(reasons):
            reasons.append(f"{len(self._states) - len(reasons):,} more consumer groups are about to lose entries")
        return PartHealth(reasons)

    def _limit_of(self, stream: str) -> tuple[str, int]:
        return next(limit for kind, limit in self._limits.items() if kind == self._keys.kind_of(stream))

    def _sentence(self, stream: str, group: str, state: State) -> str:
        setting, limit = self._limit_of(stream)
        cure = f"read faster, raise {setting} (now {limit:,}), or end a group that nobody uses (XGROUP DESTROY)"
        if state == "lost":
            return f"consumer group {group} of {stream} has lost entries that it had not done with: {cure}"
        return f"consumer group {group} of {stream} will soon lose entries that it has not done with: {cure}"

    def _tell(self, states: dict[tuple[str, str], State]) -> None:
        """Once on each change."""
        log = structlog.get_logger()
        for (stream, group), state in states.items():
            if self._states.get((stream, group)) != state:
                setting, _ = self._limit_of(stream)
                log.warning("consumer_group_behind", stream=stream, group=group, state=state, setting=setting)
        for stream, group in self._states.keys() - states.keys():
            log.info("consumer_group_ahead", stream=stream, group=group)


def judge(place: GroupPlace, limit: int) -> State | None:
    """Whether trimming at `limit` entries has taken, or is about to take, what the group has not done with."""
    if _has_lost(place):
        return "lost"
    wanted = [place.oldest_pending] if place.oldest_pending is not None else []
    if place.delivered < place.last:
        wanted.append(place.delivered)
    if not wanted:
        return None
    left = limit - place.length + place.length * _share_before(place, min(wanted))
    return "at_risk" if left < limit * MARGIN else None


def _has_lost(place: GroupPlace) -> bool:
    if place.oldest_pending is not None and place.oldest_pending < place.first:
        return True
    if place.delivered >= place.first or place.delivered == NOTHING_YET:
        # A group that was given nothing begins with whatever there is.
        return False
    return place.unread is not None and place.unread > place.length


def _share_before(place: GroupPlace, entry: EntryId) -> float:
    """About which share of the entries is older, which costs no reading."""
    # Of trades the second half of an id is the trade's, which counts them; elsewhere their times have to do.
    half = 1 if place.last[1] - place.first[1] >= place.length - 1 else 0
    span = place.last[half] - place.first[half]
    return min(max((entry[half] - place.first[half]) / span, 0.0), 1.0) if span > 0 else 1.0
