"""The open times at which a kline of an interval can stand, so that its key can be asked for by name."""

from __future__ import annotations

from collections.abc import Iterator

from data_collector.model.calendar import DAY_MS, LENGTHS_MS, UtcCalendar

_CALENDAR = UtcCalendar()
_MONTH_AT_MOST_MS = 31 * DAY_MS


def open_times(interval: str, first_ms: int, end_ms: int, anchor_ms: int | None) -> Iterator[int]:
    """Rising, from `first_ms` up to `end_ms` (not included).

    `anchor_ms` is an open time that the exchange sent. Without it, weeks and `3d` can open on any midnight.
    """
    if interval == "1M":
        yield from _months(first_ms, end_ms)
        return
    length_ms = LENGTHS_MS[interval]
    step_ms = min(length_ms, DAY_MS) if anchor_ms is None else length_ms
    phase_ms = (anchor_ms or 0) % step_ms
    start_ms = first_ms + (phase_ms - first_ms) % step_ms
    yield from range(start_ms, end_ms, step_ms)


def before(interval: str, open_ms: int, count: int) -> int:
    """A time that lies `count` intervals before `open_ms`, or somewhat more."""
    return open_ms - count * LENGTHS_MS.get(interval, _MONTH_AT_MOST_MS)


def after(interval: str, open_ms: int, count: int) -> int:
    """A time that lies `count` intervals after `open_ms`, or somewhat more."""
    return open_ms + count * LENGTHS_MS.get(interval, _MONTH_AT_MOST_MS)


def _months(first_ms: int, end_ms: int) -> Iterator[int]:
    day_ms = first_ms + (-first_ms) % DAY_MS
    while not _CALENDAR.is_open_time("1M", day_ms):
        day_ms += DAY_MS
    while day_ms < end_ms:
        yield day_ms
        day_ms = _CALENDAR.next_open_ms("1M", day_ms)
