"""Binance's candles: which intervals there are, and where a candle opens. All times in ms UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from data_collector.model import calendar
from data_collector.model.calendar import DAY_MS, LENGTHS_MS, UtcCalendar

INTERVALS = tuple(interval for interval in calendar.INTERVALS if interval not in {"10m", "45m"})

MONDAY_MS = 4 * DAY_MS
"""The first Monday after the epoch: weeks open on Mondays."""

_CALENDAR = UtcCalendar()


def open_of(interval: str, time_ms: int, offset_ms: int = 0) -> int:
    """The open time of the candle that `time_ms` belongs to, in a zone `offset_ms` east of UTC."""
    local_ms = time_ms + offset_ms
    if interval == "1M":
        opened = datetime.fromtimestamp(local_ms // 1000, UTC).replace(day=1, hour=0, minute=0, second=0)
        return int(opened.timestamp()) * 1000 - offset_ms
    phase_ms = MONDAY_MS if interval == "1w" else 0
    return local_ms - (local_ms - phase_ms) % LENGTHS_MS[interval] - offset_ms


def next_open(interval: str, open_ms: int, offset_ms: int = 0) -> int:
    """The open time of the candle after the one that opens at `open_ms`."""
    return _CALENDAR.next_open_ms(interval, open_ms + offset_ms) - offset_ms
