"""Keeps us below the exchange's limits: so many events in any window of so many seconds."""

from __future__ import annotations

import asyncio
import time
from collections import deque


class Governor:
    """A strict sliding window, as the exchange counts (a token bucket lets a burst and its refill through).

    Callers of `turn` are served in order.
    """

    def __init__(self, limit: int, window_s: float) -> None:
        self._limit = limit
        self._window_s = window_s
        self._times: deque[float] = deque()
        self._lock = asyncio.Lock()

    def try_now(self) -> bool:
        """Take a place if one is free."""
        now = time.monotonic()
        while self._times and now - self._times[0] >= self._window_s:
            self._times.popleft()
        if len(self._times) >= self._limit:
            return False
        self._times.append(now)
        return True

    def next_in_s(self) -> float:
        """How long until a place is free; 0 when one is."""
        if len(self._times) < self._limit:
            return 0.0
        return max(0.0, self._window_s - (time.monotonic() - self._times[0]))

    async def turn(self) -> None:
        """Wait for a place and take it."""
        async with self._lock:
            while not self.try_now():  # noqa: ASYNC110 - the condition is the clock
                await asyncio.sleep(max(0.001, self.next_in_s()))
