"""Asks the exchange for its clock where messages tell a time that nobody else knows of, and settles what waits for it.

Life cycle: the repair of klines makes one, and the service runs it beside the lines. It raises nothing for an exchange
that is away, but where nobody has told any time at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.pipeline.sequence.exchange_clock import AHEAD_MS, ERROR_MS
from data_collector.pipeline.sequence.intake import Intake

LOOK_S = 0.5
"""How often it is looked whether anything waits."""

STEP_MS = 2 * ERROR_MS
"""Messages are no further ahead of REST's clock."""

ASK_AGAIN_S = 5.0
"""Between two questions that nothing waits for, or that were not answered."""

UNANSWERED_S = 10.0
"""What waits so long for a REST side that does not answer is settled by what is known."""


class ClockApi(Protocol):
    """The exchange's REST side."""

    async def server_time_ms(self) -> int:
        """The exchange's clock."""


class ClockKeeper:
    """The task that asks."""

    def __init__(self, intake: Intake, rest: ClockApi, clock: Callable[[], float]) -> None:
        self._intake = intake
        self._tally = intake.tally
        self._rest = rest
        self._clock = clock
        self._again_s = self._failed_until_s = 0.0
        """When it may be asked again where nothing waits, and after a failure."""
        self._known_ahead_ms = 0
        """By how much messages were ahead of REST's clock when it told it last."""
        self._waiting_s: float | None = None
        """Since when something has waited."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            with suppress(VenueUnreachable, VenueRefused):
                await self.ask_ms()
            await asyncio.sleep(LOOK_S)

    async def ask_ms(self) -> int:
        """The time now; REST is asked where it is in doubt.

        Raises `VenueUnreachable` and `VenueRefused` where nobody has told any.
        """
        count, now_s = len(self._tally.doubted), self._clock()
        if not count:
            self._waiting_s = None
        elif self._waiting_s is None:
            self._waiting_s = now_s
        ahead_ms = self._ahead_ms()
        is_in_doubt = ahead_ms is not None and (ahead_ms > STEP_MS or self._tally.clock.is_contradicted)
        is_wanted = count or ahead_ms is None or (is_in_doubt and now_s >= self._again_s)
        is_step = ahead_ms is not None and ahead_ms - self._known_ahead_ms > AHEAD_MS // 2
        if is_step or (is_wanted and (now_s >= self._failed_until_s or not self.now_ms())):
            try:
                rest_ms = await self._rest.server_time_ms()
            except (VenueUnreachable, VenueRefused):
                self._failed_until_s = now_s + ASK_AGAIN_S
                if not self.now_ms():
                    raise
            else:
                self._again_s = now_s + ASK_AGAIN_S
                self._tally.note_rest(rest_ms)
                self._known_ahead_ms = self._ahead_ms() or 0
                self._intake.settle(count)
                count = 0
        if count and self._waiting_s is not None and now_s - self._waiting_s >= UNANSWERED_S:
            self._intake.settle(count)
        return self.now_ms()

    def now_ms(self) -> int:
        """The time now, as far as it is known; 0 before anybody has told any."""
        return self._tally.listen().now_ms()

    def _ahead_ms(self) -> int | None:
        """By how much messages are ahead of REST's clock; None before it has told any."""
        clock, now_s = self._tally.listen(), self._clock()
        if not clock.rest.is_known:
            return None
        sources = [source.now_ms(now_s) for source in (clock.trades, clock.messages) if source.is_known]
        return max(sources) - clock.rest.now_ms(now_s) if sources else 0
