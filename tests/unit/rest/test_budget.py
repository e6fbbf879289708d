"""Who may ask when, on a clock that stands still unless somebody sleeps."""

from __future__ import annotations

import asyncio

import pytest

from data_collector.decoding.bounded import ASKED_S_MAX
from data_collector.model.errors import VenueUnreachable
from data_collector.rest.budget import BACKGROUND_PLACES, BACKOFF_S_MAX, PLACES, WeightBudget
from tests.clock import Clock

MINUTE_START_S = 1_700_000_040.0
PAGE = 25


@pytest.fixture
def clock() -> Clock:
    return Clock(MINUTE_START_S + 10.0)


@pytest.fixture
def budget(clock: Clock) -> WeightBudget:
    return WeightBudget(6_000, clock=clock, timer=clock, sleep=clock.sleep)


async def ask(budget: WeightBudget, weight: int = PAGE, *, urgent: bool = False, told: int | None = None) -> None:
    async with budget.passage(weight, urgent=urgent) as passage:
        passage.used = told


async def test_what_is_not_urgent_waits_for_the_minute_at_half_of_our_share(budget: WeightBudget, clock: Clock) -> None:
    await ask(budget, told=2_690)

    await ask(budget, told=25)

    assert clock.slept == [50.5]
    assert budget.used == 25


async def test_what_is_urgent_goes_on_where_catching_up_waits(budget: WeightBudget, clock: Clock) -> None:
    await ask(budget, told=2_690)

    await ask(budget, urgent=True, told=2_715)

    assert clock.slept == []


async def test_what_is_urgent_stops_at_nine_tenths(budget: WeightBudget, clock: Clock) -> None:
    await ask(budget, urgent=True, told=5_376)

    await ask(budget, 24, urgent=True, told=5_400)
    await ask(budget, 1, urgent=True, told=1)

    assert clock.slept == [50.5]


async def test_the_minute_is_that_of_the_exchange(budget: WeightBudget, clock: Clock) -> None:
    budget.learn_clock(clock.now_s + 30.0)
    await ask(budget, told=6_000)

    await ask(budget)

    assert clock.slept == [20.5]


async def test_weight_is_reserved_before_the_request_is_answered(budget: WeightBudget) -> None:
    async with budget.passage(40, urgent=True):
        async with budget.passage(2, urgent=True) as quick:
            quick.used = 3
            assert budget.used == 42
        assert budget.used == 43


async def test_answer_that_was_overtaken_lowers_nothing(budget: WeightBudget) -> None:
    async with budget.passage(25, urgent=True) as slow:
        await ask(budget, urgent=True, told=50)
        slow.used = 25

    assert budget.used == 50


async def test_request_without_an_answer_counts_by_its_weight(budget: WeightBudget) -> None:
    await ask(budget, 25, told=None)

    assert budget.used == 25


async def test_answer_from_the_minute_before_does_not_spend_the_new_one(budget: WeightBudget, clock: Clock) -> None:
    async with budget.passage(25, urgent=True) as passage:
        clock.now_s += 55.0
        passage.used = 5_000

    assert budget.used == 25


async def test_call_that_outweighs_the_limit_goes_alone(budget: WeightBudget, clock: Clock) -> None:
    budget.learn_limit(50)

    await ask(budget, 80, told=80)

    assert clock.slept == []


async def test_lower_limit_of_the_exchange_is_kept(budget: WeightBudget, clock: Clock) -> None:
    budget.learn_limit(1_200)
    await ask(budget, told=530)

    await ask(budget, told=25)

    assert clock.slept == [50.5]


@pytest.mark.parametrize("limit", [0, -5, 1_000_000])
async def test_absurd_limit_changes_nothing(budget: WeightBudget, clock: Clock, limit: int) -> None:
    budget.learn_limit(limit)
    await ask(budget, told=2_690)

    await ask(budget, told=25)

    assert len(clock.slept) == 1


async def test_blocked_means_nothing_is_sent_and_the_caller_told_how_long(budget: WeightBudget, clock: Clock) -> None:
    budget.block(7.0, "HTTP 429")

    with pytest.raises(VenueUnreachable, match=r"wait 7 s \(HTTP 429\)") as caught:
        await ask(budget, urgent=True)

    assert caught.value.retry_after_s == 7.0
    assert budget.used == 0
    clock.now_s += 7.0
    await ask(budget)


async def test_shorter_block_does_not_end_a_longer_one(budget: WeightBudget, clock: Clock) -> None:
    budget.block(100.0, "banned")
    budget.block(5.0, "busy")

    assert budget.blocked_until_s == clock.now_s + 100.0


async def test_absurd_block_is_cut_to_the_longest_ban_that_there_is(budget: WeightBudget, clock: Clock) -> None:
    budget.block(1e12, "banned")

    assert budget.blocked_until_s == clock.now_s + ASKED_S_MAX


@pytest.mark.parametrize("set_by_s", [-3_600.0, 3_600.0])
async def test_clock_that_is_set_makes_a_block_neither_longer_nor_shorter(clock: Clock, set_by_s: float) -> None:
    wall = Clock(clock.now_s)
    budget = WeightBudget(6_000, clock=wall, timer=clock, sleep=clock.sleep)
    budget.block(10.0, "busy")
    wall.now_s += set_by_s

    with pytest.raises(VenueUnreachable) as caught:
        await ask(budget)

    assert caught.value.retry_after_s == 10.0


async def test_back_off_doubles_up_to_its_bound_and_ends_with_an_answer_in_order(budget: WeightBudget) -> None:
    waits = [budget.back_off("HTTP 403") for _ in range(7)]

    assert waits == [10.0, 20.0, 40.0, 80.0, 160.0, BACKOFF_S_MAX, BACKOFF_S_MAX]
    budget.all_is_well()
    assert budget.back_off("HTTP 403") == 10.0


async def test_requests_that_hang_and_are_not_urgent_leave_places_to_urgent_ones(budget: WeightBudget) -> None:
    answered = asyncio.Event()
    under_way: list[bool] = []

    async def hang(*, urgent: bool) -> None:
        async with budget.passage(1, urgent=urgent):
            under_way.append(urgent)
            await answered.wait()

    async with asyncio.TaskGroup() as tasks:
        for urgent in (False,) * 6 + (True,) * 6:
            tasks.create_task(hang(urgent=urgent))
        for _ in range(20):
            await asyncio.sleep(0)
        counts = (under_way.count(False), under_way.count(True))
        answered.set()

    assert counts == (BACKGROUND_PLACES, PLACES - BACKGROUND_PLACES)
    assert len(under_way) == 12


async def test_request_that_waits_for_a_place_is_not_sent_once_another_was_told_to_stop(budget: WeightBudget) -> None:
    answered = asyncio.Event()
    sent: list[int] = []
    refused: list[VenueUnreachable] = []

    async def run(number: int) -> None:
        try:
            async with budget.passage(25, urgent=True):
                sent.append(number)
                await answered.wait()
        except VenueUnreachable as error:
            refused.append(error)

    async with asyncio.TaskGroup() as tasks:
        for number in range(PLACES + 3):
            tasks.create_task(run(number))
        for _ in range(20):
            await asyncio.sleep(0)
        budget.block(5.0, "HTTP 429")
        answered.set()

    assert len(sent) == PLACES
    assert len(refused) == 3
    assert budget.used == PLACES * 25


async def test_cancelled_request_gives_its_place_back(budget: WeightBudget) -> None:
    async def hang() -> None:
        async with budget.passage(25, urgent=True):
            await asyncio.Event().wait()

    hanging = [asyncio.create_task(hang()) for _ in range(PLACES)]
    await asyncio.sleep(0)
    for task in hanging:
        task.cancel()
    await asyncio.wait(hanging)

    async with asyncio.timeout(5):
        await ask(budget, urgent=True)
