"""Algebra of holes: every missing number in exactly one gap, with its reason."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from data_collector.model.calendar import UtcCalendar, missing_range
from data_collector.model.gaps import Gap, explain_ids, explained_from
from tests.market import MINUTE_MS, NOON_MS
from tests.property.strategies import INTERVALS

CALENDAR = UtcCalendar()
RULES = st.sampled_from([("a",), ("b",), ("a", "b")])


@given(
    first=st.integers(0, 50),
    length=st.integers(0, 50),
    refused=st.dictionaries(st.integers(0, 120), RULES, max_size=40),
)
def test_gaps_cut_the_hole_into_parts_of_one_reason(
    first: int, length: int, refused: dict[int, tuple[str, ...]]
) -> None:
    last = first + length - 1
    gaps = explain_ids(first, last, refused, "lost")

    told = [(number, gap.reason, gap.rules) for gap in gaps for number in range(gap.first, gap.last + 1)]
    assert told == [
        (number, "refused", refused[number]) if number in refused else (number, "lost", ())
        for number in range(first, last + 1)
    ]
    assert all(gap.count == gap.last - gap.first + 1 > 0 for gap in gaps)
    kinds = [(gap.reason, gap.rules) for gap in gaps]
    assert all(one != following for one, following in pairwise(kinds))


@given(interval=INTERVALS, start_s=st.integers(10**9, 2 * 10**9), steps=st.integers(1, 200))
def test_missing_range_counts_the_steps_of_the_calendar(interval: str, start_s: int, steps: int) -> None:
    start = 1_704_067_200_000 if interval == "1M" else start_s * 1000
    opens = [start]
    for _ in range(steps):
        opens.append(CALENDAR.next_open_ms(interval, opens[-1]))

    assert missing_range(CALENDAR, interval, start, opens[-1]) == (opens[-2], steps)


@given(interval=INTERVALS, open_ms=st.integers(10**12, 4_102_444_799_999))
def test_any_open_time_has_a_later_one(interval: str, open_ms: int) -> None:
    following = CALENDAR.next_open_ms(interval, open_ms)

    assert following > open_ms
    assert missing_range(CALENDAR, interval, open_ms, following) == (open_ms, 1)


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5), known=st.integers(-3, 50))
def test_gaps_of_open_times_are_cut_to_what_the_store_lacks(sizes: list[int], known: int) -> None:
    gaps: list[Gap] = []
    minute = 0
    for number, size in enumerate(sizes):
        first_ms = NOON_MS + minute * MINUTE_MS
        gaps.append(Gap(first_ms, first_ms + (size - 1) * MINUTE_MS, size, "refused", (f"rule{number}",)))
        minute += size

    cut = explained_from(CALENDAR, "1m", gaps, NOON_MS + known * MINUTE_MS)

    told = [(open_ms - NOON_MS) // MINUTE_MS for gap in cut for open_ms in range(gap.first, gap.last + 1, MINUTE_MS)]
    assert told == list(range(max(known, 0), minute))
    assert sum(gap.count for gap in cut) == len(told)
