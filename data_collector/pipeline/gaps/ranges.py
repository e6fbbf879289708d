"""A set of whole numbers, kept as ranges: which records of a gap are still missing, or were counted already."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from data_collector.model.sink import TradeRun

SPILLED_RANGES_MAX = 100
"""Of what was spilled and is scattered more than that, a trade that the spool loses is counted twice."""


class Ranges:
    """Half-open ranges `(first, end)` that neither touch nor overlap, in order."""

    __slots__ = ("_ranges",)

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._ranges: list[tuple[int, int]] = []
        for first, end in ranges:
            self.add(first, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._ranges)

    def __len__(self) -> int:
        """How many ranges."""
        return len(self._ranges)

    def __bool__(self) -> bool:
        return bool(self._ranges)

    @property
    def total(self) -> int:
        """How many numbers."""
        return sum(end - first for first, end in self._ranges)

    def add(self, first: int, end: int) -> None:
        """Put `first` up to `end` (not included) in."""
        if first >= end:
            return
        apart = [known for known in self._ranges if known[1] < first or known[0] > end]
        touching = [known for known in self._ranges if known[1] >= first and known[0] <= end]
        whole = (min([first, *(known[0] for known in touching)]), max([end, *(known[1] for known in touching)]))
        self._ranges = sorted([*apart, whole])

    def remove(self, first: int, end: int) -> int:
        """Take `first` up to `end` (not included) out; returns how many numbers of it were in."""
        if first >= end:
            return 0
        before = self.total
        left: list[tuple[int, int]] = []
        for known_first, known_end in self._ranges:
            left += [
                (low, high)
                for low, high in ((known_first, min(known_end, first)), (max(known_first, end), known_end))
                if low < high
            ]
        self._ranges = left
        return before - self.total


class Spilled:
    """Ids of a symbol's trades that wait in the spool because memory had no room: they were counted then."""

    __slots__ = ("_ranges", "last_id")

    def __init__(self) -> None:
        self._ranges = Ranges()
        self.last_id = -1
        """The largest; -1 when none waits."""

    def __bool__(self) -> bool:
        return bool(self._ranges)

    @property
    def count(self) -> int:
        """How many."""
        return self._ranges.total

    def add(self, runs: Iterable[TradeRun], last_id: int) -> None:
        """Runs that were counted, up to this id."""
        self.last_id = max(self.last_id, last_id)
        for run in runs:
            if len(self._ranges) < SPILLED_RANGES_MAX:
                self._ranges.add(run.first_id, run.first_id + run.count)

    def take(self, trade_id: int) -> bool:
        """Whether it was counted; it is asked once."""
        return trade_id <= self.last_id and bool(self._ranges.remove(trade_id, trade_id + 1))

    def pass_to(self, next_id: int) -> None:
        """Nothing below is waited for any more."""
        self._ranges.remove(0, next_id)


def common(ids: range, known: Collection[int]) -> list[int]:
    """The ids that are known, found by walking whichever is shorter; `known` is quick to search."""
    if len(ids) <= len(known):
        return [number for number in ids if number in known]
    return [number for number in known if number in ids]
