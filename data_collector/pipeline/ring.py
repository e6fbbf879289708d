"""The newest runs of trades, in memory, bounded in bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from data_collector.model.batch import TradeRun
from data_collector.pipeline.shelf import Cover, Shelf

TRADE_BYTES = 140
"""What a trade takes beside its text: the text's header, its time, two places in a list, and rounding up."""

RUN_BYTES = 700
"""What a run takes beside its trades: the struct, its list, texts of its own, and its places in the ring."""

REFUSAL_BYTES = 600
"""What a refused trade takes beside its content."""


def run_bytes(run: TradeRun) -> int:
    """About what a run takes in memory. Its texts differ by a few digits, so two of them stand for all."""
    entries = run.entries
    size = RUN_BYTES
    if entries:
        size += len(entries) // 2 * (TRADE_BYTES + max(len(str(entries[1])), len(str(entries[-1]))))
    if run.refused:
        size += sum(REFUSAL_BYTES + len(refusal.content) + len(refusal.why) for refusal in run.refused.values())
    return size


class Ring:
    """Runs of all symbols; when there are more bytes than `bytes_max`, those that came first are forgotten."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes = 0
        self._bytes_max = bytes_max
        self._shelf = Shelf()
        self._order: deque[tuple[str, int]] = deque()

    def add(self, run: TradeRun, size: int) -> None:
        """Keep a run of `size` bytes."""
        self._shelf.add(run)
        self._order.append((run.symbol, size))
        self.bytes += size
        while self.bytes > self._bytes_max:
            symbol, oldest_size = self._order.popleft()
            self._shelf.drop_oldest(symbol)
            self.bytes -= oldest_size

    def forget(self, symbol: str) -> None:
        """Drop all of a symbol."""
        self._shelf.forget(symbol)
        self.bytes -= sum(size for name, size in self._order if name == symbol)
        self._order = deque(each for each in self._order if each[0] != symbol)

    def read(self, symbol: str, first_id: int, trades_max: int) -> list[TradeRun]:
        """As `Retention.read`, from memory."""
        return self._shelf.read(symbol, first_id, trades_max)

    def covers(self, symbol: str) -> Iterable[Cover]:
        """What is here of a symbol."""
        return self._shelf.covers(symbol)
