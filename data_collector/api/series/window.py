"""What a reader asks of a series: which symbol, from when, until when."""

from __future__ import annotations

from msgspec import Struct

from data_collector.model.calendar import LATEST_MS


class Window(Struct, frozen=True):
    """A stretch of one series, by the times of its records."""

    symbol: str
    interval: str = ""
    """Empty for trades."""
    from_ms: int = 0
    to_ms: int = LATEST_MS
    """Not included."""

    def holds(self, time_ms: int) -> bool:
        return self.from_ms <= time_ms < self.to_ms
