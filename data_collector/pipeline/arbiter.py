"""Sequence: what follows, what is known, what was missed. Pure.

Trades of a symbol rise by one. What comes again is known; what comes ahead leaves a hole, which is passed over at once
(the store declares it in `gaps:`); what comes late but fills such a hole goes to `late:`. Klines are ordered by open
time, and within it by event time.
"""

from __future__ import annotations

from enum import Enum

from data_collector.model.records import Kline, Trade

JUMP_MAX = 2_000_000
"""A larger step is believed only when a second trade follows it: one poisoned id must not move a symbol for ever."""

CLOSED_KEPT = 64
"""Closed klines remembered per symbol and interval: what comes again is compared with them; older ones are known."""

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


class KlineOrder:
    """The cursor of one symbol and interval."""

    __slots__ = ("_closed", "closed_open_ms", "event_ms", "open_ms")

    def __init__(self) -> None:
        self.open_ms = -1
        self.event_ms = -1
        self.closed_open_ms = -1
        self._closed: dict[int, Kline] = {}

    def judge(self, kline: Kline) -> Order:
        """Where the kline stands; the cursor moves on for what is `NEXT`."""
        if not kline.is_closed:
            if kline.open_ms <= self.closed_open_ms or (kline.open_ms, kline.event_ms) <= (self.open_ms, self.event_ms):
                return Order.KNOWN
        elif kline.open_ms <= self.closed_open_ms:
            return self._judge_past(kline)
        else:
            # It may come after the first frame of the kline that follows.
            self.closed_open_ms = kline.open_ms
            self._remember(kline)
        self.open_ms, self.event_ms = max((self.open_ms, self.event_ms), (kline.open_ms, kline.event_ms))
        return Order.NEXT

    def _judge_past(self, kline: Kline) -> Order:
        before = self._closed.get(kline.open_ms)
        if before is not None:
            if kline.event_ms <= before.event_ms or _content(kline) == _content(before):
                return Order.KNOWN
            self._closed[kline.open_ms] = kline
            return Order.REVISED
        if kline.open_ms < min(self._closed):
            return Order.KNOWN
        self._remember(kline)
        return Order.LATE

    def _remember(self, kline: Kline) -> None:
        self._closed[kline.open_ms] = kline
        if len(self._closed) > CLOSED_KEPT:
            del self._closed[min(self._closed)]


def _content(kline: Kline) -> tuple[str | int, ...]:
    return (
        kline.open, kline.high, kline.low, kline.close, kline.volume, kline.quote_volume, kline.taker_buy_base_volume,
        kline.taker_buy_quote_volume, kline.trades,
    )  # fmt: skip
