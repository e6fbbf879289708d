"""Eternal tasks: a few restarts, then the bug is raised."""

from __future__ import annotations

import asyncio
import time

import pytest

from data_collector.pipeline import supervise
from data_collector.pipeline.supervise import RESTARTS_MAX, supervised


class Broken:
    """Fails whenever it runs."""

    def __init__(self) -> None:
        self.runs = 0

    async def run(self) -> None:
        self.runs += 1
        raise ZeroDivisionError("a bug")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "RESTART_DELAY_S", 0.0)


async def test_bug_is_raised_after_a_few_restarts() -> None:
    broken = Broken()

    with pytest.raises(ZeroDivisionError, match="a bug"):
        await supervised("broken", broken.run)

    assert broken.runs == RESTARTS_MAX + 1


async def test_failures_that_are_far_apart_are_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def clock() -> float:
        return now

    runs = 0

    async def fail_now_and_then() -> None:
        nonlocal now, runs
        now += supervise.RESTART_WINDOW_S + 1
        runs += 1
        if runs == 5 * RESTARTS_MAX:
            raise asyncio.CancelledError
        raise ZeroDivisionError

    monkeypatch.setattr(time, "monotonic", clock)

    with pytest.raises(asyncio.CancelledError):
        await supervised("seldom", fail_now_and_then)

    assert runs == 5 * RESTARTS_MAX


async def test_eternal_task_that_ends_is_an_error_with_its_name() -> None:
    async def end() -> None:
        return

    with pytest.raises(RuntimeError, match="the eternal task ender has ended"):
        await supervised("ender", end)


async def test_cancelling_ends_it() -> None:
    started = asyncio.Event()

    async def wait() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(supervised("waiter", wait))
    await started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
