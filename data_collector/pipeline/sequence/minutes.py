"""What our own trades say of a minute's kline: the volume of each minute, summed as the trades pass.

Life cycle: each trade sequence has one and adds every trade that passes; the kline intake has the closed 1m kline
compared. Only the newest minutes are kept. It decides nothing: what differs is reconciled by
`pipeline.repair.kline_repair`.
"""

from __future__ import annotations

from data_collector.model.gaps import GapReason
from data_collector.model.records import Kline, Trade
from data_collector.model.sink import KlineCheck

MINUTE_MS = 60_000

MINUTES_KEPT = 5
"""A closing frame comes two seconds after the end, and a trade's time seldom goes back."""

VOLUME_TOLERANCE = 1e-10
"""Relative: the error of a float sum over half a million quantities is below it."""

QUANTITY_STEP_HALF = 5e-9
"""The exchange counts in steps of 1e-8."""


class MinuteVolumes:
    """Of one symbol."""

    __slots__ = ("_began_id", "_kept", "_minute", "_volume")

    def __init__(self) -> None:
        self._began_id = -1
        self._minute = -1
        self._volume = 0.0
        self._kept: dict[int, float] = {}

    def add(self, trade: Trade) -> None:
        """A trade that passed."""
        minute = trade.time_ms // MINUTE_MS
        if minute != self._minute:
            self._turn(minute, trade.trade_id)
        self._volume += float(trade.quantity)

    def pass_over(self, reason: GapReason) -> None:
        """Some that were due did not pass: what the exchange tells of their minute differs then."""

    def break_off(self) -> None:
        """Some passed without being seen: the volumes of their minutes are not known here."""
        self._began_id = self._minute = -1
        self._volume = 0.0
        self._kept.clear()

    def begin_anew(self) -> None:
        """The exchange's trade ids begin anew."""
        self.break_off()

    def check(self, kline: Kline, id_before: int, next_id: int) -> KlineCheck:
        """A closed kline of a minute against them; `id_before` is the last trade id before it, -1 when unknown.

        `next_id` is the trade id that is due: unchecked when some of its trades have not come, or came before us.
        """
        first, last = kline.first_trade_id, kline.last_trade_id
        if kline.trades == 0 and self._has_any(kline):
            return "mismatch"
        if first < 0 or last >= next_id or not 0 <= self._began_id <= first:
            return "unchecked"
        volume = self._volume_of(kline.open_ms // MINUTE_MS)
        if volume is None:
            return "unchecked"
        stated = float(kline.volume)
        agrees = (
            kline.trades in (None, last - first + 1)
            and id_before in (-1, first - 1)
            and abs(volume - stated) <= max(QUANTITY_STEP_HALF, stated * VOLUME_TOLERANCE)
        )
        return "ok" if agrees else "mismatch"

    def _has_any(self, kline: Kline) -> bool:
        """Whether trades of its time passed, in one of the newest minutes."""
        opens = (minute * MINUTE_MS for minute in (*self._kept, self._minute))
        return any(kline.open_ms <= open_ms < kline.close_ms - MINUTE_MS + 2 for open_ms in opens)

    def _turn(self, minute: int, trade_id: int) -> None:
        if self._minute < 0:
            self._began_id = trade_id
        else:
            self._kept[self._minute] = self._volume
            if len(self._kept) > MINUTES_KEPT:
                del self._kept[min(self._kept)]
        self._minute, self._volume = minute, self._kept.pop(minute, 0.0)

    def _volume_of(self, minute: int) -> float | None:
        if minute == self._minute:
            return self._volume
        return self._kept.get(minute)
