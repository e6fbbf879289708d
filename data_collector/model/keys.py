"""The unit of ordering, storage and gaps, and the words it is made of."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Collected = Literal["kline", "trade", "ticker", "quote"]
"""What can be collected (`model.channels` says what each of them is)."""

Channel = Literal[Collected, "aggTrade", "miniTicker"]
"""What may be subscribed to. What cannot be collected is decoded for subclasses only."""

KeyKind = Literal["trades", "stream", "kline", "latest", "quotes", "quote", "gaps", "quarantine", "late"]
"""What a key of the store holds of a symbol (docs/semantics.md)."""


class Key(Struct, frozen=True, order=True):
    """One stream of one exchange: `Key("trade", "BTCUSDT")`, `Key("kline", "BTCUSDT", "1m")`."""

    channel: Channel
    symbol: str
    interval: str | None = None
    """Only klines have one; case matters (`1m` minute, `1M` month)."""

    @property
    def kline_interval(self) -> str:
        """The interval, of a key that is known to be of klines."""
        assert self.interval is not None, "klines have an interval"
        return self.interval

    @property
    def label(self) -> str:
        """For people: `BTCUSDT 1m`, `BTCUSDT trades`."""
        return f"{self.symbol} {self.interval or f'{self.channel}s'}"

    @property
    def unit(self) -> str:
        """What one record of it is called: `1m kline`, `trade`."""
        return self.channel if self.interval is None else f"{self.interval} {self.channel}"
