"""Hits and what followed these very windows, in one answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_collector.client.adapters.memory import Memory
from tests.market import SYMBOL
from tests.unit.client.adapters.candles import feed, klines, walk


def test_moments_are_the_hits_and_what_followed_these(tmp_path: Path) -> None:
    candles = klines(walk(3000))
    memory = Memory(tmp_path, SYMBOL, "1m", window=16)
    feed(memory, candles)
    horizons = (5, 40)

    moments = memory.moments(k=12, horizons=horizons)

    assert moments.hits == memory.similar(k=12, horizons=horizons)
    assert moments.start == candles[-16].timestamp
    for horizon, forecast in zip(horizons, moments.forecasts, strict=True):
        after = [hit.after[horizon] for hit in moments.hits]
        assert (forecast.horizon, forecast.n, forecast.at) == (horizon, 12, candles[-1].close_time)
        assert forecast.quantiles[0.5] == np.quantile(after, 0.5)
    # The last horizon decides which windows may be found, and so it does alone.
    assert moments.forecasts[-1] == memory.forecast(40, k=12)
