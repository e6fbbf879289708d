"""What a store holds against the exchange's own tape, as faults and not as a failed assertion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import redis

from data_collector.model.records import Kline, Trade
from tests.integration.exactness import (
    PLAIN,
    TradeForm,
    assert_klines_accounted,
    assert_klines_true,
    assert_trades_exact,
)
from tests.integration.processes import Exchange
from tests.integration.scene import Scene
from tests.integration.store_reader import Store
from tests.invariants.lies import Fault

INTERVALS = ("1m", "5m")
TELL_MAX = 300


def trade_faults(store: Store, symbol: str, tape: Sequence[Trade], form: TradeForm = PLAIN) -> list[Fault]:
    """All of `trades:` up to the exchange's newest trade is held or declared."""
    said = _failure(lambda: assert_trades_exact(store, symbol, tape, form))
    return [Fault(symbol, said)] if said else []


def kline_faults(store: Store, symbol: str, closed: Mapping[str, Sequence[Kline]]) -> list[Fault]:
    """All closed klines of `stream:`, by interval, from the first to the last that is stored."""
    faults: list[Fault] = []
    for interval, klines in closed.items():
        if said := _failure(partial(assert_klines_accounted, store, symbol, interval)):
            faults.append(Fault(symbol, said, interval))
        elif said := _failure(partial(assert_klines_true, store, symbol, interval, klines)):
            faults.append(Fault(symbol, said, interval, is_counted=False))
    return faults


def faults_of(scene: Scene) -> list[Fault]:
    """Of all that a scene collects."""
    market, faults = scene.simulator, []
    for symbol in scene.symbols:
        faults += trade_faults(scene.store, symbol, market.tape(symbol), scene.form)
        faults += kline_faults(scene.store, symbol, {each: market.closed_klines(symbol, each) for each in INTERVALS})
    return faults


def faults_at(market: Exchange, store: Store, symbol: str) -> list[Fault]:
    """Of a symbol of a simulator that is a process of its own and rests."""
    closed = {interval: market.closed_klines(symbol, interval) for interval in INTERVALS}
    return trade_faults(store, symbol, market.trades(symbol)) + kline_faults(store, symbol, closed)


def _failure(assertion: Callable[[], object]) -> str:
    """What an assertion says; an empty text where it holds."""
    try:
        assertion()
    except (AssertionError, KeyError, ValueError, TypeError, RecursionError, redis.RedisError) as failure:
        return f"{type(failure).__name__} {failure}"[:TELL_MAX]
    return ""
