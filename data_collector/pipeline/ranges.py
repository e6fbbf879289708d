"""A set of whole numbers, kept as ranges: which records of a gap are still missing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator


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


def common(ids: range, known: Collection[int]) -> list[int]:
    """The ids that are known, found by walking whichever is shorter; `known` is quick to search."""
    if len(ids) <= len(known):
        return [number for number in ids if number in known]
    return [number for number in known if number in ids]
