"""Trades that wait for those before them: a bounded number, in memory; what is more goes to the retention.

Life cycle: the trade intake makes one. It looks after the lanes that hold something, tells gaps from mere disorder, and
is asked by the repair what is missing. Pure, but for the clock that was passed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from data_collector.model.records import Trade
from data_collector.pipeline.lane import Lane, OpenGap

ARBITRATION_S = 0.15
"""How long a missing or refused id waits for another line to bring a good copy."""

HELD_MAX = 20_000
"""Trades of a symbol that wait in memory, some 10 MB."""

HELD_TOTAL_MAX = 60_000
"""Of all symbols together."""


class Holdback:
    """What is held back of all symbols; each lane keeps its own."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held = 0
        self.lanes: set[Lane] = set()
        """Those that hold something back, or whose due id was refused."""
        self.waiting = asyncio.Event()
        """Set while there are any."""

    @property
    def count(self) -> int:
        """Trades that are held back: they came, and are not let through yet."""
        return self._held

    def watch(self, lane: Lane) -> None:
        """Something of this lane has to wait."""
        self.lanes.add(lane)
        self.waiting.set()

    def hold(self, lane: Lane, trade: Trade) -> bool:
        """Keep the trade; False when it is there already."""
        if trade.trade_id in lane.held:
            return False
        lane.held[trade.trade_id] = trade
        self._held += 1
        self.watch(lane)
        return True

    def is_full(self, lane: Lane) -> bool:
        """Whether memory has no room for more."""
        return len(lane.held) >= HELD_MAX or (self._held >= HELD_TOTAL_MAX and len(lane.held) > HELD_MAX // 20)

    def take(self, lane: Lane, trade_id: int) -> Trade | None:
        """Let go one trade."""
        trade = lane.held.pop(trade_id, None)
        if trade is not None:
            self._held -= 1
        return trade

    def take_all(self, lane: Lane) -> list[Trade]:
        """Let go everything, in order of ids."""
        trades = [lane.held[trade_id] for trade_id in sorted(lane.held)]
        self._held -= len(trades)
        lane.held.clear()
        return trades

    def forget(self, lane: Lane) -> None:
        """Nothing of it is looked after any more."""
        self.lanes.discard(lane)
        if not self.lanes:
            self.waiting.clear()

    def settle(self, lane: Lane) -> None:
        """After something was let go: what is missing now, if anything is."""
        gap = lane.gap
        if gap is not None and lane.next_id > gap.last_id:
            gap = lane.gap = None
            # What is missing before the next one held came later than this gap, and has waited as long already.
            opened_s = self._clock() - ARBITRATION_S
        else:
            opened_s = self._clock()
        if gap is None and lane.next_id >= 0:
            last_id = min(lane.held) - 1 if lane.held else lane.spilled.last_id
            if last_id >= lane.next_id:
                lane.gap = OpenGap(lane.next_id, last_id, opened_s)
        if lane.gap is None and not lane.refused_s and not lane.held:
            self.lanes.discard(lane)
            if not self.lanes:
                self.waiting.clear()
        else:
            self.watch(lane)

    def is_ripe(self, refused_s: float) -> bool:
        """Whether a refused id has waited long enough for a good copy."""
        return self._clock() - refused_s >= ARBITRATION_S
