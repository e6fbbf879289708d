"""What speaks against a hole, or against what should fill it."""

from __future__ import annotations

from data_collector.model.records import Trade
from data_collector.pipeline.sequence.trade_sequence import TradeSequence

DISORDER_MS = 60_000
"""What fills a gap happened before what follows it, or so little later."""


def contradicts_order(sequence: TradeSequence, last_id: int, trades: list[Trade]) -> bool:
    """Whether what should fill gaps up to `last_id` is newer than what follows: the exchange's ids have begun anew."""
    if not sequence.held:
        return False
    latest_ms = max(trade.time_ms for trade in sequence.held.values()) + DISORDER_MS
    return any(trade.time_ms > latest_ms for trade in trades if trade.trade_id <= last_id)


def is_doubtful(sequence: TradeSequence) -> bool:
    """Whether one trade or a ticker alone says that something is missing, which may be wrong."""
    return not sequence.held or sequence.holds_strays
