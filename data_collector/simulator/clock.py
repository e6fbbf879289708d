"""The market's clock."""

from __future__ import annotations

import time


class MarketClock:
    """Milliseconds UTC, running at `speed` times the real pace, or standing still."""

    def __init__(self, start_ms: int, *, speed: float, running: bool) -> None:
        self.speed = speed
        self._base_ms = start_ms
        self._running = running
        self._base_s = time.monotonic()

    @property
    def running(self) -> bool:
        """Whether time passes by itself."""
        return self._running

    def now_ms(self) -> int:
        """The market's time."""
        if not self._running:
            return self._base_ms
        return self._base_ms + int((time.monotonic() - self._base_s) * 1000 * self.speed)

    def advance(self, milliseconds: int) -> None:
        """Jump forward."""
        self._base_ms += milliseconds

    def pause(self) -> None:
        """Stand still."""
        self._base_ms = self.now_ms()
        self._running = False

    def resume(self) -> None:
        """Run on from where it stands."""
        self._base_ms = self.now_ms()
        self._base_s = time.monotonic()
        self._running = True
