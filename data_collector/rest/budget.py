"""What an exchange lets this address ask, and who of us may ask now.

Some count weight per clock minute for the whole address (`WeightBudget`), others want a pause between two calls
(`PacedBudget`). Either way what is not urgent gets half: a long catch-up leaves the other half to the repair of the
live feed, the symbol list and the probes.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from msgspec import Struct

from data_collector.decoding.bounded import ASKED_S_MAX, bounded
from data_collector.model.backoff import Backoff
from data_collector.model.errors import VenueUnreachable

SHARE = 0.9
"""Of what the exchange allows: so others on this address bring no ban upon us."""

PATIENT_SHARE = 0.5
"""Of our share: what calls that are not urgent may take the address's weight to."""

PLACES = 4
BACKGROUND_PLACES = 2
"""Requests under way at a time: two that hang and are not urgent leave two places to those that are."""

MINUTE_S = 60
TURN_MARGIN_S = 0.5
"""Clocks differ a little, and weight of the old minute is refused in the new one."""

ROUNDING_S = 1e-6
"""Of sums of times."""

BACKOFF_FIRST_S, BACKOFF_S_MAX = 10.0, 300.0
"""After 403, which tells no time: doubled each time until an answer is in order."""


class Passage(Struct):
    """The right to send one request."""

    weight: int
    number: int = 0
    minute: int = 0
    sent: bool = False
    used: int | None = None
    """What the exchange counted with this request, when it answered."""


class RestBudget(ABC):
    """One per process and address. Nothing here is a lock over a request."""

    def __init__(
        self, clock: Callable[[], float], timer: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self.blocked_until_s = 0.0
        """Unix time before which nothing may be asked, for people; 0.0 when that never happened."""
        self._block_end_s = 0.0
        self._block_reason = ""
        self._backoff = Backoff(BACKOFF_FIRST_S, BACKOFF_S_MAX, jitter=False)
        self._clock = clock
        self._timer = timer
        self._sleep = sleep
        self._places = asyncio.Semaphore(PLACES)
        self._background_places = asyncio.Semaphore(BACKGROUND_PLACES)

    @property
    @abstractmethod
    def used(self) -> int:
        """Weight of this minute, and what is reserved and not answered yet."""

    @property
    @abstractmethod
    def background_weight(self) -> int:
        """What calls that are not urgent may take the weight of a minute to."""

    @abstractmethod
    def passage(self, weight: int, *, urgent: bool) -> AbstractAsyncContextManager[Passage]:
        """Wait until a request of this weight may be sent. Raises `VenueUnreachable` while we are blocked."""

    def block(self, seconds: float, reason: str) -> None:
        """Ask nothing for so long; a shorter block does not end a longer one."""
        seconds = bounded(seconds, ASKED_S_MAX, 0.0)
        end_s = self._timer() + seconds
        if end_s > self._block_end_s:
            self._block_end_s, self._block_reason = end_s, reason
            self.blocked_until_s = self._clock() + seconds

    def back_off(self, reason: str) -> float:
        """Ask nothing for a time that doubles with every call; returns it."""
        seconds = self._backoff.next_delay_s()
        self.block(seconds, reason)
        return seconds

    def all_is_well(self) -> None:
        """An answer was in order."""
        self._backoff.reset()

    async def _rest(self, seconds: float) -> None:
        """Sleep; what was told to stop meanwhile does not go on."""
        await self._sleep(seconds)
        self._refuse_while_blocked()

    def _refuse_while_blocked(self) -> None:
        # A clock that is set makes no wait longer, and none shorter: asking too early makes a ban longer.
        wait_s = self._block_end_s - self._timer()
        if wait_s > 0:
            raise VenueUnreachable(
                f"the exchange asks us to wait {wait_s:.0f} s ({self._block_reason})", retry_after_s=wait_s
            )

    @asynccontextmanager
    async def _place(self, *, urgent: bool) -> AsyncGenerator[None, None]:
        async with nullcontext() if urgent else self._background_places, self._places:
            # While it waited for a place another request may have been told to stop: going on brings a ban.
            self._refuse_while_blocked()
            yield


class WeightBudget(RestBudget):
    """Of an exchange that counts weight per clock minute and tells its count with every answer.

    Calls wait for weight, then for a place.
    """

    def __init__(
        self,
        weight_per_minute: int,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(clock, timer, sleep)
        self._limit = self._limit_max = weight_per_minute
        self._offset_s = 0.0
        self._minute = 0
        self._used = 0
        self._waiting = 0
        self._numbers = 0
        self._newest = 0

    @property
    def used(self) -> int:
        self._turn()
        return self._used + self._waiting

    @property
    def background_weight(self) -> int:
        return int(self._limit * SHARE * PATIENT_SHARE)

    def learn_clock(self, server_s: float) -> None:
        """The minute is the exchange's."""
        self._offset_s = server_s - self._clock()

    def learn_limit(self, weight_per_minute: int) -> None:
        """What the exchange allows in a minute: some hosts less than others. A higher one is not made use of."""
        if weight_per_minute > 0:
            self._limit = min(weight_per_minute, self._limit_max)

    @asynccontextmanager
    async def passage(self, weight: int, *, urgent: bool) -> AsyncGenerator[Passage, None]:
        self._refuse_while_blocked()
        while wait_s := self._wait_s(weight, urgent=urgent):
            await self._rest(wait_s)
        passage = self._reserve(weight)
        try:
            async with self._place(urgent=urgent):
                passage.sent = True
                yield passage
        finally:
            self._settle(passage)

    def _wait_s(self, weight: int, *, urgent: bool) -> float:
        allowed = self._limit * SHARE * (1.0 if urgent else PATIENT_SHARE)
        used = self.used
        # A call that weighs more than is allowed goes alone, or it would never go.
        if used == 0 or used + weight <= allowed:
            return 0.0
        return MINUTE_S - self._exchange_s() % MINUTE_S + TURN_MARGIN_S

    def _reserve(self, weight: int) -> Passage:
        self._turn()
        self._waiting += weight
        self._numbers += 1
        return Passage(weight, self._numbers, self._minute)

    def _settle(self, passage: Passage) -> None:
        self._turn()
        self._waiting -= passage.weight
        if not passage.sent:
            return
        if passage.used is None or passage.minute != self._minute:
            # Unanswered, or counted in a minute that may be over there or not: taken as counted in this one.
            self._used += passage.weight
        elif passage.number > self._newest:
            self._used, self._newest = passage.used, passage.number
        else:
            # Answers overtake each other.
            self._used = max(self._used, passage.used)

    def _turn(self) -> None:
        minute = int(self._exchange_s() // MINUTE_S)
        if minute != self._minute:
            self._minute, self._used = minute, 0

    def _exchange_s(self) -> float:
        return self._clock() + self._offset_s


class PacedBudget(RestBudget):
    """Of an exchange that wants a pause between any two calls; each call weighs 1.

    Calls wait for a place, then for their turn. While both kinds wait each has every second turn, so that what is asked
    urgently again and again does not keep the others from ever being asked.
    """

    def __init__(
        self,
        pause_s: float,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(clock, timer, sleep)
        self._pause_s = pause_s
        self._next_s = self._next_background_s = timer()
        """When the next turn is that nobody has yet."""
        self._urgent_turns = asyncio.Lock()
        self._background_turns = asyncio.Lock()
        self._background_turn_s: float | None = None
        """The one turn that is kept for what is not urgent, and has not come."""
        self._sent: deque[float] = deque(maxlen=int(MINUTE_S / pause_s) + 1)

    @property
    def used(self) -> int:
        while self._sent and self._sent[0] <= self._timer() - MINUTE_S:
            self._sent.popleft()
        return len(self._sent)

    @property
    def background_weight(self) -> int:
        return int(MINUTE_S / self._pause_s * PATIENT_SHARE)

    @asynccontextmanager
    async def passage(self, weight: int, *, urgent: bool) -> AsyncGenerator[Passage, None]:
        self._refuse_while_blocked()
        async with self._place(urgent=urgent):
            turn_s = await (self._urgent_turn() if urgent else self._background_turn())
            self._sent.append(turn_s)
            yield Passage(weight, sent=True)

    async def _urgent_turn(self) -> float:
        async with self._urgent_turns:
            turn_s, kept_s = max(self._next_s, self._timer()), self._background_turn_s
            if kept_s is not None and turn_s + self._pause_s > kept_s + ROUNDING_S:
                turn_s = max(turn_s, kept_s + self._pause_s)
            self._next_s = turn_s + self._pause_s
            await self._until(turn_s)
            return turn_s

    async def _background_turn(self) -> float:
        async with self._background_turns:
            turn_s = max(self._next_s, self._next_background_s, self._timer())
            self._background_turn_s = turn_s
            try:
                await self._until(turn_s)
            finally:
                self._background_turn_s = None
            self._next_s = max(self._next_s, turn_s + self._pause_s)
            self._next_background_s = turn_s + self._pause_s / PATIENT_SHARE
            return turn_s

    async def _until(self, turn_s: float) -> None:
        wait_s = turn_s - self._timer()
        if wait_s > 0:
            await self._rest(wait_s)
