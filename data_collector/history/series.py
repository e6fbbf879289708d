"""What a command of the history is about."""

from __future__ import annotations

from msgspec import Struct


class Series(Struct, frozen=True, order=True):
    """Candles of one interval, or trades, of one symbol."""

    symbol: str
    interval: str | None = None
    """None for trades."""

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.symbol} {self.interval or 'trades'}"
