"""The numbers that a series counts by, ids of trades or open times of klines, and which of them are missing. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol

from msgspec import Struct

from data_collector.model.calendar import DAY_MS, LENGTHS_MS, Calendar, missing_range
from data_collector.model.gaps import Gap
from data_collector.model.keys import Key

LONGEST_MONTH_MS = 31 * DAY_MS

HOLES_MAX = 10_000
"""Of one series; more are counted only."""

UNEXPLAINED = "missing"


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


def longest_ms(interval: str) -> int:
    """How long its klines are, those of months at most."""
    return LENGTHS_MS.get(interval, LONGEST_MONTH_MS)


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


class Hole(Struct, frozen=True):
    """A closed range of numbers in a row that is not there."""

    first: int
    last: int
    count: int
    reason: str = UNEXPLAINED
    """As in the table of gaps; `missing` where nothing was recorded of it."""


class Holes:
    """Follows a series and takes down what it lacks. Numbers come ascending."""

    def __init__(self, grid: Grid, recorded: Sequence[Gap], due: int, *, most: int = HOLES_MAX) -> None:
        """`due` is where the series should begin; `recorded` says of ranges why they are missing."""
        self.due = due
        self.found: list[Hole] = []
        self.left_out = 0
        self._grid = grid
        self._recorded = sorted(recorded, key=lambda gap: gap.first)
        self._most = most

    def take(self, number: int) -> None:
        """The next number that is there."""
        if number > self.due:
            self.end(number)
        self.due = self._grid.following(number)

    def end(self, until: int) -> None:
        """Nothing more comes before `until`."""
        if until <= self.due:
            return
        for hole in explained(self._grid, self.due, until, self._recorded):
            if len(self.found) < self._most:
                self.found.append(hole)
            else:
                self.left_out += 1
        self.due = until


def explained(grid: Grid, first: int, until: int, recorded: Sequence[Gap]) -> list[Hole]:
    """A range without records in pieces, each with the reason that was recorded, ascending, for it."""
    holes: list[Hole] = []
    begin = first
    for gap in recorded:
        if gap.last < begin:
            continue
        if gap.first >= until:
            break
        if gap.first > begin:
            holes.append(Hole(begin, *grid.span(begin, gap.first)))
            begin = gap.first
        end = min(until, grid.following(gap.last))
        holes.append(Hole(begin, *grid.span(begin, end), gap.reason))
        begin = end
    if begin < until:
        holes.append(Hole(begin, *grid.span(begin, until)))
    return holes


def unexplained(grid: Grid, first: int, until: int, recorded: Sequence[Gap]) -> list[tuple[int, int]]:
    """First and last number of those pieces of which nothing was recorded."""
    return [(hole.first, hole.last) for hole in explained(grid, first, until, recorded) if hole.reason == UNEXPLAINED]


def disjoint(grid: Grid, gaps: Iterable[Gap]) -> list[Gap]:
    """Gaps of one reason as ascending pieces that do not overlap; each has the rules of all that lie there."""
    waiting = sorted(gaps, key=lambda gap: gap.first, reverse=True)
    edges = sorted({edge for gap in waiting for edge in (gap.first, grid.following(gap.last))})
    pieces: list[Gap] = []
    there: list[Gap] = []
    for first, until in pairwise(edges):
        there = [gap for gap in there if gap.last >= first]
        while waiting and waiting[-1].first <= first:
            there.append(waiting.pop())
        if there:
            rules = tuple(dict.fromkeys(rule for gap in there for rule in gap.rules))
            pieces.append(Gap(first, *grid.span(first, until), there[0].reason, rules))
    return pieces


def crossing(recorded: Sequence[Gap], first: int, last: int) -> Sequence[Gap]:
    """Those gaps, of ascending ones that do not overlap, that have a number of this closed range."""
    begin = bisect_left(recorded, first, key=lambda gap: gap.last)
    return recorded[begin : bisect_right(recorded, last, key=lambda gap: gap.first)]


def without(grid: Grid, ranges: Iterable[tuple[int, int]], recorded: Sequence[Gap]) -> list[tuple[int, int]]:
    """Closed ranges without what was recorded of them, in ascending gaps that do not overlap."""
    return [
        piece
        for first, last in ranges
        for piece in unexplained(grid, first, grid.following(last), crossing(recorded, first, last))
    ]
