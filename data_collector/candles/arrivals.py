"""How many trades came within a time, by the exchange's clock: what they say of their own time is another thing.

Life cycle: what builds klines notes it at every beat. Pure.
"""

from __future__ import annotations

from collections import deque

EVERY_MS = 5_000
KEPT = 60


class Arrivals:
    """Of all symbols, for the newest minutes."""

    def __init__(self) -> None:
        self._noted: dict[str, deque[tuple[int, int]]] = {}
        """When, and which id was due then."""

    def note(self, symbol: str, now_ms: int, next_id: int) -> None:
        """This trade is due now."""
        noted = self._noted.setdefault(symbol, deque(maxlen=KEPT))
        if not noted or now_ms - noted[-1][0] >= EVERY_MS:
            noted.append((now_ms, next_id))

    def forget(self, symbol: str) -> None:
        """It is collected no longer."""
        self._noted.pop(symbol, None)

    def within(self, symbol: str, from_ms: int, until_ms: int) -> int:
        """How many ids came from the first look in that time to the last one."""
        ids = [next_id for at_ms, next_id in self._noted.get(symbol, ()) if from_ms <= at_ms <= until_ms]
        return max(ids[-1] - ids[0], 0) if ids else 0
