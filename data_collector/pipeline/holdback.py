"""Trades that wait behind a refused id: for a short time a good copy of it may still come and take its place.

Life cycle: the intake makes one and asks it about trades that do not follow; `Intake.arbitrate` lets go what waited
long enough. What waits is bounded per symbol; past the bound the refused id is passed over at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from data_collector.model.records import Trade
from data_collector.pipeline.arbiter import JUMP_MAX
from data_collector.pipeline.outlet import Lane

ARBITRATION_S = 0.15
"""How long a refused id waits for a good copy of itself."""

HELD_MAX = 20_000
"""Trades of a symbol that wait."""


class Holdback:
    """What is held back of all symbols; each lane keeps its own."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.lanes: set[Lane] = set()
        """Those that hold something."""
        self.holding = asyncio.Event()
        """Set while there are any."""

    def note_refused(self, lane: Lane, trade_id: int) -> None:
        """An id that is due or will be was refused."""
        if len(lane.refused_s) < HELD_MAX:
            lane.refused_s.setdefault(trade_id, self._clock())

    def must_wait(self, lane: Lane, trade_id: int) -> bool:
        """Whether a good copy of the refused trade that is due first may still come before this one."""
        refused_s = lane.refused_s
        while refused_s and (first_id := next(iter(refused_s))) < lane.next_id:
            del refused_s[first_id]
        return (
            bool(refused_s)
            and first_id < trade_id <= lane.next_id + JUMP_MAX
            and self._clock() - refused_s[first_id] < ARBITRATION_S
            and len(lane.held) < HELD_MAX
        )

    def hold(self, lane: Lane, trade: Trade) -> bool:
        """Keep the trade; False when it is there already."""
        held = lane.held
        if trade.trade_id in held:
            return False
        in_order = not held or trade.trade_id > next(reversed(held))
        held[trade.trade_id] = trade
        if not in_order:
            lane.held = dict(sorted(held.items()))
        self.lanes.add(lane)
        self.holding.set()
        return True

    def take(self, lane: Lane) -> Trade | None:
        """The next trade that need not wait any more."""
        trade_id = next(iter(lane.held), None)
        if trade_id is None or self.must_wait(lane, trade_id):
            return None
        waiting = lane.held.pop(trade_id)
        if not lane.held:
            self.lanes.discard(lane)
            if not self.lanes:
                self.holding.clear()
        return waiting
