"""Trades into an outlet, and back out of its runs."""

from __future__ import annotations

import json

from data_collector.model.batch import TradeRun
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.outlet.symbol_queue import SymbolQueue
from tests.market import SYMBOL, trade


def put(outlet: Outlet, *ids: int, symbol: str = SYMBOL) -> SymbolQueue:
    """As the intake does: a hole ends the run. Returns what waits."""
    queue = outlet.queues[symbol]
    for trade_id in ids:
        if queue.next_id not in {-1, trade_id}:
            outlet.end_run(symbol)
        outlet.put_trade(trade(trade_id, symbol=symbol))
    return queue


def ids_of(run: TradeRun) -> list[int]:
    texts = run.entries[1::2]
    assert all(isinstance(text, str) for text in texts)
    return [json.loads(str(text))["trade_id"] for text in texts]
