"""What time it is at the exchange, as far as sources that know nothing of each other agree. Pure, but for its clocks.

Life cycle: the tally makes one. It is told what trades, other messages and the REST side say, as they say it; between
that, time passes as it does here. This machine's own time of day only has a vote where it agrees with one of them. See
docs/decisions/0026-exchange-clock.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable

AHEAD_MS = 60_000
"""What is sent so much later than it is now, as far as is known, is believed when a second source agrees."""

ERROR_MS = 1_000
"""The exchange's parts do not share one clock."""

DISAGREEMENT_MS = 60_000
"""Further apart REST's clock and the messages contradict each other."""

FRESH_S = 10.0
"""A message that came so long ago at most is compared with REST's clock."""

FORGET_S = 60.0
"""The latest of the times that messages told counts for so long; then the next one does, whatever it says."""


class TimeSource:
    """What one kind of witness said, and what has passed here since."""

    __slots__ = ("_offset_ms", "at_s")

    def __init__(self) -> None:
        self._offset_ms: float | None = None
        self.at_s = 0.0
        """When it spoke last, by our own clock."""

    @property
    def is_known(self) -> bool:
        """Whether it has spoken."""
        return self._offset_ms is not None

    def note(self, time_ms: int, now_s: float) -> None:
        """It says that now, and it is right."""
        self._offset_ms, self.at_s = time_ms - now_s * 1000, now_s

    def note_sent(self, time_ms: int, now_s: float) -> None:
        """A message was sent then: it is that late at least."""
        if self._offset_ms is None or now_s - self.at_s > FORGET_S or time_ms - now_s * 1000 >= self._offset_ms:
            self.note(time_ms, now_s)

    def now_ms(self, now_s: float) -> int:
        """What it would say now; 0 while it has not spoken."""
        return 0 if self._offset_ms is None else int(self._offset_ms + now_s * 1000)


class ExchangeClock:
    """See the module."""

    __slots__ = (
        "_clock", "_disagreed", "_refused", "_refused_s", "_wall_s", "disagreement_ms", "messages", "rest", "trades",
    )  # fmt: skip

    def __init__(self, clock: Callable[[], float] = time.monotonic, wall_s: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wall_s = wall_s
        self.trades = TimeSource()
        self.messages = TimeSource()
        self.rest = TimeSource()
        self.disagreement_ms = 0
        """REST's clock minus that of the messages, when REST told it last."""
        self._disagreed = 0
        self._refused, self._refused_s = 0, 0.0
        """Messages of a time that has not come, and when the newest was refused."""

    @property
    def now_s(self) -> float:
        """Our own clock, which nobody sets."""
        return self._clock()

    @property
    def is_vouched_for(self) -> bool:
        """Whether somebody knows the time beside the messages: without one they alone are believed."""
        return self.rest.is_known or self._wall_vote(self._told()) is not None

    def note_rest(self, rest_ms: int) -> None:
        """REST told the time just now."""
        now_s = self._clock()
        self.rest.note(rest_ms, now_s)
        heard = [
            source.now_ms(now_s)
            for source in (self.trades, self.messages)
            if source.is_known and now_s - source.at_s <= FRESH_S
        ]
        self.disagreement_ms = rest_ms - max(heard) if heard else 0
        self._disagreed = self._disagreed + 1 if self.is_contradicted else 0

    def note_refused(self) -> None:
        """A message of a time that has not come was refused."""
        now_s = self._clock()
        self._refused = self._refused + 1 if now_s - self._refused_s <= FORGET_S else 1
        self._refused_s = now_s

    @property
    def is_contradicted(self) -> bool:
        """Whether REST's clock and the messages were apart when REST told it last."""
        return abs(self.disagreement_ms) > DISAGREEMENT_MS

    @property
    def doubt(self) -> str | None:
        """Why nobody knows what time it is; None where the sources agree."""
        if self._disagreed < 2 and self._refused and self._clock() - self._refused_s <= FORGET_S:
            return (
                f"{self._refused:,} messages of a time that has not come were refused: nothing else that tells the "
                "exchange's time agrees with them"
            )
        if self._disagreed < 2:
            return None
        seconds, later = abs(self.disagreement_ms) // 1000, "later" if self.disagreement_ms > 0 else "earlier"
        return (
            f"the exchange's REST side tells a time that is {seconds:,} s {later} than its messages do: what ended by "
            "one of the two alone waits until they agree"
        )

    def now_ms(self) -> int:
        """The time that no source alone decides; 0 while nobody has told any."""
        votes = self._told()
        if not votes:
            return 0
        wall_ms = self._wall_vote(votes)
        if wall_ms is None and not self.rest.is_known:
            return max(votes)
        if wall_ms is not None:
            votes.append(wall_ms)
        votes.sort()
        return votes[(len(votes) - 1) // 2]

    def agrees(self, event_ms: int) -> bool:
        """Whether anybody else says that a message may have been sent then."""
        now_s, wall_ms = self._clock(), self._wall_ms()
        latest_ms = max(self.now_ms(), self.rest.now_ms(now_s)) + AHEAD_MS
        return event_ms <= latest_ms or abs(event_ms - wall_ms) <= AHEAD_MS

    def has_come(self, time_ms: int) -> bool:
        """Whether anybody but the messages of that kind, which are no trades, says that it is so late."""
        if not self.is_vouched_for:
            return True
        now_s, wall_ms = self._clock(), self._wall_vote(self._told()) or 0
        latest_ms = max(self.now_ms(), self.rest.now_ms(now_s), self.trades.now_ms(now_s), wall_ms)
        return time_ms <= latest_ms + ERROR_MS

    def _told(self) -> list[int]:
        now_s = self._clock()
        return [source.now_ms(now_s) for source in (self.trades, self.messages, self.rest) if source.is_known]

    def _wall_vote(self, votes: list[int]) -> int | None:
        """This machine's time of day, where anybody agrees with it: nobody may have set it."""
        wall_ms = self._wall_ms()
        return wall_ms if any(abs(vote - wall_ms) <= AHEAD_MS for vote in votes) else None

    def _wall_ms(self) -> int:
        return int(self._wall_s() * 1000)
