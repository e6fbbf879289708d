"""Lets another collector write while it does, and goes on in its place when it stops.

Life cycle: the service makes one and runs it beside the pump when it is to stand by. All is collected and kept in the
spool; of each symbol the store's tail is looked at some times a second. A tail that has not moved for a moment
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
from data_collector.model.sink import Sink, TradeTail
from data_collector.observe.counters import Counters
from data_collector.pipeline.outlet.debts import Debt
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.outlet.pump import Question, TradeOrigin

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

    __slots__ = ("place", "since_s", "still_s")

    def __init__(self, now_s: float) -> None:
        self.place = (-1, -1)
        """Epoch and id of the store's newest trade."""
        self.see(self.place, now_s)

    def see(self, place: tuple[int, int], now_s: float) -> None:
        self.place = place
        self.since_s = now_s
        """Since when there has been something newer than that."""
        self.still_s = STILL_S + random.uniform(0.0, STILL_SPREAD_S)


class Standby:
    """One eternal task."""

    def __init__(
        self, outlet: Outlet, sink: SharedSink, feed: TradeOrigin, ask: Callable[[Question], Awaitable[None]],
        counters: Counters, clock: Callable[[], float],
    ) -> None:  # fmt: skip
        """`ask` has the store asked between two batches."""
        self._outlet = outlet
        self._sink = sink
        self._feed = feed
        self._ask = ask
        self._counters = counters
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def begin(self) -> None:
        """Stand by for all symbols; collection has begun, and nothing has come yet."""
        for symbol in self._outlet.queues:
            self._stand_by(symbol, self._outlet.debts.get(symbol))

    async def look(self) -> None:
        """Once: who writes, and whether it is our turn."""
        self._yield_to_others()
        standing = [symbol for symbol in self._seen if self._standing(symbol) is not None]
        self._seen = {symbol: self._seen[symbol] for symbol in standing}
        self._counters.set("data_collector_standby_symbols", len(standing))
        if not standing:
            return
        try:
            tails = await self._sink.tails(standing)
        except (SinkUnavailable, Misconfigured):
            # Nobody can write now: what that did to the tails must not count against who does.
            for seen in self._seen.values():
                seen.since_s = self._clock()
            return
        for symbol in standing:
            debt = self._standing(symbol)
            if debt is not None and not (symbol in tails and tails[symbol] is None):
                self._judge(debt, tails.get(symbol))

    def _judge(self, debt: Debt, tail: TradeTail | None) -> None:
        symbol, now_s = debt.symbol, self._clock()
        seen, queue = self._seen[symbol], self._outlet.queues[symbol]
        place = (-1, -1) if tail is None else tail.place
        if tail is not None and tail.epoch > queue.epoch:
            self._feed.adopt_epoch(symbol, tail.epoch, tail.last_id + 1)
            self._stand_by(symbol, None)
            return
        debt.wiped = tail is None
        if place != seen.place:
            seen.see(place, now_s)
            if tail is not None:
                debt.epoch, debt.due_id = tail.epoch, tail.last_id + 1
                self._outlet.confirm(symbol, *place)
        if queue.next_id < 0 or place >= (queue.epoch, queue.next_id - 1):
            # We know of nothing newer.
            seen.since_s = now_s
        elif now_s - seen.since_s >= seen.still_s:
            del self._seen[symbol]
            structlog.get_logger().warning("symbol_taken_over", symbol=symbol, due=debt.due_id)
            self._counters.add("data_collector_takeovers_total")
            self._outlet.take_over(debt)

    def _yield_to_others(self) -> None:
        overtaken = self._sink.overtaken
        for symbol in overtaken:
            if symbol in self._outlet.queues and self._standing(symbol) is None:
                structlog.get_logger().info("symbol_left_to_another", symbol=symbol)
                self._stand_by(symbol, self._outlet.debts.get(symbol))
        overtaken.clear()

    def _stand_by(self, symbol: str, debt: Debt | None) -> None:
        """What the store gets next is told by the next look."""
        due_id = self._outlet.queues[symbol].next_id if debt is None else debt.due_id
        self._outlet.stand_by(symbol, None if due_id < 0 else due_id)
        self._seen[symbol] = _Seen(self._clock())

    def _standing(self, symbol: str) -> Debt | None:
        """What the store gets from somebody else, while we stand by."""
        debt = self._outlet.debts.get(symbol)
        return debt if debt is not None and debt.stands_by else None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            await self._ask(self.look)
