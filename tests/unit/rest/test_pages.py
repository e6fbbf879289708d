"""Candles of an exchange that tells little of them."""

from __future__ import annotations

import pytest

from data_collector.rest.pages import bare_kline
from tests.market import NOON_MS


@pytest.mark.parametrize(("volume", "trades"), [("0", 0), ("0.000", 0), ("0.001", None)])
def test_candle_without_a_volume_had_no_trade(volume: str, trades: int | None) -> None:
    found = bare_kline("BTC-USD", "1m", NOON_MS, ("1", "1", "1", "1"), volume=volume, trades=None)

    assert (found.trades, found.quote_volume) == (trades, None)
