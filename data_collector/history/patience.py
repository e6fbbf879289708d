"""Trying again what did not work, for a bounded time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from data_collector.history.events import Event, Waiting
from data_collector.history.stopping import Stopping
from data_collector.model.backoff import Backoff
from data_collector.model.errors import Transient, Unavailable

WAIT_S_MIN = 0.2

Found = TypeVar("Found")


def waiting_told(tell: Callable[[Event], None]) -> Callable[[str, str, float], None]:
    """Tell each wait as an event."""
    return lambda name, reason, wait_s: tell(Waiting(name, reason, round(wait_s, 3)))


class Patience:
    """Back-off with full jitter, until nothing has worked for `seconds`."""

    def __init__(self, seconds: float, stopping: Stopping, tell: Callable[[str, str, float], None]) -> None:
        """`tell` gets the name of what waits, the reason and how long it waits."""
        self._seconds = seconds
        self._stopping = stopping
        self._tell = tell

    async def ask(self, name: str, call: Callable[[], Awaitable[Found]]) -> Found:
        """For what may be broken off. Raises `Unavailable` with the last reason when the time is over."""
        return await self._until_it_works(name, call, interruptible=True)

    async def write(self, name: str, call: Callable[[], Awaitable[Found]]) -> Found:
        """For what is to be done whole."""
        return await self._until_it_works(name, call, interruptible=False)

    async def _until_it_works(
        self, name: str, call: Callable[[], Awaitable[Found]], *, interruptible: bool
    ) -> Found:  # fmt: skip
        end = time.monotonic() + self._seconds
        backoff = Backoff()
        while True:
            try:
                if not interruptible:
                    return await call()
                with self._stopping.interruptible():
                    return await call()
            except Transient as error:
                wait_s = max(WAIT_S_MIN, backoff.next_delay_s(retry_after_s=error.retry_after_s))
                if time.monotonic() + wait_s > end:
                    raise Unavailable(f"{error}; given up after {self._seconds:g} s") from error
                self._tell(name, str(error), wait_s)
            with self._stopping.interruptible():
                await asyncio.sleep(wait_s)
