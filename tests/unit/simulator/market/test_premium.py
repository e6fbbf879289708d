"""Exchanges that tell one market at prices of their own: each exact in itself, and never far from the others."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_collector.model.calendar import DAY_MS, HOUR_MS, MINUTE_MS
from data_collector.model.records import Trade
from data_collector.simulator.market.candles import open_of
from data_collector.simulator.market.market import Market
from data_collector.simulator.market.premium import DEVIATIONS_MAX, Premiums
from data_collector.simulator.settings import SimulatorSettings
from tests.unit.simulator.market.made_of_trades import candles, made_of, symbol_of, traded

START_MS = 1_700_000_030_000
SYMBOLS = ("BTCUSDT", "ETHBTC", "ETHUSDT", "XRPUSDT", "BTCUSD")
NAMES = ("binance", "coinbase", "kraken")
DEVIATION_BPS = 3.0
FIRST_HOUR = START_MS // HOUR_MS


@cache
def market_of(name: str, premium_bps: float = DEVIATION_BPS) -> Market:
    made = SimulatorSettings(
        seed=7, symbols=SYMBOLS, start_ms=START_MS, history_ms=21 * DAY_MS, trades_per_s=2.0, premium_bps=premium_bps
    )
    return Market(made, START_MS, name)


def traded_in(market: Market, symbol: str, first_ms: int, length_ms: int) -> list[Trade]:
    return traded(symbol_of(market, symbol), first_ms, first_ms + length_ms)


HOURS = st.integers(0, 20 * 24 - 1).map(lambda hours: open_of("1h", START_MS) - (hours + 1) * HOUR_MS)


@given(
    name=st.sampled_from(NAMES),
    symbol=st.sampled_from(SYMBOLS),
    interval=st.sampled_from(("1s", "1m", "5m", "1h")),
    first_ms=HOURS,
)
@settings(max_examples=12, deadline=None)
def test_candles_of_each_exchange_are_those_of_its_own_trades(
    name: str, symbol: str, interval: str, first_ms: int
) -> None:
    market = market_of(name)
    trades = traded_in(market, symbol, first_ms, HOUR_MS)

    assert candles(symbol_of(market, symbol), interval, first_ms, first_ms + HOUR_MS) == made_of(trades, interval)
    tick = market.listings[symbol].tick
    assert all(int(trade.price.replace(".", "")) % tick == 0 for trade in trades)


@given(name=st.sampled_from(NAMES), symbol=st.sampled_from(SYMBOLS), first_ms=HOURS)
@settings(max_examples=6, deadline=None)
def test_exchanges_tell_the_same_trades_but_for_their_prices(name: str, symbol: str, first_ms: int) -> None:
    told, pure = (
        traded_in(market, symbol, first_ms, 5 * MINUTE_MS) for market in (market_of(name), market_of("", 0.0))
    )

    assert [(each.trade_id, each.time_ms, each.quantity) for each in told] == [
        (each.trade_id, each.time_ms, each.quantity) for each in pure
    ]
    bound = DEVIATIONS_MAX * DEVIATION_BPS * 1e-4 * 2**0.5
    tick = market_of("", 0.0).listings[symbol].tick / 10**8
    for ours, theirs in zip(told, pure, strict=True):
        price = float(theirs.price)
        assert abs(float(ours.price) - price) <= bound * price + 4 * tick


def test_market_that_is_started_again_has_the_same_premiums() -> None:
    first_ms = open_of("1h", START_MS) - 100 * HOUR_MS
    first, again = (market_of.__wrapped__("kraken") for _ in range(2))

    assert traded_in(again, "BTCUSDT", first_ms, HOUR_MS) == traded_in(first, "BTCUSDT", first_ms, HOUR_MS)


@pytest.mark.parametrize("name", NAMES)
def test_premium_is_none_in_the_long_run_and_soon_another(name: str) -> None:
    premiums = Premiums(7, name, DEVIATION_BPS)
    hours = range(FIRST_HOUR - 60 * 24, FIRST_HOUR)
    pair = np.concatenate([(premiums.paths("BTC", hour) - premiums.paths("USD", hour)).ravel() for hour in hours]) * 1e4

    assert abs(np.mean(pair)) < 0.2
    assert 0.9 * DEVIATION_BPS < np.std(pair) < 1.1 * DEVIATION_BPS
    assert np.max(np.abs(pair)) <= DEVIATIONS_MAX * DEVIATION_BPS * 2**0.5
    # Steps are half a second: what it is now says half of it after some minutes, and nothing after an hour.
    later = [float(np.corrcoef(pair[: -120 * minutes], pair[120 * minutes :])[0, 1]) for minutes in (1, 4, 60)]
    assert later[0] > 0.7
    assert 0.3 < later[1] < 0.6
    assert abs(later[2]) < 0.1
    assert np.max(np.abs(np.diff(pair))) < 0.5


def test_pairs_of_the_same_assets_agree_at_each_exchange() -> None:
    premiums = Premiums(7, "kraken", DEVIATION_BPS)
    of = {name: premiums.paths(name, FIRST_HOUR) for name in ("BTC", "ETH", "USDT")}

    assert np.allclose((of["ETH"] - of["USDT"]) - (of["BTC"] - of["USDT"]), of["ETH"] - of["BTC"])
    assert not np.allclose(of["ETH"], Premiums(7, "coinbase", DEVIATION_BPS).paths("ETH", FIRST_HOUR))
