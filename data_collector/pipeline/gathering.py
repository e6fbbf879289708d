"""Puts small runs together before they go to the retention: a flush each millisecond makes runs of a trade or two.

Life cycle: the outlet makes one and adds every run that ends; `flush` is called every few milliseconds
(`Outlet.keep`), and before anything is read. What it holds between two flushes a power cut takes, as it takes what the
disk has not synced.
"""

from __future__ import annotations

from msgspec import structs

from data_collector.model.batch import TradeRun
from data_collector.pipeline.spool import Spool

ENTRIES_MAX = 400
"""200 trades, two entries each, as the runs of a busy symbol have."""


class Gathering:
    """The newest run of each symbol, growing."""

    def __init__(self, retention: Spool) -> None:
        self._retention = retention
        self._growing: dict[str, TradeRun] = {}

    def add(self, run: TradeRun) -> None:
        """Keep a run; it is shared with the store's side and stays as it is."""
        grown = self._growing.get(run.symbol)
        if grown is not None:
            if (
                run.first_id == grown.first_id + len(grown.entries) // 2
                and not (run.gaps or run.refused)
                and len(grown.entries) < ENTRIES_MAX
            ):
                grown.entries += run.entries
                grown.price, grown.time_text, grown.newest_ns = run.price, run.time_text, run.newest_ns
                return
            self._retention.append((grown,))
        if len(run.entries) >= ENTRIES_MAX:
            self._growing.pop(run.symbol, None)
            self._retention.append((run,))
        else:
            self._growing[run.symbol] = structs.replace(run, entries=run.entries.copy())

    def flush_one(self, symbol: str) -> None:
        """The same of one symbol, before it is read."""
        grown = self._growing.pop(symbol, None)
        if grown is not None:
            self._retention.append((grown,))

    def flush(self) -> None:
        """Hand over what has been gathered."""
        if self._growing:
            growing, self._growing = self._growing, {}
            self._retention.append(list(growing.values()))
