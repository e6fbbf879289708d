"""Runs of trades that are not made in the flow: of what was spilled, and of what the exchange's REST side gave."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from data_collector.model.batch import TradeRun
from data_collector.model.gaps import Gap
from data_collector.model.records import Trade
from data_collector.model.verdict import Verdict
from data_collector.model.wire import json_text, trade_json, trade_time_text
from data_collector.pipeline.symbol_queue import RUN_ENTRIES_MAX, entry_time


def runs_of(symbol: str, trades: Iterable[Trade], check: Callable[[Trade], Verdict | None]) -> list[TradeRun]:
    """Runs of trades whose ids rise; each hole begins a new one. They have been judged: `check` tells their marks."""
    symbol_json = json_text(symbol)
    runs: list[TradeRun] = []
    run: TradeRun | None = None
    for trade in trades:
        if run is None or trade.trade_id != run.first_id + run.count or len(run.entries) >= RUN_ENTRIES_MAX:
            run = TradeRun(symbol, trade.trade_id, [], "", "", trade.received_ns, 0)
            runs.append(run)
        verdict = check(trade)
        run.entries += (
            entry_time(trade, () if verdict is None else verdict.warnings),
            trade_json(trade, symbol_json),
        )
        run.price, run.time_text = trade.price, trade_time_text(trade.time_ms, trade.sub_ms_us)
        run.newest_ns = trade.received_ns
    return runs


def absent_ranges(trades: list[Trade], due_id: int) -> list[Gap]:
    """Ids from `due_id` on that one answer of the exchange leaves out between two that it holds."""
    gaps: list[Gap] = []
    for before, after in pairwise(trades):
        first, last = max(before.trade_id + 1, due_id), after.trade_id - 1
        if first <= last:
            gaps.append(Gap(first, last, last - first + 1, "absent"))
    return gaps
