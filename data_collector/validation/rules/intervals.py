"""Kline intervals on the UTC grid, as the rules about open and close times see them. An unknown interval passes."""

from __future__ import annotations

from typing import Final

from data_collector.model.calendar import DAY_MS, INTERVALS, LENGTHS_MS, UtcCalendar

_CALENDAR = UtcCalendar()

GRID_MS: Final[dict[str, int]] = {interval: min(length, DAY_MS) for interval, length in LENGTHS_MS.items()}
"""What divides their open times: weeks and `3d` open on some midnight."""

_NO_DATE = (ValueError, OverflowError, OSError)
"""What the calendar raises of a month beyond the years it knows."""


def is_on_grid(interval: str, open_ms: float) -> bool:
    """Whether a kline of this interval can open then."""
    if interval not in INTERVALS:
        return True
    try:
        return _CALENDAR.is_open_time(interval, int(open_ms))
    except _NO_DATE:
        return False


def is_close_time(interval: str, open_ms: float, close_ms: float) -> bool:
    """Whether a kline that opens then ends then: a millisecond before the next one opens."""
    if interval not in INTERVALS:
        return True
    try:
        return _CALENDAR.next_open_ms(interval, int(open_ms)) - 1 == close_ms
    except _NO_DATE:
        return False
