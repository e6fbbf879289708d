"""Symbols whose trades run ahead of what tickers name: ids that the exchange may never have given.

Life cycle: the repairs make one and ask it whenever they report. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from data_collector.pipeline.sequence.trade_sequence import TradeSequence

AHEAD_IDS = 1_000
"""A ticker comes every second, and names the newest trade."""

AHEAD_S = 10.0
NAMED_MIN = 3
"""So many newer trades the ticker must have named meanwhile: one that stands still says nothing of now."""


class _Ahead(Struct):
    since_s: float
    named_id: int
    named: int = 0


class AheadOfTickers:
    """Of all symbols."""

    def __init__(self) -> None:
        self._ahead: dict[str, _Ahead] = {}

    def told(self, collected: Iterable[TradeSequence], now_s: float) -> list[str]:
        """A sentence for each symbol that has been ahead for some seconds."""
        sentences: list[str] = []
        for sequence in collected:
            symbol, named_id = sequence.symbol, sequence.reference_id
            ids = sequence.next_id - 1 - named_id
            if named_id < 0 or ids <= AHEAD_IDS:
                self._ahead.pop(symbol, None)
                continue
            ahead = self._ahead.setdefault(symbol, _Ahead(now_s, named_id))
            if ahead.named_id != named_id:
                ahead.named_id = named_id
                ahead.named += 1
            if now_s - ahead.since_s >= AHEAD_S and ahead.named >= NAMED_MIN:
                sentences.append(
                    f"the newest trade of {symbol} is {ids:,} ids ahead of what its ticker names: the exchange may "
                    "never have given these ids"
                )
        return sentences
