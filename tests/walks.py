"""Candles made up for environments: a random walk, with a signal in it or without, and with gaps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_collector.client.adapters.environments.candles import Rows
from data_collector.client.frames import KLINE_FLOATS
from tests.market import MINUTE_MS, NOON_MS

KLINES = np.dtype([("timestamp", "datetime64[ms]"), *((name, "f8") for name in KLINE_FLOATS), ("trades", "i8")])
"""As `to_numpy()` of the client's klines has them."""


def walk(
    count: int, seed: int = 0, *, reverting: float = 0.0, size: float = 0.001, missing: Sequence[slice] = ()
) -> Rows:  # fmt: skip
    """Minutes of a price whose changes have fat tails; `reverting` is how much of each change the next one undoes."""
    random = np.random.default_rng(seed)
    changes = random.standard_t(4, count) * size
    for row in range(1, count):
        changes[row] -= reverting * changes[row - 1]
    closes = 45_000.0 * np.exp(np.cumsum(changes))
    opens = np.concatenate([[45_000.0], closes[:-1]]) * np.exp(0.1 * size * random.standard_normal(count))
    spread = np.exp(0.5 * size * np.abs(random.standard_normal((2, count))))
    rows = candles(opens, closes)
    rows["high"] *= spread[0]
    rows["low"] /= spread[1]
    rows["volume"] = np.exp(3.0 + random.standard_normal(count))
    is_there = np.ones(count, np.bool_)
    for gap in missing:
        is_there[gap] = False
    return rows[is_there]


def candles(opens: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]], closes: object) -> Rows:
    """Of these prices, minute after minute; what an exchange need not tell is not told."""
    rows = np.empty(len(opens), KLINES)
    rows["timestamp"] = (NOON_MS + MINUTE_MS * np.arange(len(opens))).astype("datetime64[ms]")
    for name in KLINE_FLOATS:
        rows[name] = np.nan
    rows["open"], rows["close"], rows["volume"], rows["trades"] = opens, closes, 1.0, -1
    rows["high"], rows["low"] = np.maximum(rows["open"], rows["close"]), np.minimum(rows["open"], rows["close"])
    return rows
