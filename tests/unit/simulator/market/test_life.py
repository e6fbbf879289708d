"""The simulated market looks like one, before the start as after it, and holds nothing that could be earned."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from msgspec import Struct

from data_collector.model.calendar import DAY_MS, MINUTE_MS
from data_collector.simulator.market.candles import Candle
from data_collector.simulator.market.market import Market, SymbolMarket
from data_collector.simulator.settings import SimulatorSettings

START_MS = 1_700_006_400_000
"""A midnight."""

TWO = ("BTCUSDT", "SOLUSDT")
DAYS = 28
SEEDS = (1, 2, 3)
CERTAIN = 4.0
"""Of something that is not there, the statistic is larger once in 16,000 times."""

Floats = npt.NDArray[np.float64]


def market_of(**changes: object) -> Market:
    return Market(SimulatorSettings(start_ms=START_MS, **changes), START_MS)  # type: ignore[arg-type]


def symbol_of(market: Market, symbol: str) -> SymbolMarket:
    found = market.symbol(symbol)
    assert found is not None
    return found


def minutes(symbol: SymbolMarket, first_ms: int, end_ms: int) -> list[Candle]:
    return symbol.series("1m").between(first_ms, end_ms - 1, 10**6, newest=False, exists=symbol.has_candle)


class Columns(Struct, frozen=True):
    """Candles of one minute, weeks of them."""

    close: Floats
    high: Floats
    low: Floats
    volume: Floats
    buys: Floats
    count: Floats

    @property
    def range(self) -> Floats:
        return (self.high - self.low) / self.close

    @property
    def returns(self) -> Floats:
        return np.diff(np.log(self.close))


def columns_of(candles: list[Candle]) -> Columns:
    rows = [candle.totals for candle in candles]
    table = np.array(
        [(row.close, row.high, row.low, row.volume, row.buy_volume, row.count) for row in rows], dtype=np.float64
    )
    return Columns(*table.T)


FIGURES: tuple[Callable[[Columns], float], ...] = (
    lambda each: float(np.median(each.range)),
    lambda each: float(np.percentile(each.range, 90)),
    lambda each: float(each.volume.mean()),
    lambda each: float(each.count.mean()),
)
"""By which two markets are compared."""


@cache
def weeks(seed: int, symbol: str = "BTCUSDT") -> Columns:
    market = market_of(seed=seed, trades_per_s=0.5, history_ms=DAYS * DAY_MS)
    return columns_of(minutes(symbol_of(market, symbol), START_MS - DAYS * DAY_MS, START_MS))


def certainty(signal: Floats, later: Floats) -> float:
    """How many standard errors the mean of `signal * later` is away from 0, whatever the variance does."""
    products = (signal - signal.mean()) * later
    return float(products.sum() / np.sqrt((products**2).sum()))


def correlation(one: Floats, other: Floats) -> float:
    return float(np.corrcoef(one, other)[0, 1])


# The past is like the present.


def test_past_and_present_have_the_same_figures() -> None:
    """Two days before the start, as REST has them, beside two days that are streamed: of several markets, because a
    day is as different from another as on an exchange."""
    ratios = []
    for seed in range(1, 9):
        market = market_of(seed=seed, symbols=TWO, history_ms=2 * DAY_MS, trades_per_s=0.5)
        before = [columns_of(minutes(symbol_of(market, name), START_MS - 2 * DAY_MS, START_MS)) for name in TWO]
        market.now_ms += 2 * DAY_MS
        after = [columns_of(minutes(symbol_of(market, name), START_MS, market.now_ms)) for name in TWO]
        ratios += [[figure(two) / figure(one) for figure in FIGURES] for one, two in zip(before, after, strict=True)]

    middle = np.exp(np.mean(np.log(ratios), axis=0))
    assert ((middle > 0.8) & (middle < 1.2)).all(), middle


def test_rate_is_the_one_asked_for() -> None:
    assert 0.9 < float(np.mean([weeks(seed).count.mean() for seed in SEEDS])) / 30 < 1.1


# Both look like a market.


@pytest.mark.parametrize("seed", SEEDS)
def test_volatility_comes_in_clusters(seed: int) -> None:
    size = np.abs(weeks(seed).returns)

    assert all(correlation(size[:-lag], size[lag:]) > 0.08 for lag in (1, 2, 5, 10, 60))
    assert correlation(size[:-300], size[300:]) > 0.03


@pytest.mark.parametrize("seed", SEEDS)
def test_returns_have_heavy_tails_and_candles_their_usual_range(seed: int) -> None:
    returns = weeks(seed).returns

    assert float(np.mean(returns**4) / np.mean(returns**2) ** 2) > 6
    assert 0.0003 < float(np.median(weeks(seed).range)) < 0.001


@pytest.mark.parametrize("seed", SEEDS)
def test_more_is_traded_when_prices_move_more(seed: int) -> None:
    each = weeks(seed)

    assert correlation(each.volume, each.range) > 0.3
    assert correlation(each.count, each.range) > 0.4


@pytest.mark.parametrize("seed", SEEDS)
def test_day_has_its_hours_and_week_its_end(seed: int) -> None:
    size = np.abs(weeks(seed).returns)
    minute = np.arange(len(size)) + (START_MS - DAYS * DAY_MS) // MINUTE_MS
    hour, weekday = minute // 60 % 24, (minute // 1440 + 3) % 7

    assert size[(hour >= 13) & (hour < 17)].mean() > 1.3 * size[(hour >= 2) & (hour < 6)].mean()
    assert size[weekday < 5].mean() > 1.1 * size[weekday >= 5].mean()


def test_a_hundredth_of_the_trades_makes_a_tenth_of_the_volume() -> None:
    sizes = np.array([float(trade.quantity) for trade in market_of(trades_per_s=5.0).tape("BTCUSDT")])

    largest = np.sort(sizes)[-(len(sizes) // 100) :]
    assert largest.sum() > 0.1 * sizes.sum()


@pytest.mark.parametrize(("seed", "symbol"), [*((seed, "BTCUSDT") for seed in SEEDS), (1, "PEPEUSDT")])
def test_prices_of_weeks_are_plausible(seed: int, symbol: str) -> None:
    each = weeks(seed, symbol)

    lowest, highest = min(each.low.tolist()), max(each.high.tolist())
    assert 0 < lowest < highest < 4 * lowest


def test_pairs_of_the_same_assets_agree() -> None:
    """Nothing is earned by going round in a circle: BTC, ETH and back to USDT."""
    market = market_of(trades_per_s=5.0)
    bitcoin, ether, cross = (
        columns_of(minutes(symbol_of(market, name), START_MS - DAY_MS // 4, START_MS)).close
        for name in ("BTCUSDT", "ETHUSDT", "ETHBTC")
    )

    assert float(np.abs(ether / bitcoin / cross * (cross[-1] * bitcoin[-1] / ether[-1]) - 1).max()) < 0.003


# Nothing tells where prices go.


@pytest.mark.parametrize("seed", SEEDS)
def test_earlier_returns_tell_nothing_of_later_ones(seed: int) -> None:
    returns = weeks(seed).returns

    for lag in range(1, 11):
        for signal in (returns, np.sign(returns), np.abs(returns)):
            assert abs(certainty(signal[:-lag], returns[lag:])) < CERTAIN


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("span", [15, 60, 240, 1440, 5 * 1440])
def test_moves_of_hours_and_days_neither_go_on_nor_come_back(seed: int, span: int) -> None:
    """Which a price that is drawn back to where it began would."""
    level = np.log(weeks(seed).close)
    gained = level[span:-1] - level[: -span - 1]

    assert abs(certainty(gained, np.diff(level)[span:])) < CERTAIN


@pytest.mark.parametrize("seed", SEEDS)
def test_signs_come_in_runs_of_usual_number(seed: int) -> None:
    signs = np.sign(weeks(seed).returns)
    signs = signs[signs != 0]
    changes = float((signs[1:] != signs[:-1]).sum())

    assert abs(changes - len(signs) / 2) / np.sqrt(len(signs) / 4) < CERTAIN


@pytest.mark.parametrize("seed", SEEDS)
def test_neither_hour_nor_volume_nor_buyers_tell_the_next_return(seed: int) -> None:
    each = weeks(seed)
    returns = each.returns
    minute = np.arange(len(each.close)) + (START_MS - DAYS * DAY_MS) // MINUTE_MS
    signals = {
        "volume": each.volume,
        "trades": each.count,
        "range": each.range,
        "buyers": each.buys / np.maximum(each.volume, 1) - 0.5,
        "place in the range": (each.close - each.low) / np.maximum(each.high - each.low, 1),
        "level": np.log(each.close),
        **{f"hour {hour}": (minute // 60 % 24 == hour).astype(np.float64) for hour in range(24)},
        **{f"day {day}": (minute // 1440 % 7 == day).astype(np.float64) for day in range(7)},
    }

    assert {name: found for name, signal in signals.items()
            if abs(found := certainty(signal[:-1], returns)) >= CERTAIN} == {}  # fmt: skip
    assert abs(certainty(np.sign(np.diff(each.close))[:-1] * each.volume[1:-1], returns[1:])) < CERTAIN


@pytest.mark.parametrize("symbol", ["BTCUSDT", "TRXUSDT"])
@pytest.mark.parametrize("direction", [1, -1], ids=["with the last move", "against it"])
def test_whoever_pays_the_spread_earns_nothing_from_trade_to_trade(symbol: str, direction: int) -> None:
    """TRX has moves of less than a tick, so that its trades bounce: by less than what it costs to trade on it."""
    market = market_of(trades_per_s=5.0)
    trades = market.tape(symbol)
    tick = symbol_of(market, symbol).listing.tick / 10**8
    price = np.array([float(trade.price) for trade in trades])
    ask = price + np.array([tick if trade.is_buyer_maker else 0.0 for trade in trades])
    moved = np.sign(np.diff(ask)) * direction

    bought, sold = ask[2:] - tick - ask[1:-1], ask[1:-1] - tick - ask[2:]
    earned = np.where(moved[:-1] > 0, bought, np.where(moved[:-1] < 0, sold, 0.0))
    assert earned.mean() / (earned.std() / np.sqrt(len(earned))) < CERTAIN
    middles = np.diff(ask)[1:]
    if symbol == "BTCUSDT":
        assert abs(certainty(np.diff(ask)[:-1], middles)) < CERTAIN
