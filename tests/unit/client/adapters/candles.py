"""Series of candles for memories: walks, and what a live stream gives of them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from data_collector.client import Kline
from data_collector.client.adapters.memory import Memory
from data_collector.client.records import ms_of, time_of
from tests.market import MINUTE_MS, NOON_MS, SYMBOL

Numbers = npt.NDArray[np.float64]


def walk(length: int, seed: int = 0) -> Numbers:
    """Closes without any memory: steps are independent, and now and then large."""
    steps = np.random.default_rng(seed).standard_t(4, length) * 1e-3
    closes: Numbers = np.exp(np.cumsum(steps)) * 40_000
    return closes


def klines(closes: Sequence[float] | Numbers, minutes: Sequence[int] | None = None) -> list[Kline]:
    """A candle a minute from noon on, or in these minutes; ranges and volumes are drawn."""
    chance = np.random.default_rng(1)
    spans = 1 + np.abs(chance.normal(size=(2, len(closes)))) * 1e-3
    volumes = chance.lognormal(size=len(closes)).tolist()
    begun = range(len(closes)) if minutes is None else minutes
    return [
        candle(minute, close, close * above, close / below, volume)
        for minute, close, above, below, volume in zip(
            begun, np.asarray(closes).tolist(), *spans.tolist(), volumes, strict=True
        )
    ]


def candle(minute: int, close: float, high: float, low: float, volume: float) -> Kline:
    """Closed."""
    price, above, below, traded = (Decimal(repr(each)) for each in (close, high, low, volume))
    return Kline(
        SYMBOL, time_of(NOON_MS + minute * MINUTE_MS), "1m", price, above, below, price, traded, None, True, None, None,
        None,
    )  # fmt: skip


def minute_of(kline: Kline) -> int:
    """After noon."""
    return (ms_of(kline.timestamp) - NOON_MS) // MINUTE_MS


def feed(memory: Memory, candles: Sequence[Kline], pieces: Sequence[int] = ()) -> None:
    """Take the candles in pieces of these sizes, and the rest at once."""
    at = 0
    for size in pieces:
        memory.take(candles[at : at + size])
        at += size
    memory.take(candles[at:])
