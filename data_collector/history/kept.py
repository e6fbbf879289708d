"""How far back the database keeps rows: what is older was deleted on purpose, and is not missing."""

from __future__ import annotations

from msgspec import Struct


class Kept(Struct, frozen=True):
    """The oldest times that are kept, in ms; None keeps all."""

    klines_ms: int | None = None
    trades_ms: int | None = None

    def oldest_ms(self, interval: str | None) -> int | None:
        """Of candles of an interval, or of trades (None)."""
        return self.trades_ms if interval is None else self.klines_ms

    def begin_ms(self, interval: str | None, asked_ms: int) -> int:
        """The time asked for, or the oldest one that is kept."""
        return max(asked_ms, self.oldest_ms(interval) or 0)
