"""The weight of requests, counted. Pure: the caller brings the time."""

from __future__ import annotations

from msgspec import Struct

WEIGHT_WINDOW_MS = 60_000
"""The weight counter is that of the clock minute, UTC: it drops to zero at second 00."""

STRIKES_BEFORE_BAN = 10
"""Binance bans those who go on after 429, without telling when; here the tenth further request does it."""

BAN_FIRST_MS = 120_000
BAN_MAX_MS = 3 * 86_400_000
"""Bans grow from two minutes to three days."""


class Admission(Struct, frozen=True):
    """What becomes of a REST request."""

    status: int
    used: int
    """Weight used in this clock minute, this request included."""
    retry_after_s: int = 0
    banned_until_ms: int = 0


class WeightCounter:
    """REQUEST_WEIGHT of the one address that all clients share."""

    def __init__(self, limit: int, *, enforced: bool) -> None:
        self.used = 0
        self._limit = limit
        self._enforced = enforced
        self._minute = 0
        self._strikes = 0
        self._ban_ms = BAN_FIRST_MS
        self._banned_until_ms = 0

    def spend(self, weight: int, now_ms: int) -> Admission:
        """Count a request: 200, 429 over the limit, 418 for going on after 429."""
        if now_ms < self._banned_until_ms:
            return self._banned(now_ms)
        minute = now_ms // WEIGHT_WINDOW_MS
        if minute != self._minute:
            self._minute, self.used, self._strikes = minute, 0, 0
        self.used += weight
        if self.used <= self._limit or not self._enforced:
            return Admission(200, self.used)
        self._strikes += 1
        if self._strikes > STRIKES_BEFORE_BAN:
            self._banned_until_ms = now_ms + self._ban_ms
            self._ban_ms = min(2 * self._ban_ms, BAN_MAX_MS)
            return self._banned(now_ms)
        remaining_ms = (minute + 1) * WEIGHT_WINDOW_MS - now_ms
        return Admission(429, self.used, retry_after_s=-(-remaining_ms // 1000))

    def _banned(self, now_ms: int) -> Admission:
        remaining_ms = self._banned_until_ms - now_ms
        return Admission(418, self.used, -(-remaining_ms // 1000), self._banned_until_ms)
