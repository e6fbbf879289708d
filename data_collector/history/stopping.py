"""Ending early: what waits is let go at once, what is being written is written to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Stopping:
    """A wish to end, which a signal handler may express at any time."""

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
