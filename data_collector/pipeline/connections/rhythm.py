"""How often a stream speaks, learned from samples: after which silence it is worth asking whether it is mute.

Life cycle: the service keeps one per stream and samples the stream's cursor once a second, so that a message costs
nothing. Gaps go into a few buckets that forget slowly.
"""

from __future__ import annotations

from math import frexp

SILENCE_MIN_S = 5.0
P99_TIMES = 20.0
"""A silence of so many times the gap that 99 of 100 gaps stay below is worth a question."""

BUSY_GAP_S = 1.0
BUSY_SILENCE_S = 8.0
"""A stream that speaks once a second on average is asked about after this time at the latest."""

SILENCE_MAX_S = 600.0
UNKNOWN_SILENCE_S = 60.0
"""While no gap has been seen."""

BUCKETS = 20
SHORTEST_EXPONENT = -6
"""The first bucket holds gaps below 16 ms, the last those of two hours and more."""

COUNT_MAX = 255
"""A byte each; when one is full all are halved."""


class Rhythm:
    """Of one stream."""

    __slots__ = ("_buckets", "_cursor", "_messages", "_seconds", "has_spoken", "heard_s")

    def __init__(self, cursor: int, now_s: float) -> None:
        self._cursor = cursor
        self._buckets = bytearray(BUCKETS)
        self._seconds = 0.0
        self._messages = 0
        self.has_spoken = False
        """Since it was begun."""
        self.heard_s = now_s
        """When it was sampled and had spoken; before that, when it was begun."""

    def sample(self, cursor: int, now_s: float, *, counts: bool) -> bool:
        """Whether it has spoken since the last sample. `counts`: the cursor grows by one per message."""
        if cursor <= self._cursor:
            # It may have been set back: the stream is read again from there.
            self._cursor = cursor
            return False
        if self.has_spoken:
            self._learn(now_s - self.heard_s, cursor - self._cursor if counts else 1)
        self._cursor = cursor
        self.has_spoken = True
        self.heard_s = now_s
        return True

    @property
    def silence_max_s(self) -> float:
        """How long it may keep silent before somebody asks."""
        if not self._messages:
            return UNKNOWN_SILENCE_S
        limit_s = min(SILENCE_MAX_S, max(SILENCE_MIN_S, P99_TIMES * self._p99_s()))
        return min(limit_s, BUSY_SILENCE_S) if self._seconds <= BUSY_GAP_S * self._messages else limit_s

    def _learn(self, seconds: float, messages: int) -> None:
        exponent = frexp(seconds / messages)[1]
        bucket = min(BUCKETS - 1, max(0, exponent - SHORTEST_EXPONENT))
        if self._buckets[bucket] == COUNT_MAX:
            for number, count in enumerate(self._buckets):
                self._buckets[number] = count // 2
            self._seconds, self._messages = self._seconds / 2, self._messages // 2
        self._buckets[bucket] += 1
        self._seconds += seconds
        self._messages += messages

    def _p99_s(self) -> float:
        """The upper bound of the bucket that 99 of 100 gaps are in or below."""
        above = sum(self._buckets) // 100
        for bucket in range(BUCKETS - 1, -1, -1):
            above -= self._buckets[bucket]
            if above < 0:
                return 2.0 ** (bucket + SHORTEST_EXPONENT)
        return SILENCE_MIN_S
