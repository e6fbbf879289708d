"""What is missing between records that come in order, and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from data_collector.model.gaps import Gap
from data_collector.model.grid import Grid

HOLES_MAX = 10_000
"""Of one series; more are counted only."""

UNEXPLAINED = "missing"


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
