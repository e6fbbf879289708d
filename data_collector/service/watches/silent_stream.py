"""What is known of one stream that may be silent (`service.watches.silence`)."""

from __future__ import annotations

from data_collector.model.keys import Key
from data_collector.model.records import Ticker
from data_collector.pipeline.connections.rhythm import Rhythm
from data_collector.service.lines import Group

QUIET_AGAIN_S = 10.0
"""When a stream that has not spoken is asked about again; a quiet one is each time after twice as long."""

QUIET_AGAIN_MAX_S = 60.0

UNPROVEN_S = 10.0
"""A silent stream of which no answer for so long has said whether it is quiet is told."""

RISES_MIN = 2
"""The first rise of statistics may be late, and of a trade that came."""

REFUSED_S = 10.0
"""A stream that has brought for so long nothing but what was refused is told."""


def counts_more(statistics: Ticker, before: Ticker) -> bool:
    """Whether a trade must have come in between: what leaves the 24 hours only makes it less."""
    return statistics.count is not None and before.count is not None and statistics.count > before.count


class Stream:
    """What is known of one stream."""

    __slots__ = (
        "again_s", "ask_s", "begun_s", "grace_s", "group", "is_over", "is_traded", "key", "last_id", "moved_s", "name",
        "passed", "quiet", "refused", "refused_from_s", "refused_s", "renewals", "rhythm", "rises", "statistics",
        "strikes", "unproven_s",
    )  # fmt: skip

    def __init__(self, key: Key, name: str, group: Group, rhythm: Rhythm, grace_s: float) -> None:
        self.key = key
        self.name = name
        self.group = group
        self.rhythm = rhythm
        self.grace_s = grace_s
        self.renewals = 0
        self.begun_s = rhythm.heard_s
        self.is_over = False
        """It is subscribed to no longer."""
        self.passed = -1
        """The cursor at the last sample."""
        self.refused = 0
        """How many of its records were refused until then."""
        self.refused_from_s = self.refused_s = 0.0
        """When the first and the newest refused record since one passed were seen; 0.0 while there is none."""
        self.speak()

    def speak(self) -> None:
        """It has spoken: nothing is held against it."""
        self.quiet = False
        self.strikes = 0
        self.again_s = QUIET_AGAIN_S
        self.unproven_s = 0.0
        """Since when no answer has said anything of it; 0.0 while one has, or none was asked for."""
        self.is_traded = False
        """Statistics say so, whatever the newest id is told to be: an answer may be old."""
        self.doubt()

    def doubt(self, ask_s: float = 0.0) -> None:
        """Ask anew, not before `ask_s`."""
        self.ask_s = ask_s
        self.last_id: int | None = None
        """The last trade id that the exchange told first: -1 where nothing was traded for a day. None before."""
        self.moved_s = 0.0
        """When it said something newer; 0 before."""
        self.statistics: Ticker | None = None
        self.rises = 0
        """How often statistics have counted more trades than before."""

    def put_off(self, now_s: float) -> None:
        """Ask anew after twice as long as the last time."""
        self.again_s = min(2 * self.again_s, QUIET_AGAIN_MAX_S)
        self.ask_s = now_s + self.again_s

    def is_traded_beside(self, statistics: Ticker) -> bool:
        """Whether statistics of its symbol have told of trades since it fell silent."""
        before = self.statistics
        if before is None or statistics.received_ns or counts_more(statistics, before):
            # Of REST's, which may come from caches of different age, only what is beyond all before counts.
            self.statistics = statistics
        if before is not None and counts_more(statistics, before):
            self.rises += 1
        is_traded = self.rises >= RISES_MIN
        self.is_traded = self.is_traded or is_traded
        return is_traded

    def judge(self, passed: int, refused: int, now_s: float) -> None:
        """What it has brought since the last sample passed, or was refused."""
        if passed > self.passed:
            self.refused_from_s = self.refused_s = 0.0
        elif refused > self.refused:
            self.refused_from_s = self.refused_from_s or now_s
            self.refused_s = now_s
        self.passed, self.refused = passed, refused

    @property
    def is_refused(self) -> bool:
        """Whether for long nothing of it has passed, and not for want of records."""
        return self.refused_s - self.refused_from_s >= REFUSED_S

    @property
    def is_mute(self) -> bool:
        """Whether it was found to be a fault that it does not speak."""
        return self.strikes > 0 and not self.quiet

    @property
    def is_filled(self) -> bool:
        """Whether what is traded behind it comes by REST for as long as it is mute."""
        return self.is_mute and self.key.channel == "trade"

    def is_unproven(self, now_s: float) -> bool:
        """Whether for long no answer has said whether it is quiet."""
        return self.unproven_s > 0.0 and now_s - self.unproven_s >= UNPROVEN_S
