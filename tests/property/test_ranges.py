"""A set of numbers kept as ranges is the set."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from data_collector.pipeline.gaps.ranges import Ranges

STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 12)), max_size=30)


@given(STEPS)
def test_ranges_hold_what_a_set_holds(steps: list[tuple[bool, int, int]]) -> None:
    ranges, model = Ranges(), set[int]()
    for adds, first, length in steps:
        numbers = set(range(first, first + length))
        if adds:
            ranges.add(first, first + length)
            model |= numbers
        else:
            assert ranges.remove(first, first + length) == len(model & numbers)
            model -= numbers
        held = list(ranges)
        assert {number for low, high in held for number in range(low, high)} == model
        assert ranges.total == len(model)
        assert bool(ranges) == bool(model)
        assert all(before[1] < after[0] for before, after in pairwise(held))
