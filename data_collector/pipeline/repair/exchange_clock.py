"""The exchange's clock between its messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from data_collector.pipeline.sequence.tally import Tally

CLOCK_STEP_MS = 60_000
"""Event times that step further than our own clock by more than this are compared with REST's clock."""


class ClockApi(Protocol):
    """The exchange's REST side."""

    async def server_time_ms(self) -> int:
        """The exchange's clock."""


class ExchangeClock:
    """Its newest event time, and what has passed here since.

    A step is believed when REST agrees: one poisoned event time must not make every kline overdue.
    """

    def __init__(self, tally: Tally, rest: ClockApi, clock: Callable[[], float]) -> None:
        self._tally = tally
        self._rest = rest
        self._clock = clock
        self.event_ms = 0
        """The newest event time that is believed; 0 before the first."""
        self._seen_s = 0.0
        self._doubted_ms = -1
        """An event time that REST's clock contradicts."""

    async def ask_ms(self) -> int:
        """The time now; REST is asked where events step. Raises `VenueUnreachable` and `VenueRefused`."""
        event_ms = self._tally.exchange_ms()
        if not self._follow(event_ms) and (event_ms != self._doubted_ms or not self.event_ms):
            rest_ms = await self._rest.server_time_ms()
            is_plausible = event_ms and event_ms <= rest_ms + CLOCK_STEP_MS
            self._doubted_ms = -1 if is_plausible else event_ms
            self.event_ms, self._seen_s = event_ms if is_plausible else rest_ms, self._clock()
        return self._now_ms()

    def now_ms(self) -> int:
        """The same without asking: while REST has never answered, what events say; 0 before the first."""
        event_ms = self._tally.exchange_ms()
        self._follow(event_ms)
        return self._now_ms() if self.event_ms else event_ms

    def _follow(self, event_ms: int) -> bool:
        """Whether a newest event time fits."""
        if not self.event_ms or event_ms > self._now_ms() + CLOCK_STEP_MS:
            return False
        if event_ms > self.event_ms:
            self.event_ms, self._seen_s = event_ms, self._clock()
        return True

    def _now_ms(self) -> int:
        return self.event_ms + int((self._clock() - self._seen_s) * 1000)
