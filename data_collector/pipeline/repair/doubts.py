"""What speaks against a hole, or against what should fill it."""

from __future__ import annotations

from collections.abc import Iterable

from data_collector.model.records import Trade
from data_collector.pipeline.gaps.missing_ids import MissingIds
from data_collector.pipeline.sequence.new_life import NEW_IDS
from data_collector.pipeline.sequence.trade_sequence import TradeSequence

DISORDER_MS = 60_000
"""What fills a gap happened before what follows it, or so little later."""


def contradicts_order(sequence: TradeSequence, last_id: int, trades: list[Trade]) -> bool:
    """Whether what should fill gaps up to `last_id` is newer than what follows: the exchange's ids have begun anew.

    Where what was let through is newer as well, what follows was never true.
    """
    if not sequence.held:
        return False
    latest_ms = max(trade.time_ms for trade in sequence.held.values()) + DISORDER_MS
    return sequence.newest_ms <= latest_ms and any(
        trade.time_ms > latest_ms for trade in trades if trade.trade_id <= last_id
    )


def _waiting(sequence: TradeSequence) -> int:
    """How many trades have come ahead of the due one."""
    return len(sequence.held) + sequence.spilled.count


def is_doubtful(sequence: TradeSequence, last_id: int) -> bool:
    """Whether too little says that ids up to `last_id` are missing to give them up: a few trades may be wrong.

    As many as are missing are enough, of more than one, or a hundred; so is one with which a ticker agrees.
    """
    if not sequence.held:
        return True
    enough = min(max(last_id + 1 - sequence.next_id, 2), NEW_IDS)
    return _waiting(sequence) < enough and sequence.reference_id <= last_id


def goes_on(sequence: TradeSequence, gap: MissingIds) -> bool:
    """Whether the stream has brought what was due since the gap was opened."""
    return sequence.in_order > gap.brought_before


def outweighs(sequence: TradeSequence, gap: MissingIds) -> bool:
    """Whether more came than is missing, and nothing else: the exchange's REST side, which ends before, is behind."""
    missing = gap.last_id + 1 - sequence.next_id
    return not goes_on(sequence, gap) and _waiting(sequence) >= max(missing, NEW_IDS)


def doubts_of(sequences: Iterable[TradeSequence], now_s: float) -> list[str]:
    """Of which trades came ahead, too few to give up what is missing before them, and for long no answer about it."""
    return [
        f"{_waiting(sequence):,} trades of {sequence.symbol} came {gap.last_id + 1 - sequence.next_id:,} ids ahead and "
        "wait: they alone do not prove that these ids are missing, and the exchange's REST side has not told"
        for sequence in sequences
        if (gap := sequence.gap) is not None and sequence.held and gap.attempts.is_over(now_s)
    ]
