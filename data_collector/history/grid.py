"""The numbers that a series counts by: open times of candles, ids of trades."""

from __future__ import annotations

from typing import Protocol

from data_collector.model.calendar import DAY_MS, Calendar, missing_range

LONGEST_MONTH_MS = 31 * DAY_MS


class Grid(Protocol):
    """Which number comes after which."""

    def following(self, number: int) -> int:
        """The next number."""

    def back_to(self, number: int) -> int:
        """Where to ask from so that the one number before `number` is in the answer, and none before that."""

    def far_back(self, number: int, steps: int) -> int:
        """Where to ask from so that about so many numbers before `number` are in the answer."""

    def span(self, first: int, until: int) -> tuple[int, int]:
        """The last number before `until`, and how many there are from `first` to it, both included."""


class IdGrid:
    """Trade ids grow by one."""

    def following(self, number: int) -> int:
        return number + 1

    def back_to(self, number: int) -> int:
        return max(0, number - 1)

    def far_back(self, number: int, steps: int) -> int:
        return max(0, number - steps)

    def span(self, first: int, until: int) -> tuple[int, int]:
        return until - 1, until - first


class KlineGrid:
    """Open times of one interval."""

    def __init__(self, calendar: Calendar, interval: str) -> None:
        self._calendar = calendar
        self._interval = interval

    def following(self, number: int) -> int:
        return self._calendar.next_open_ms(self._interval, number)

    def back_to(self, number: int) -> int:
        return self.far_back(number, 1)

    def far_back(self, number: int, steps: int) -> int:
        if has_months(self._interval):
            # From the first of a month the longest month back is in the month before, after its first or on it.
            return max(0, number - steps * LONGEST_MONTH_MS)
        return max(0, number - steps * (self.following(number) - number))

    def far_forward(self, number: int, steps: int) -> int:
        """About so many steps later, on the grid."""
        if has_months(self._interval):
            # There are not so many months.
            return 2**62
        return number + steps * (self.following(number) - number)

    def span(self, first: int, until: int) -> tuple[int, int]:
        return missing_range(self._calendar, self._interval, first, until)


def has_months(interval: str) -> bool:
    """Whether its candles differ in length."""
    return interval.endswith("M")


def needs_anchor(calendar: Calendar, interval: str) -> bool:
    """Weeks and `3d` open on a midnight of the exchange's choice: one of its candles has to tell which."""
    return not has_months(interval) and calendar.next_open_ms(interval, 0) > DAY_MS


def first_open(calendar: Calendar, interval: str, from_ms: int, anchor_ms: int = 0) -> int:
    """The first open time at or after `from_ms`; `anchor_ms` is any open time where one is needed."""
    if has_months(interval):
        open_ms = 0
        while open_ms < from_ms:
            open_ms = calendar.next_open_ms(interval, open_ms)
        return open_ms
    step_ms = calendar.next_open_ms(interval, anchor_ms) - anchor_ms
    return anchor_ms - (anchor_ms - from_ms) // step_ms * step_ms


def end_of_closed(calendar: Calendar, interval: str, first_ms: int, to_ms: int, closed_ms: int) -> int:
    """The open time after the last one that is before `to_ms` and whose candle has ended at `closed_ms`.

    `first_ms`, an open time, when there is none from it on.
    """
    if has_months(interval):
        end_ms = first_ms
        while end_ms < to_ms and (following := calendar.next_open_ms(interval, end_ms)) <= closed_ms:
            end_ms = following
        return end_ms
    step_ms = calendar.next_open_ms(interval, first_ms) - first_ms
    steps = min(-((first_ms - to_ms) // step_ms), (closed_ms - first_ms) // step_ms)
    return first_ms + max(0, steps) * step_ms
