"""When klines open: the next open time, and how many lie between two of them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Protocol


class Calendar(Protocol):
    """An exchange's kline grid."""

    def next_open_ms(self, interval: str, open_ms: int) -> int:
        """The open time after `open_ms`, which is an open time itself."""

    def is_open_time(self, interval: str, open_ms: int) -> bool:
        """Whether a kline of this interval can open then."""


LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, where Python's datetime ends."""

TIMES_END_MS = 7_258_118_400_000
"""The year 2200: no record is of a time from then on, so that all that is computed of one stays within the calendar."""

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

MS_OF_UNIT = {"s": 1_000, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}

_COUNTS = {"s": (1,), "m": (1, 3, 5, 10, 15, 30, 45), "h": (1, 2, 3, 4, 6, 8, 12), "d": (1, 3), "w": (1,)}

LENGTHS_MS = {f"{count}{unit}": count * MS_OF_UNIT[unit] for unit, counts in _COUNTS.items() for count in counts}
"""Of every interval of a fixed length that some exchange has; `1M` is the one without."""

INTERVALS = (*LENGTHS_MS, "1M")
"""All that some exchange has."""


class UtcCalendar:
    """Fixed steps from any open time that the exchange sent (so weeks and `3d` need no rule); months by date."""

    def next_open_ms(self, interval: str, open_ms: int) -> int:
        """Open times of `1M` are firsts of the month, 00:00 UTC."""
        step_ms = _step_ms(interval)
        return _months_after(open_ms, int(interval[:-1])) if step_ms is None else open_ms + step_ms

    def is_open_time(self, interval: str, open_ms: int) -> bool:
        """Weeks and `3d` open on some midnight; which one is the exchange's choice."""
        step_ms = _step_ms(interval)
        if step_ms is None:
            return open_ms % DAY_MS == 0 and datetime.fromtimestamp(open_ms / 1000, UTC).day == 1
        return open_ms % min(step_ms, DAY_MS) == 0


@cache
def _step_ms(interval: str) -> int | None:
    if interval.endswith("M"):
        return None
    return int(interval[:-1]) * MS_OF_UNIT[interval[-1]]


def _months_after(open_ms: int, months: int) -> int:
    opened = datetime.fromtimestamp(open_ms / 1000, UTC)
    month = opened.month - 1 + months
    following = opened.replace(year=opened.year + month // 12, month=month % 12 + 1, day=1)
    return int(following.timestamp()) * 1000


def is_whole(calendar: Calendar, interval: str, open_ms: int, close_ms: int, anchor_ms: int | None = None) -> bool:
    """Whether a kline opens on the grid (`place_ms`) and ends a millisecond before the next one opens.

    An exchange's history can have some that do not, from before and after a standstill: they are no klines of their
    interval, wherever they come from.
    """
    if not 0 <= open_ms <= LATEST_MS or not calendar.is_open_time(interval, open_ms):
        return False
    if place_ms(calendar, interval, open_ms, anchor_ms) != open_ms:
        return False
    return close_ms == calendar.next_open_ms(interval, open_ms) - 1


def place_ms(calendar: Calendar, interval: str, open_ms: int, anchor_ms: int | None = None) -> int | None:
    """The open time on the grid at or before any time.

    Of weeks and `3d` only the exchange knows the grid: `anchor_ms`, any open time of its klines, tells it. Without one
    it is a time at which one can open, and None for others.
    """
    if interval.endswith("M"):
        opened = datetime.fromtimestamp(open_ms / 1000, UTC)
        first = opened.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return int(first.timestamp()) * 1000
    step_ms = calendar.next_open_ms(interval, 0)
    if step_ms > DAY_MS and anchor_ms is not None:
        return open_ms - (open_ms - anchor_ms) % step_ms
    if step_ms > DAY_MS:
        return open_ms if calendar.is_open_time(interval, open_ms) else None
    return open_ms // step_ms * step_ms


def missing_range(calendar: Calendar, interval: str, first_ms: int, until_ms: int) -> tuple[int, int]:
    """Last open time before `until_ms` and how many open times lie from `first_ms` to it, both included."""
    step = calendar.next_open_ms(interval, first_ms) - first_ms
    if not interval.endswith("M"):
        count = -(-(until_ms - first_ms) // step)
        return first_ms + (count - 1) * step, count
    last, count = first_ms, 1
    while (following := calendar.next_open_ms(interval, last)) < until_ms:
        last, count = following, count + 1
    return last, count
