"""How far back the database keeps rows: what is older was deleted on purpose, and is not missing."""

from __future__ import annotations

from msgspec import Struct

from data_collector.model.keys import Channel


class Retention(Struct, frozen=True):
    """The oldest times that are kept, in ms; None keeps all."""

    klines_ms: int | None = None
    trades_ms: int | None = None

    def oldest_ms(self, channel: Channel) -> int | None:
        """Of klines, or of trades."""
        return self.trades_ms if channel == "trade" else self.klines_ms

    def begin_ms(self, channel: Channel, asked_ms: int) -> int:
        """The time asked for, or the oldest one that is kept."""
        return max(asked_ms, self.oldest_ms(channel) or 0)
