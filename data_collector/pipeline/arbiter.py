"""Sequence: what follows, what is known, what was missed. Pure.

Trades of a symbol rise by one. What comes again is known; what comes ahead waits until the hole before it is filled or
passed over; what comes late but fills a hole that was passed over goes to `late:`. Klines: `pipeline.series`.
"""

from __future__ import annotations

from enum import Enum

from data_collector.model.records import Trade

JUMP_MAX = 2_000_000
"""A larger step is believed only when a second trade follows it: one poisoned id must not move a symbol for ever."""

HOLES_MAX = 256
"""Holes remembered per symbol, so that late trades are told from copies; the oldest are forgotten."""


class Order(Enum):
    """Where a record stands."""

    NEXT = "follows what is there"
    AHEAD = "something is missing before it"
    LATE = "fills a hole that was passed over"
    KNOWN = "was let through before"
    REVISED = "changes a closed kline that was let through"
    IMPLAUSIBLE = "jumps too far ahead, unconfirmed"


class TradeOrder:
    """Judges trades that do not simply follow; the common case is one comparison in the intake."""

    def __init__(self) -> None:
        self._holes: list[tuple[int, int]] = []
        self._unconfirmed_id = -1

    def judge(self, trade: Trade, next_id: int) -> Order:
        """`trade` against the id that is due, which is not the trade's own."""
        trade_id = trade.trade_id
        if trade_id < next_id:
            return Order.LATE if self._fill(trade_id) else Order.KNOWN
        if trade_id - next_id > JUMP_MAX and trade_id != self._unconfirmed_id + 1:
            self._unconfirmed_id = trade_id
            return Order.IMPLAUSIBLE
        return Order.AHEAD

    def pass_over(self, first_id: int, last_id: int) -> None:
        """Remember a hole: what comes of it later is late, not known."""
        self._holes.append((first_id, last_id))
        del self._holes[:-HOLES_MAX]

    def _fill(self, trade_id: int) -> bool:
        for index, (first, last) in enumerate(self._holes):
            if first <= trade_id <= last:
                rest = [part for part in ((first, trade_id - 1), (trade_id + 1, last)) if part[0] <= part[1]]
                self._holes[index : index + 1] = rest
                return True
        return False
