"""What became of each gap: opened, healed from where, or closed with what reason. For people, not for the sequence.

Life cycle: the service makes one; whoever sees a gap (repair of trades, repair of klines, the sink) tells it, on the
event loop; the report reads it. It never decides anything: forgetting it all would lose no record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from data_collector.model.gaps import GapReason

HealSource = Literal["ws", "rest", "spool", "built"]
"""Where a missing record came from: another copy on a stream, the exchange's REST side, our own memory and spool, or
trade ids that prove a kline without trades."""


class Ledger:
    """The lives of gaps of all symbols, the newest of each."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is the wall clock in seconds."""
        self._clock = clock

    def opened(self, symbol: str, interval: str | None, first: int, last: int) -> None:
        """A gap was seen, or has grown: trade ids (interval None), or open times in ms."""

    def noted(self, symbol: str, interval: str | None, what: str) -> None:
        """Something was tried for the open gap of this key: `twin_awaited`, `rest_asked`, `rest_failed`, …"""

    def healed(self, symbol: str, interval: str | None, first: int, last: int, source: HealSource) -> None:
        """Records of the open gap came; it may be healed in parts."""

    def given_up(self, symbol: str, interval: str | None, first: int, last: int, reason: GapReason) -> None:
        """The range was passed over, and `gaps:` says so."""
