"""Which trades are known here with their times: whoever pages by time is asked from the last one before what lacks."""

from __future__ import annotations

from collections.abc import Mapping

from data_collector.model.sink import TradeTail
from data_collector.model.venue import TradePlace
from data_collector.pipeline.sequence.trade_sequence import TradeSequence

DISORDER_MS = 1_000
"""The newest time in the store may be later than that of its newest trade by so much."""


class Places:
    """Of all symbols: what was let through of late, and where the store ended at the start."""

    def __init__(self, sequences: Mapping[str, TradeSequence]) -> None:
        self._sequences = sequences
        self._stored: dict[str, tuple[int, TradePlace]] = {}
        """With its epoch."""

    def note_stored(self, tails: Mapping[str, TradeTail | None]) -> None:
        """What the store has of each symbol."""
        for symbol, tail in tails.items():
            if tail is not None and tail.stored_id >= 0:
                place = TradePlace(tail.stored_id, max(tail.last_ms - DISORDER_MS, 0) * 1000)
                self._stored[symbol] = tail.epoch, place

    def before(self, symbol: str, trade_id: int) -> TradePlace | None:
        """The last one that is known up to this id; None where none is."""
        sequence = self._sequences.get(symbol)
        if sequence is None:
            return None
        newest_id = min(trade_id, sequence.next_id - 1)
        for known_id in range(newest_id, max(newest_id - len(sequence.recent), -1), -1):
            trade = sequence.known(known_id)
            if trade is not None:
                return TradePlace.of(trade)
        epoch, place = self._stored.get(symbol, (-1, None))
        return place if place is not None and epoch == sequence.epoch and place.trade_id <= trade_id else None
