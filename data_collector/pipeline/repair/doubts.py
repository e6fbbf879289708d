"""What speaks against a hole, or against what should fill it."""

from __future__ import annotations

from data_collector.model.records import Trade
from data_collector.pipeline.sequence.trade_sequence import MissingIds, TradeSequence

DISORDER_MS = 60_000
"""What fills a gap happened before what follows it, or so little later."""


def contradicts_order(sequence: TradeSequence, gap: MissingIds, trades: list[Trade]) -> bool:
    """Whether what should fill the gap is newer than what follows it: the exchange's ids have begun anew."""
    if not sequence.held:
        return False
    latest_ms = max(trade.time_ms for trade in sequence.held.values()) + DISORDER_MS
    return any(trade.time_ms > latest_ms for trade in trades if trade.trade_id <= gap.last_id)


def is_doubtful(sequence: TradeSequence) -> bool:
    """Whether one trade or a ticker alone says that something is missing, which may be wrong."""
    return not sequence.held or sequence.holds_strays
