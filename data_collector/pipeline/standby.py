"""Lets another collector write while it does, and goes on in its place when it stops.

Life cycle: the service makes one and runs it beside the pump when it is to stand by. All is collected and kept in the
retention; of each symbol the store's tail is looked at some times a second. A tail that has not moved for a moment
although we hold newer trades has nobody who writes it: the refill brings what the store lacks, and it is ours from then
on. A run of which the store had something already was written by somebody else too: then we stand by again. Whoever is
wrong about the other costs nothing, because the store takes each id once. Klines are not part of this: both write them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.protocols import Sink, TradeTail
from data_collector.observe.counters import Counters
from data_collector.pipeline.lane import Debt, Lane
from data_collector.pipeline.outlet import Outlet
from data_collector.pipeline.pump import Question

POLL_S = 0.25
"""How often tails are looked at."""

STILL_S = 0.25
"""A tail that stands for so long, while there are newer trades, has nobody who writes it."""

STILL_SPREAD_S = 0.1
"""At random on top, so that two who stand by do not both step in."""


class SharedSink(Sink, Protocol):
    """A sink that notices other writers."""

    @property
    def overtaken(self) -> set[str]:
        """Symbols of which somebody else had written what we wrote."""


class _Seen:
    """What was seen of a symbol that we stand by for."""

    __slots__ = ("last_id", "patience_s", "since_s")

    def __init__(self, now_s: float) -> None:
        self.last_id = -1
        """The store's newest trade."""
        self.see(-1, now_s)

    def see(self, last_id: int, now_s: float) -> None:
        self.last_id = last_id
        self.since_s = now_s
        """Since when there has been something newer than that."""
        self.patience_s = STILL_S + random.uniform(0.0, STILL_SPREAD_S)


class Standby:
    """One eternal task."""

    def __init__(
        self, outlet: Outlet, sink: SharedSink, ask: Callable[[Question], Awaitable[None]], counters: Counters,
        clock: Callable[[], float], begin_anew: Callable[[Lane, int | None], None] = lambda _lane, _due: None,
    ) -> None:  # fmt: skip
        """`ask` has the store asked between two batches; `begin_anew` is as the pump's."""
        self._begin_anew = begin_anew
        self._outlet = outlet
        self._sink = sink
        self._ask = ask
        self._counters = counters
        self._clock = clock
        self._seen: dict[Lane, _Seen] = {}

    def begin(self) -> None:
        """Stand by for all symbols; collection has begun, and nothing has come yet."""
        for lane in self._outlet.lanes.values():
            self._stand_by(lane, lane.debt)

    async def look(self) -> None:
        """Once: who writes, and whether it is our turn."""
        self._yield_to_others()
        standing = [lane for lane in self._seen if self._stands_by(lane)]
        self._seen = {lane: self._seen[lane] for lane in standing}
        self._counters.set("data_collector_standby_symbols", len(standing))
        if not standing:
            return
        try:
            tails = await self._sink.tails([lane.symbol for lane in standing])
        except (SinkUnavailable, Misconfigured):
            # Nobody can write now: what that did to the tails must not count against who does.
            for seen in self._seen.values():
                seen.since_s = self._clock()
            return
        for lane in standing:
            if self._stands_by(lane) and not (lane.symbol in tails and tails[lane.symbol] is None):
                self._judge(lane, tails.get(lane.symbol))

    def _judge(self, lane: Lane, tail: TradeTail | None) -> None:
        seen, debt, now_s = self._seen[lane], lane.debt, self._clock()
        assert debt is not None, "it stands by"
        last_id = -1 if tail is None else tail.last_id
        if lane.is_stranded:
            # Only old ids are ours: they must not come back when somebody has made room for the new ones.
            seen.since_s = now_s
            if last_id < lane.next_id - 1:
                self._begin_anew(lane, None if tail is None else last_id + 1)
                self._stand_by(lane, None)
            return
        debt.wiped = tail is None
        if last_id != seen.last_id:
            seen.see(last_id, now_s)
            debt.due_id = last_id + 1
            if tail is not None:
                self._outlet.confirm(lane.symbol, last_id)
        if lane.next_id < 0 or last_id >= lane.next_id - 1:
            # We know of nothing newer.
            seen.since_s = now_s
        elif now_s - seen.since_s >= seen.patience_s:
            del self._seen[lane]
            structlog.get_logger().warning("symbol_taken_over", symbol=lane.symbol, due=last_id + 1)
            self._counters.add("data_collector_takeovers_total")
            self._outlet.take_over(lane, debt)

    def _yield_to_others(self) -> None:
        overtaken = self._sink.overtaken
        for symbol in overtaken:
            lane = self._outlet.lanes.get(symbol)
            if lane is not None and not self._stands_by(lane):
                structlog.get_logger().info("symbol_left_to_another", symbol=symbol)
                self._stand_by(lane, lane.debt)
        overtaken.clear()

    def _stand_by(self, lane: Lane, debt: Debt | None) -> None:
        """What the store gets next is told by the next look."""
        due_id = lane.next_id if debt is None else debt.due_id
        self._outlet.stand_by(lane, None if due_id < 0 else due_id)
        self._seen[lane] = _Seen(self._clock())

    def _stands_by(self, lane: Lane) -> bool:
        return lane.debt is not None and lane.debt.stands_by and self._outlet.lanes.get(lane.symbol) is lane

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            await self._ask(self.look)
