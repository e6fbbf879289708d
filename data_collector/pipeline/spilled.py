"""Trades of a symbol that wait in the retention because memory had no room: they were counted then, and not again."""

from __future__ import annotations

from collections.abc import Iterable

from data_collector.model.batch import TradeRun
from data_collector.pipeline.ranges import Ranges

RANGES_MAX = 100
"""Of what is scattered more than that, a trade that the retention loses is counted twice."""


class Spilled:
    """Their ids."""

    __slots__ = ("_ranges", "last_id")

    def __init__(self) -> None:
        self._ranges = Ranges()
        self.last_id = -1
        """The largest; -1 when none waits."""

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def add(self, runs: Iterable[TradeRun], last_id: int) -> None:
        """Runs that were counted, up to this id."""
        self.last_id = max(self.last_id, last_id)
        for run in runs:
            if len(self._ranges) < RANGES_MAX:
                self._ranges.add(run.first_id, run.first_id + run.count)

    def take(self, trade_id: int) -> bool:
        """Whether it was counted; it is asked once."""
        return trade_id <= self.last_id and bool(self._ranges.remove(trade_id, trade_id + 1))

    def pass_to(self, next_id: int) -> None:
        """Nothing below is waited for any more."""
        self._ranges.remove(0, next_id)
