"""Limits, counted. Pure: the caller brings the time."""

from __future__ import annotations

from collections import deque


class SlidingWindow:
    """At most `limit` events in any span of `window_s`; not a token bucket."""

    def __init__(self, limit: int, window_s: float) -> None:
        self._limit = limit
        self._window_s = window_s
        self._times: deque[float] = deque(maxlen=limit)

    def allows(self, now_s: float) -> bool:
        """Count one event; False when it is one too many."""
        times = self._times
        full = len(times) == self._limit and (self._limit == 0 or now_s - times[0] < self._window_s)
        times.append(now_s)
        return not full


class Bucket:
    """So many events at once, and then `rate` in a second."""

    def __init__(self, rate: float, size: float, now_s: float) -> None:
        self._rate = rate
        self._size = size
        self._left = size
        self._seen_s = now_s

    def allows(self, now_s: float) -> bool:
        """Count one event; False when it is one too many, which then counts nothing."""
        self._left = min(self._size, self._left + (now_s - self._seen_s) * self._rate)
        self._seen_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True
