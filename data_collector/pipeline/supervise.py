"""Keeps eternal tasks running: a few restarts after a bug, then the process ends with the traceback."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from data_collector.model.errors import CollectorError
from data_collector.observe.memory import SHORTAGE

RESTARTS_MAX = 3
RESTART_WINDOW_S = 60.0
RESTART_DELAY_S = 1.0


async def supervised(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run an eternal task; more than `RESTARTS_MAX` failures within `RESTART_WINDOW_S` are raised.

    Expected failures (a lost connection, a store that is away) are handled where they are understood and never come
    here: what comes here is a bug, and it is logged with its traceback.
    """
    failures: deque[float] = deque()
    while True:
        try:
            await run()
        except CollectorError:
            # Not a bug: whoever raised it past its own retries means the operator.
            raise
        except Exception as error:  # the one place where bugs are caught (style guide)
            SHORTAGE.meet(error)
            now = time.monotonic()
            failures.append(now)
            while now - failures[0] > RESTART_WINDOW_S:
                failures.popleft()
            structlog.get_logger().exception("task_failed", task=name, failures=len(failures))
            if len(failures) > RESTARTS_MAX:
                raise
            await asyncio.sleep(RESTART_DELAY_S)
        else:
            raise RuntimeError(f"the eternal task {name} has ended")


async def until_any(*events: asyncio.Event) -> None:
    """Until one of them is set."""
    if any(event.is_set() for event in events):
        return
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
