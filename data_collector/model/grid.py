"""The numbers that a series counts by: ids of trades, open times of klines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from data_collector.model.calendar import DAY_MS, Calendar, missing_range
from data_collector.model.keys import Key

LONGEST_MONTH_MS = 31 * DAY_MS


class Grid(Protocol):
    """Which number comes after which."""

    def following(self, number: int) -> int:
        """The next number."""

    def back(self, number: int, steps: int = 1) -> int:
        """Where to ask from so that about so many numbers before `number` are in the answer; of one step, just one."""

    def span(self, first: int, until: int) -> tuple[int, int]:
        """The last number before `until`, and how many there are from `first` to it, both included."""


class IdGrid:
    """Trade ids grow by one."""

    def following(self, number: int) -> int:
        return number + 1

    def back(self, number: int, steps: int = 1) -> int:
        return max(0, number - steps)

    def span(self, first: int, until: int) -> tuple[int, int]:
        return until - 1, until - first


class KlineGrid:
    """Open times of one interval."""

    def __init__(self, calendar: Calendar, interval: str) -> None:
        self._calendar = calendar
        self._interval = interval

    @property
    def has_months(self) -> bool:
        """Whether its klines differ in length."""
        return self._interval.endswith("M")

    @property
    def needs_anchor(self) -> bool:
        """Weeks and `3d` open on a midnight of the exchange's choice: one of its klines has to tell which."""
        return not self.has_months and self.following(0) > DAY_MS

    def following(self, number: int) -> int:
        return self._calendar.next_open_ms(self._interval, number)

    def back(self, number: int, steps: int = 1) -> int:
        # From the first of a month the longest month back is in the month before, after its first or on it.
        return max(0, number - steps * (LONGEST_MONTH_MS if self.has_months else self._step_ms(number)))

    def span(self, first: int, until: int) -> tuple[int, int]:
        return missing_range(self._calendar, self._interval, first, until)

    def first_open(self, from_ms: int, anchor_ms: int = 0) -> int:
        """The first open time at or after `from_ms`; `anchor_ms` is any open time where one is needed."""
        if self.has_months:
            open_ms = 0
            while open_ms < from_ms:
                open_ms = self.following(open_ms)
            return open_ms
        step_ms = self._step_ms(anchor_ms)
        return anchor_ms - (anchor_ms - from_ms) // step_ms * step_ms

    def end_of_closed(self, first_ms: int, to_ms: int, closed_ms: int) -> int:
        """The open time after the last one that is before `to_ms` and whose kline has ended at `closed_ms`.

        `first_ms`, an open time, when there is none from it on.
        """
        if self.has_months:
            end_ms = first_ms
            while end_ms < to_ms and (following := self.following(end_ms)) <= closed_ms:
                end_ms = following
            return end_ms
        step_ms = self._step_ms(first_ms)
        steps = min(-((first_ms - to_ms) // step_ms), (closed_ms - first_ms) // step_ms)
        return first_ms + max(0, steps) * step_ms

    def parts(self, first_ms: int, end_ms: int, steps: int) -> Iterator[tuple[int, int]]:
        """The range in pieces of at most so many steps; ends are excluded. There are not so many months."""
        while first_ms < end_ms:
            until_ms = end_ms if self.has_months else min(end_ms, first_ms + steps * self._step_ms(first_ms))
            yield first_ms, until_ms
            first_ms = until_ms

    def _step_ms(self, open_ms: int) -> int:
        return self.following(open_ms) - open_ms


def grid_of(key: Key, calendar: Calendar) -> Grid:
    """How the records of trades or klines are numbered."""
    return IdGrid() if key.channel == "trade" else KlineGrid(calendar, key.kline_interval)


def joined(grid: Grid, ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Closed ranges, ascending, where those between which no number lies have become one."""
    whole: list[tuple[int, int]] = []
    for first, last in ranges:
        if whole and grid.following(whole[-1][1]) == first:
            whole[-1] = (whole[-1][0], last)
        else:
            whole.append((first, last))
    return whole
