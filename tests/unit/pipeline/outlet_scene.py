"""Trades into an outlet, and back out of its runs."""

from __future__ import annotations

import json

from data_collector.model.batch import TradeRun
from data_collector.pipeline.lane import Lane
from data_collector.pipeline.outlet import Outlet
from tests.market import SYMBOL, trade


def put(outlet: Outlet, *ids: int, symbol: str = SYMBOL) -> Lane:
    """As the intake does: a hole ends the run."""
    lane = outlet.lanes[symbol]
    for trade_id in ids:
        if lane.next_id not in {-1, trade_id}:
            outlet.end_run(lane)
        lane.next_id = trade_id + 1
        outlet.put_trade(lane, trade(trade_id, symbol=symbol))
    return lane


def ids_of(run: TradeRun) -> list[int]:
    texts = run.entries[1::2]
    assert all(isinstance(text, str) for text in texts)
    return [json.loads(str(text))["trade_id"] for text in texts]
