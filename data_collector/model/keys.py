"""The unit of ordering, storage and gaps, and the words it is made of."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Channel = Literal["kline", "trade", "ticker", "aggTrade", "miniTicker", "bookTicker"]
"""What may be subscribed to. The first three can be collected; the others are decoded for subclasses only."""

COLLECTED_CHANNELS: tuple[Channel, ...] = ("kline", "trade", "ticker")


class Key(Struct, frozen=True, order=True):
    """One stream of one exchange: `Key("trade", "BTCUSDT")`, `Key("kline", "BTCUSDT", "1m")`."""

    channel: Channel
    symbol: str
    interval: str | None = None
    """Only klines have one; case matters (`1m` minute, `1M` month)."""
