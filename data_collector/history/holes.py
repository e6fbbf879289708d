"""What is missing between records that come in order, and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from data_collector.model.calendar import Calendar, missing_range
from data_collector.model.gaps import Gap

HOLES_MAX = 10_000
"""Of one series; more are counted only."""


class Hole(Struct, frozen=True):
    """A closed range of trade ids or open times that is not there."""

    first: int
    last: int
    count: int
    reason: str
    """As in the table of gaps; `missing` where nothing was recorded of it."""


class Steps(Protocol):
    """Which numbers a series consists of."""

    def after(self, number: int) -> int:
        """The number that follows."""

    def counted(self, first: int, until: int) -> tuple[int, int]:
        """The last one before `until`, and how many there are from `first` to it."""


class Ids:
    """Trade ids grow by one."""

    def after(self, number: int) -> int:
        return number + 1

    def counted(self, first: int, until: int) -> tuple[int, int]:
        return until - 1, until - first


class OpenTimes:
    """Open times of an interval's candles."""

    def __init__(self, calendar: Calendar, interval: str) -> None:
        self._calendar = calendar
        self._interval = interval

    def after(self, number: int) -> int:
        return self._calendar.next_open_ms(self._interval, number)

    def counted(self, first: int, until: int) -> tuple[int, int]:
        return missing_range(self._calendar, self._interval, first, until)

    def first_from(self, from_ms: int, known_ms: int) -> int:
        """The first open time not before `from_ms`, on the grid of one that is known and comes later."""
        if self._interval.endswith("M"):
            month = datetime.fromtimestamp(from_ms // 1000, UTC).replace(day=1, hour=0, minute=0, second=0)
            start_ms = int(month.timestamp()) * 1000
            return start_ms if start_ms >= from_ms else self.after(start_ms)
        return known_ms - (known_ms - from_ms) // (step_ms := self.after(known_ms) - known_ms) * step_ms

    def closed_until(self, due_ms: int, until_ms: int, now_ms: int) -> int:
        """`until_ms`, or the open time of the candle that is not over yet."""
        until_ms = min(until_ms, now_ms)
        if until_ms <= due_ms:
            return due_ms
        last_ms, _ = self.counted(due_ms, until_ms)
        return last_ms if self.after(last_ms) > now_ms else until_ms


class Holes:
    """Follows a series and takes down what it lacks. Numbers come ascending."""

    def __init__(self, steps: Steps, recorded: Sequence[Gap], due: int, *, most: int = HOLES_MAX) -> None:
        """`due` is where the series should begin; `recorded` says of ranges why they are missing."""
        self.due = due
        self.found: list[Hole] = []
        self.left_out = 0
        self._steps = steps
        self._recorded = sorted(recorded, key=lambda gap: gap.first)
        self._most = most

    def take(self, number: int) -> None:
        """The next number that is there."""
        if number > self.due:
            self.end(number)
        self.due = self._steps.after(number)

    def end(self, until: int) -> None:
        """Nothing more comes before `until`."""
        if until <= self.due:
            return
        for hole in _explained(self.due, until, self._recorded, self._steps):
            if len(self.found) < self._most:
                self.found.append(hole)
            else:
                self.left_out += 1
        self.due = until


def _explained(first: int, until: int, recorded: Sequence[Gap], steps: Steps) -> list[Hole]:
    """A range in pieces, each with the reason that was recorded for it."""
    holes: list[Hole] = []
    begin = first
    for gap in recorded:
        if gap.last < begin:
            continue
        if gap.first >= until:
            break
        if gap.first > begin:
            holes.append(Hole(begin, *steps.counted(begin, gap.first), "missing"))
            begin = gap.first
        end = min(until, steps.after(gap.last))
        holes.append(Hole(begin, *steps.counted(begin, end), gap.reason))
        begin = end
    if begin < until:
        holes.append(Hole(begin, *steps.counted(begin, until), "missing"))
    return holes
