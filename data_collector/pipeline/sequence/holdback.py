"""Sequences that wait for something: how many trades they hold in all, and whether that is too much."""

from __future__ import annotations

import asyncio

from data_collector.pipeline.sequence.trade_sequence import HELD_MAX, TradeSequence

HELD_TOTAL_MAX = 60_000
"""Trades of all symbols together that wait in memory; what is more goes to the spool."""


class Holdback:
    """What is held back of all symbols; each sequence keeps its own."""

    def __init__(self) -> None:
        self._held: dict[TradeSequence, int] = {}
        self.count = 0
        """Trades that are held back: they came, and are not let through yet."""
        self.waiting = asyncio.Event()
        """Set while something waits."""

    @property
    def sequences(self) -> list[TradeSequence]:
        """Those that wait."""
        return list(self._held)

    def note(self, sequence: TradeSequence) -> None:
        """It has changed."""
        held = len(sequence.held)
        self.count += held - self._held.get(sequence, 0)
        if sequence.waits:
            self._held[sequence] = held
            self.waiting.set()
        else:
            self._held.pop(sequence, None)
            if not self._held:
                self.waiting.clear()

    def is_full(self, sequence: TradeSequence) -> bool:
        """Whether memory has no room for more of it."""
        held = len(sequence.held)
        return held >= HELD_MAX or (self.count >= HELD_TOTAL_MAX and held > HELD_MAX // 20)
