"""The sliding window, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import time

import pytest

from data_collector.pipeline.connections.governor import Governor
from tests.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)
    return clock


def test_no_more_than_the_limit_at_once(clock: Clock) -> None:
    governor = Governor(4, 1.0)

    assert [governor.try_now() for _ in range(5)] == [True, True, True, True, False]


def test_place_is_free_again_when_its_window_is_over(clock: Clock) -> None:
    governor = Governor(2, 1.0)
    governor.try_now()
    clock.now_s += 0.6
    governor.try_now()

    clock.now_s += 0.399
    assert not governor.try_now()
    clock.now_s += 0.001
    assert governor.try_now()
    assert not governor.try_now()


def test_refused_try_takes_no_place(clock: Clock) -> None:
    governor = Governor(1, 1.0)
    governor.try_now()
    for _ in range(50):
        governor.try_now()

    clock.now_s += 1.0
    assert governor.try_now()


async def test_turns_never_exceed_the_limit_in_any_window(clock: Clock) -> None:
    governor = Governor(4, 1.0)
    times: list[float] = []
    for _ in range(40):
        await governor.turn()
        times.append(clock.now_s)

    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[4:], strict=False))
    assert times[-1] - times[0] < 10.0


async def test_turn_does_not_wait_while_there_is_room(clock: Clock) -> None:
    governor = Governor(300, 300.0)
    for _ in range(300):
        await governor.turn()

    assert clock.now_s == 1_000.0


async def test_waiters_are_served_in_order(clock: Clock) -> None:
    governor = Governor(1, 1.0)
    served: list[int] = []

    async def wait(number: int) -> None:
        await governor.turn()
        served.append(number)

    await asyncio.gather(*(wait(number) for number in range(5)))

    assert served == [0, 1, 2, 3, 4]
