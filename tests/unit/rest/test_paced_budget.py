"""Who may ask when where an exchange wants a pause between calls, on a clock that moves when somebody sleeps."""

from __future__ import annotations

import asyncio

import pytest

from data_collector.model.errors import VenueUnreachable
from data_collector.rest.budget import PacedBudget
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budget(clock: Clock) -> PacedBudget:
    return PacedBudget(1.0, clock=clock, timer=clock, sleep=clock.sleep)


async def turns(budget: PacedBudget, clock: Clock, *urgent: bool) -> list[float]:
    """When each of several calls goes, one after the other."""
    began_s, went = clock.now_s, []
    for each in urgent:
        async with budget.passage(1, urgent=each):
            went.append(clock.now_s - began_s)
    return went


async def test_urgent_calls_go_a_pause_apart(budget: PacedBudget, clock: Clock) -> None:
    assert await turns(budget, clock, True, True, True) == [0.0, 1.0, 2.0]


async def test_what_is_not_urgent_takes_every_second_turn(budget: PacedBudget, clock: Clock) -> None:
    assert await turns(budget, clock, False, False, True, False) == [0.0, 2.0, 3.0, 4.0]
    assert (budget.used, budget.background_weight) == (4, 30)


async def test_time_that_passed_is_not_saved_up(budget: PacedBudget, clock: Clock) -> None:
    await turns(budget, clock, True)
    clock.now_s += 100.0

    assert await turns(budget, clock, True, True) == [0.0, 1.0]
    assert budget.used == 2


async def test_each_kind_has_every_second_turn_while_both_wait() -> None:
    budget = PacedBudget(0.02)
    went: list[bool] = []

    async def ask(*, urgent: bool) -> None:
        async with budget.passage(1, urgent=urgent):
            went.append(urgent)

    async with asyncio.TaskGroup() as tasks:
        for urgent in (False, False, True, True, True):
            tasks.create_task(ask(urgent=urgent))
    assert went == [False, True, False, True, True]


async def test_what_is_urgent_goes_in_every_pause_and_what_is_not_goes_on_beside_it() -> None:
    """One asks again as soon as it was answered, as about a stream that stays silent."""
    budget = PacedBudget(0.02)
    went: list[bool] = []

    async def ask(*, urgent: bool) -> None:
        while len(went) < 20:
            async with budget.passage(1, urgent=urgent):
                went.append(urgent)

    async with asyncio.TaskGroup() as tasks:
        for urgent in (True, True, False):
            tasks.create_task(ask(urgent=urgent))
    assert went.count(False) >= 8


async def test_call_that_waits_for_its_turn_is_not_sent_once_another_was_told_to_stop(
    budget: PacedBudget, clock: Clock
) -> None:
    async def sleep(seconds: float) -> None:
        clock.now_s += seconds
        budget.block(5.0, "told to stop")

    budget._sleep = sleep
    with pytest.raises(VenueUnreachable, match="told to stop"):
        await turns(budget, clock, True, True)
    clock.now_s += 5.0
    assert await turns(budget, clock, True) == [0.0]
