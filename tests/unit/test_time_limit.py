"""A limit of time raises `TimeoutError` whatever has been asked of the task before, and hides no cancellation."""

from __future__ import annotations

import asyncio

import pytest

from data_collector.time_limit import time_limit


async def test_block_that_takes_longer_ends() -> None:
    with pytest.raises(TimeoutError):
        async with time_limit(0.001):
            await asyncio.Event().wait()


async def test_none_is_no_limit() -> None:
    async with time_limit(None):
        await asyncio.sleep(0)


async def test_part_that_closes_too_slowly_in_a_cancelled_task_does_not_cancel_those_after_it() -> None:
    closed: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            try:
                async with time_limit(0.001):
                    await asyncio.Event().wait()
            except TimeoutError:
                closed.append("the slow one")
            closed.append("the next one")

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait((task,))

    assert closed == ["the slow one", "the next one"]
    assert task.cancelled()


async def test_cancellation_within_the_limit_goes_its_way() -> None:
    async def work() -> None:
        async with time_limit(60):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancellation_at_the_moment_of_the_end_goes_its_way() -> None:
    async def work() -> None:
        async with time_limit(0):
            task.cancel()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())

    with pytest.raises(asyncio.CancelledError):
        await task
