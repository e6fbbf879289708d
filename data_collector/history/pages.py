"""What one answer of the exchange proves: which numbers it has, and which do not exist. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from data_collector.model.grid import Grid

Range = tuple[int, int]
"""Closed."""


class Page(Struct, frozen=True):
    """An answer, held against the numbers that were to be told about."""

    absent: tuple[Range, ...] = ()
    """It holds both sides and nothing between."""
    lead: Range | None = None
    """Missing before its first row, and the row before that is not in it: unproven."""
    tail: Range | None = None
    """Missing after its last row, and nothing that follows is in it: unproven."""
    next_number: int | None = None
    """Where to ask on; None when it told about all."""


def read_page(grid: Grid, position: int, last: int, numbers: Sequence[int], *, full: bool) -> Page:
    """What `numbers` (rising, an answer's own) tell about `position` to `last`; `full`: more may follow."""
    until = grid.following(last)
    absent: list[Range] = []
    lead: Range | None = None
    expected = position
    for index, number in enumerate(numbers):
        if number > expected and expected < until:
            missing = (expected, grid.span(expected, min(number, until))[0])
            if index == 0:
                lead = missing
            else:
                absent.append(missing)
        if number >= expected:
            expected = grid.following(number)
    if expected >= until:
        return Page(tuple(absent), lead)
    if full:
        return Page(tuple(absent), lead, next_number=expected)
    return Page(tuple(absent), lead, tail=(expected, last))
