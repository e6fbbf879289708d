"""Whatever is missing, the plan asks for exactly that, in no more calls than hole by hole would take."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from data_collector.history.backfill import read_page
from data_collector.history.plan import Calls, Plan, plan_series
from data_collector.model.calendar import UtcCalendar
from data_collector.model.grid import Grid, IdGrid, KlineGrid, joined
from data_collector.model.keys import Key

CALENDAR = UtcCalendar()
INTERVALS = ("1s", "1m", "15m", "1h", "1d", "1M")
NOON_MS = 1_704_110_400_000
CALLS = Calls(rows=1_000, weight=2, seconds=0.1)


@st.composite
def numbered(draw: st.DrawFn) -> tuple[Grid, list[int]]:
    """A grid, and numbers of it in a row."""
    interval = draw(st.sampled_from(("trades", *INTERVALS)))
    grid: Grid = IdGrid() if interval == "trades" else KlineGrid(CALENDAR, interval)
    number = 1_000 if interval == "trades" else KlineGrid(CALENDAR, interval).first_open(NOON_MS)
    numbers = [number]
    for _ in range(draw(st.integers(1, 60))):
        numbers.append(grid.following(numbers[-1]))
    return grid, numbers


@given(numbered(), st.sets(st.integers(0, 60)))
def test_plan_wants_every_missing_number_and_no_other(world: tuple[Grid, list[int]], chosen: set[int]) -> None:
    grid, numbers = world
    missing = [number for position, number in enumerate(numbers) if position in chosen]
    ranges = joined(grid, [(number, number) for number in missing])

    plan = plan_series(Key("trade", "BTCUSDT"), ranges, grid, CALLS)

    assert [number for number in numbers if plan.wants(number)] == missing
    assert plan.rows == len(missing)
    assert plan.requests <= len(ranges)
    assert all(before.last < after.first for before, after in pairwise(plan.stretches))


@given(st.lists(st.tuples(st.integers(1, 5_000), st.integers(1, 5_000)), max_size=30))
def test_joined_holes_never_cost_more_than_single_ones(lengths: list[tuple[int, int]]) -> None:
    ranges: list[tuple[int, int]] = []
    number = 0
    for known, missing in lengths:
        ranges.append((number + known, number + known + missing - 1))
        number = ranges[-1][1] + 1

    plan = plan_series(Key("kline", "BTCUSDT", "1m"), ranges, IdGrid(), CALLS)

    alone = sum(CALLS.count(last - first + 1) for first, last in ranges)
    assert plan.requests <= alone
    assert plan.weight == 2 * plan.requests
    assert plan.rows == sum(last - first + 1 for first, last in ranges)
    for stretch in plan.stretches:
        assert stretch.requests * CALLS.new_rows >= stretch.last - stretch.first + 1


@given(st.integers(0, 5_000), st.integers(0, 2_700))
def test_time_grows_with_what_is_asked_and_with_what_was_used(requests: int, used: int) -> None:
    ranges = [(0, requests * CALLS.new_rows - 1)] if requests else []
    plan = Plan((plan_series(Key("kline", "BTCUSDT", "1m"), ranges, IdGrid(), CALLS),))

    seconds = plan.seconds(2_700, used)

    assert seconds >= plan.seconds(2_700)
    assert seconds >= ((plan.weight + used) // 2_700 - 1) * 60
    assert (seconds == 0) == (requests == 0)


@given(numbered(), st.sets(st.integers(0, 60)), st.integers(2, 20))
def test_pages_prove_exactly_what_the_exchange_lacks(
    world: tuple[Grid, list[int]], lacking: set[int], page_size: int
) -> None:
    grid, numbers = world
    exchange = [number for position, number in enumerate(numbers) if position not in lacking]
    position: int | None = numbers[1] if len(numbers) > 2 else None
    last = numbers[-2]
    absent: set[int] = set()
    unproven: set[int] = set()

    while position is not None:
        answer = [number for number in exchange if number >= grid.back(position)][:page_size]
        page = read_page(grid, position, last, answer, full=len(answer) == page_size)
        absent |= {number for first, end in page.absent for number in numbers if first <= number <= end}
        for missing in filter(None, (page.lead, page.tail)):
            unproven |= {number for number in numbers if missing[0] <= number <= missing[1]}
        assert page.next_number is None or page.next_number > position
        position = page.next_number

    gone = set(numbers[1:-1]) - set(exchange)
    assert absent | unproven == gone
    # Between the first and the last row that the exchange has, everything is proven.
    assert all(exchange[0] > number or exchange[-1] < number for number in unproven - absent if exchange)


@given(st.sampled_from(INTERVALS), st.integers(10**12, 2 * 10**12), st.integers(0, 10**9), st.integers(-(10**9), 10**9))
def test_wanted_open_times_are_those_that_have_ended(interval: str, from_ms: int, length: int, ahead: int) -> None:
    to_ms, closed_ms = from_ms + length, from_ms + length + ahead

    grid = KlineGrid(CALENDAR, interval)
    first_ms = grid.first_open(from_ms)
    end_ms = grid.end_of_closed(first_ms, to_ms, closed_ms)

    assert CALENDAR.is_open_time(interval, first_ms)
    assert first_ms >= from_ms
    assert CALENDAR.is_open_time(interval, end_ms)
    assert end_ms == first_ms or end_ms <= closed_ms
    following = CALENDAR.next_open_ms(interval, end_ms)
    assert end_ms >= to_ms or following > closed_ms
