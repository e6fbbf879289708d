"""A limit of time on what is awaited, the same on every Python that we run on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def time_limit(seconds: float | None) -> AsyncIterator[None]:
    """Raise `TimeoutError` when the block takes longer; None is no limit.

    `asyncio.timeout` alone raises `CancelledError` instead before Python 3.11.3, where the task was cancelled before
    the block began: a part that closes under a limit, as all do at a stop, would take those after it along.
    """
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    cancelled_before = task.cancelling()
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except asyncio.CancelledError:
        if limit.expired() and task.cancelling() <= cancelled_before:
            raise TimeoutError from None
        raise
