"""Time for tests."""

from __future__ import annotations


class Clock:
    """Stands still until it is put forward, or until somebody sleeps on it."""

    def __init__(self, now_s: float = 1_000.0) -> None:
        self.now_s = now_s
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
