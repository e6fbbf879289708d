"""Kline intervals on the UTC grid, as the rules about open and close times see them. An unknown interval passes."""

from __future__ import annotations

from typing import Final

from data_collector.model.calendar import DAY_MS, UtcCalendar

_CALENDAR = UtcCalendar()
_FIXED = (
    "1s",
    "1m",
    "3m",
    "5m",
    "10m",
    "15m",
    "30m",
    "45m",
    "1h",
    "2h",
    "3h",
    "4h",
    "6h",
    "8h",
    "12h",
    "1d",
    "3d",
    "1w",
)

LENGTHS_MS: Final[dict[str, int]] = {interval: _CALENDAR.next_open_ms(interval, 0) for interval in _FIXED}
"""Of the intervals whose length never changes."""

GRID_MS: Final[dict[str, int]] = {interval: min(length, DAY_MS) for interval, length in LENGTHS_MS.items()}
"""What divides their open times: weeks and `3d` open on some midnight."""

_NO_DATE = (ValueError, OverflowError, OSError)
"""What the calendar raises of a month beyond the years it knows."""


def is_on_grid(interval: str, open_ms: float) -> bool:
    """Whether a kline of this interval can open then."""
    if not _is_known(interval):
        return True
    try:
        return _CALENDAR.is_open_time(interval, int(open_ms))
    except _NO_DATE:
        return False


def is_close_time(interval: str, open_ms: float, close_ms: float) -> bool:
    """Whether a kline that opens then ends then: a millisecond before the next one opens."""
    if not _is_known(interval):
        return True
    try:
        return _CALENDAR.next_open_ms(interval, int(open_ms)) - 1 == close_ms
    except _NO_DATE:
        return False


def _is_known(interval: str) -> bool:
    return interval in LENGTHS_MS or interval == "1M"
