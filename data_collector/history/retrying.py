"""Trying again what did not work, for a bounded time; ending early, when what is being written has been written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from data_collector.history.events import Waiting
from data_collector.model.backoff import Backoff
from data_collector.model.errors import Transient, Unavailable

WAIT_S_MIN = 0.2

TOLD_S = 10.0
"""How often it is told that there is no answer yet."""

Found = TypeVar("Found")


class Stopping:
    """A request to end, which a signal handler may express at any time."""

    def __init__(self) -> None:
        self.requested = False
        self._waiting: set[asyncio.Task[object]] = set()

    def request(self) -> None:
        """Cancel every task that only waits; the others look at `requested` when they have written their chunk."""
        self.requested = True
        for task in self._waiting:
            task.cancel()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Nothing is lost when the block is left half way."""
        task = asyncio.current_task()
        assert task is not None, "called from a coroutine"
        if self.requested:
            raise asyncio.CancelledError
        self._waiting.add(task)
        try:
            yield
        finally:
            self._waiting.discard(task)


class Retrying:
    """Back-off with full jitter, until nothing has worked for `seconds`."""

    def __init__(self, seconds: float, stopping: Stopping, tell: Callable[[Waiting], None]) -> None:
        self._seconds = seconds
        self._stopping = stopping
        self._tell = tell

    async def ask(self, name: str, call: Callable[[], Awaitable[Found]]) -> Found:
        """For what may be broken off. Raises `Unavailable` with the last reason when the time is over."""
        return await self._until_it_works(name, call, interruptible=True)

    async def write(self, name: str, call: Callable[[], Awaitable[Found]], *, is_long: bool = False) -> Found:
        """For what is to be done whole; `is_long` tells by itself how far it is."""
        return await self._until_it_works(name, call, interruptible=False, is_long=is_long)

    @contextmanager
    def _waits_told(self, name: str) -> Iterator[None]:
        """A block that asks once."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()

        timer: asyncio.TimerHandle | None = None

        def tell_later() -> None:
            nonlocal timer
            timer = loop.call_later(TOLD_S, tell)

        def tell() -> None:
            self._tell(Waiting(name, f"no answer for {loop.time() - began_s:.0f} s", 0.0))
            tell_later()

        tell_later()
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()

    async def _until_it_works(
        self, name: str, call: Callable[[], Awaitable[Found]], *, interruptible: bool, is_long: bool = False
    ) -> Found:
        end = time.monotonic() + self._seconds
        backoff = Backoff()
        while True:
            try:
                with nullcontext() if is_long else self._waits_told(name):
                    if not interruptible:
                        return await call()
                    with self._stopping.interruptible():
                        return await call()
            except Transient as error:
                wait_s = max(WAIT_S_MIN, backoff.next_delay_s(retry_after_s=error.retry_after_s))
                if time.monotonic() + wait_s > end:
                    raise Unavailable(f"{error}; given up after {self._seconds:g} s") from error
                self._tell(Waiting(name, str(error), round(wait_s, 3)))
            with self._stopping.interruptible():
                await asyncio.sleep(wait_s)
