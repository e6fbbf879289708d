"""The open times of an interval, wherever one begins to look."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from data_collector.model.calendar import UtcCalendar
from data_collector.model.gaps import Gap
from data_collector.model.grid import IdGrid, KlineGrid, disjoint, joined

CALENDAR = UtcCalendar()


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("interval", "since", "known", "first"),
    [
        ("1m", "2024-01-01T00:00:30", "2024-01-01T00:10", "2024-01-01T00:01"),
        ("1m", "2024-01-01T00:01", "2024-01-01T00:10", "2024-01-01T00:01"),
        ("1w", "2023-12-30", "2024-01-15", "2024-01-01"),
        ("1M", "2023-12-30", "2024-03-01", "2024-01-01"),
        ("1M", "2024-01-01", "2024-03-01", "2024-01-01"),
    ],
)
def test_first_candle_of_a_range_lies_on_the_grid_of_the_known_one(
    interval: str, since: str, known: str, first: str
) -> None:
    assert KlineGrid(CALENDAR, interval).first_open(ms(since), ms(known)) == ms(first)


def test_candle_that_is_not_over_is_not_missing() -> None:
    grid = KlineGrid(CALENDAR, "1h")

    assert grid.end_of_closed(ms("2024-01-01"), ms("2024-02-01"), ms("2024-01-01T02:30")) == ms("2024-01-01T02:00")
    assert grid.end_of_closed(ms("2024-01-01"), ms("2024-01-01T02:00"), ms("2024-01-09")) == ms("2024-01-01T02:00")
    assert grid.end_of_closed(ms("2024-01-05"), ms("2024-02-01"), ms("2024-01-01")) == ms("2024-01-05")


def test_parts_of_a_range_meet_and_are_no_longer_than_asked() -> None:
    begin_ms, end_ms = ms("2024-01-01"), ms("2024-01-01T05:30")

    parts = list(KlineGrid(CALENDAR, "1h").parts(begin_ms, end_ms, 2))

    assert (parts[0][0], parts[-1][1]) == (begin_ms, end_ms)
    assert all(before[1] == after[0] for before, after in pairwise(parts))
    assert [KlineGrid(CALENDAR, "1h").span(*part)[1] for part in parts] == [2, 2, 2]
    assert list(KlineGrid(CALENDAR, "1M").parts(begin_ms, end_ms, 2)) == [(begin_ms, end_ms)]
    assert list(KlineGrid(CALENDAR, "1h").parts(end_ms, begin_ms, 2)) == []


def test_ranges_that_touch_are_joined_and_others_stay() -> None:
    assert joined(IdGrid(), [(1, 3), (4, 4), (6, 9)]) == [(1, 4), (6, 9)]
    assert joined(IdGrid(), []) == []


def test_gaps_of_months_that_overlap_become_pieces_that_do_not() -> None:
    year, march = Gap(ms("2024-01-01"), ms("2024-12-01"), 12, "refused", ("a",)), ms("2024-03-01")
    one = Gap(march, march, 1, "refused", ("b", "a"))

    assert disjoint(KlineGrid(CALENDAR, "1M"), [one, year]) == [
        Gap(ms("2024-01-01"), ms("2024-02-01"), 2, "refused", ("a",)),
        Gap(march, march, 1, "refused", ("a", "b")),
        Gap(ms("2024-04-01"), ms("2024-12-01"), 9, "refused", ("a",)),
    ]
    assert disjoint(IdGrid(), []) == []
