"""What is missing between numbers that come in order."""

from __future__ import annotations

from data_collector.model.calendar import UtcCalendar
from data_collector.model.gaps import Gap
from data_collector.model.grid import Hole, Holes, IdGrid, KlineGrid

CALENDAR = UtcCalendar()
MINUTE_MS = 60_000
START_MS = 1_704_067_200_000
"""2024-01-01T00:00:00Z, a Monday."""


def of_ids(numbers: list[int], *recorded: Gap, until: int = 20) -> list[Hole]:
    holes = Holes(IdGrid(), recorded, 1)
    for number in numbers:
        holes.take(number)
    holes.end(until)
    return holes.found


def test_begin_middle_and_end_can_be_missing() -> None:
    assert of_ids([3, 4, 5, 9]) == [
        Hole(1, 2, 2, "missing"), Hole(6, 8, 3, "missing"), Hole(10, 19, 10, "missing"),
    ]  # fmt: skip


def test_series_without_a_hole_has_none() -> None:
    assert of_ids(list(range(1, 20))) == []


def test_recorded_reasons_divide_a_hole() -> None:
    found = of_ids([1, 12], Gap(3, 4, 2, "absent"), Gap(8, 30, 23, "lost"), until=13)

    assert found == [
        Hole(2, 2, 1, "missing"), Hole(3, 4, 2, "absent"), Hole(5, 7, 3, "missing"), Hole(8, 11, 4, "lost"),
    ]  # fmt: skip


def test_hole_that_was_healed_since_is_none() -> None:
    assert of_ids([1, 2, 3], Gap(2, 2, 1, "lost"), until=4) == []


def test_candles_are_counted_on_their_grid() -> None:
    holes = Holes(KlineGrid(CALENDAR, "1m"), [Gap(START_MS, START_MS, 1, "absent")], START_MS)

    holes.take(START_MS + 3 * MINUTE_MS)

    assert holes.found == [
        Hole(START_MS, START_MS, 1, "absent"),
        Hole(START_MS + MINUTE_MS, START_MS + 2 * MINUTE_MS, 2, "missing"),
    ]


def test_more_holes_than_the_bound_are_counted() -> None:
    holes = Holes(IdGrid(), [], 1, most=2)

    for number in (2, 4, 6, 8):
        holes.take(number)

    assert (len(holes.found), holes.left_out) == (2, 2)
