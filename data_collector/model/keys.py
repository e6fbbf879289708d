"""The unit of ordering, storage and gaps, and the words it is made of."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from msgspec import Struct

Channel = Literal["kline", "trade", "ticker", "aggTrade", "miniTicker", "bookTicker"]
"""What may be subscribed to. The first three can be collected; the others are decoded for subclasses only."""

COLLECTED_CHANNELS: tuple[Channel, ...] = ("kline", "trade", "ticker")


class Continuity(Enum):
    """What the sequence of a channel promises, and so what a hole in it is."""

    CONTIGUOUS = "each number is the last plus one (trade ids)"
    PERIODIC = "each is the next open time (closed klines)"
    MONOTONIC = "numbers grow, holes mean nothing"


class Key(Struct, frozen=True, order=True):
    """One stream of one exchange: `Key("trade", "BTCUSDT")`, `Key("kline", "BTCUSDT", "1m")`."""

    channel: Channel
    symbol: str
    interval: str | None = None
    """Only klines have one; case matters (`1m` minute, `1M` month)."""
