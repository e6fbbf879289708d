"""Trades that were let through and that the exchange itself tells otherwise, and minutes in which there may be some.

Life cycle: the trade intake makes one; `pipeline.repair.conflicts` looks through the minutes, and what was found is
told for an hour. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec import Struct

from data_collector.model.records import Kline

TOLD_S = 3_600.0
"""How long after the newest one it is told."""

MINUTES_MAX = 100
"""Minutes that wait to be looked through; of further ones it is told that nobody knows which trades are meant."""


class _Found(Struct):
    wrong: int = 0
    unknown: int = 0
    newest_s: float = 0.0


class Contradictions:
    """Of all symbols."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._found: dict[str, _Found] = {}
        self.minutes: deque[Kline] = deque()
        """Closed klines that REST confirms, and that our trades contradict."""

    def suspect(self, kline: Kline) -> None:
        """REST and the stream agree about a minute that our trades do not make."""
        if len(self.minutes) < MINUTES_MAX:
            self.minutes.append(kline)
        else:
            self.note_unknown(kline.symbol)

    def note(self, symbol: str) -> None:
        """A trade that was let through is told otherwise by REST."""
        self._of(symbol).wrong += 1

    def note_unknown(self, symbol: str) -> None:
        """Some trade of a minute is wrong, and it is not known which."""
        self._of(symbol).unknown += 1

    def told(self) -> list[str]:
        """A sentence for each symbol of which something was found within the last hour."""
        self._found = {
            symbol: found for symbol, found in self._found.items() if self._clock() - found.newest_s < TOLD_S
        }
        return [sentence for symbol, found in sorted(self._found.items()) for sentence in _sentences(symbol, found)]

    def _of(self, symbol: str) -> _Found:
        found = self._found.setdefault(symbol, _Found())
        found.newest_s = self._clock()
        return found


def _sentences(symbol: str, found: _Found) -> list[str]:
    sentences: list[str] = []
    if found.wrong:
        trades = "1 trade" if found.wrong == 1 else f"{found.wrong:,} trades"
        sentences.append(
            f"the exchange's REST side contradicts what is stored of {trades} of {symbol}: its word is in late:{symbol}"
        )
    if found.unknown:
        minutes = "1 minute" if found.unknown == 1 else f"{found.unknown:,} minutes"
        sentences.append(
            f"the exchange's klines contradict the trades of {minutes} of {symbol}, and it is not known which are wrong"
        )
    return sentences
