"""Runs of trades by symbol and id: the newest ones in memory, and what is decoded from the spool's files.

A *stretch* is a row of runs that follow each other without a hole. A rewind of a symbol hands the same ids out again:
that begins a new stretch, and where stretches overlap the newest one answers. A "symbol" here is its place,
by symbol and epoch (`model.sink.place_of`). Pure: no I/O, no clock.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from itertools import islice
from math import inf
from operator import attrgetter

from msgspec import Struct, structs

from data_collector.model.gaps import Gap
from data_collector.model.sink import TradeRun

_start_id = attrgetter("start_id")

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


class Cover(Struct, array_like=True):
    """The ids that adjoining runs of one symbol speak of, each either traded or explained."""

    start: int
    """The first id, traded or explained."""
    first_trade: int
    """The first id that was traded; equal to `end` when none was."""
    end: int
    """One more than the last id."""

    def extend(self, more: Cover) -> bool:
        """Take in what follows; False when it does not follow."""
        if more.start != self.end:
            return False
        if self.first_trade == self.end:
            self.first_trade = more.first_trade
        self.end = more.end
        return True


def cover_of(run: TradeRun) -> Cover:
    """The ids that one run speaks of."""
    return Cover(run.start_id, run.first_id, run.first_id + run.count)


def covers_of(runs: Iterable[TradeRun]) -> dict[str, list[Cover]]:
    """The ids that runs speak of, by symbol, in order of coming."""
    covers: dict[str, list[Cover]] = {}
    for run in runs:
        join_covers(covers.setdefault(run.place, []), (cover_of(run),))
    return covers


def join_covers(covers: list[Cover], more: Iterable[Cover]) -> None:
    """Put later covers behind earlier ones of the same symbol; those that adjoin become one."""
    for cover in more:
        if not covers or not covers[-1].extend(cover):
            covers.append(structs.replace(cover))


def cut_run(run: TradeRun, first_id: int) -> TradeRun:
    """The part of a run from `first_id` on, which lies in it or in its gaps; the run itself when nothing is cut."""
    if first_id <= run.start_id:
        return run
    refused = {trade_id: refusal for trade_id, refusal in run.refused.items() if trade_id >= first_id}
    if first_id <= run.first_id:
        gaps = [_cut_gap(gap, first_id) for gap in run.gaps if gap.last >= first_id]
        return structs.replace(run, gaps=gaps, refused=refused)
    entries = run.entries[2 * (first_id - run.first_id) :]
    return structs.replace(run, first_id=first_id, entries=entries, gaps=[], refused=refused)


def _cut_gap(gap: Gap, first_id: int) -> Gap:
    if gap.first >= first_id:
        return gap
    return structs.replace(gap, first=first_id, count=gap.last - first_id + 1)


class _Stretch:
    __slots__ = ("cover", "runs")

    def __init__(self, run: TradeRun) -> None:
        self.cover = cover_of(run)
        self.runs = deque((run,))

    def drop_oldest(self) -> bool:
        """False when nothing is left."""
        self.runs.popleft()
        if not self.runs:
            return False
        self.cover.start = self.runs[0].start_id
        self.cover.first_trade = next((run.first_id for run in self.runs if run.entries), self.cover.end)
        return True


class Shelf:
    """Runs in order of coming, found by symbol and id; beyond `bytes_max`, those that came first are forgotten."""

    def __init__(self, runs: Iterable[TradeRun] = (), *, bytes_max: float = inf) -> None:
        self.bytes = 0
        self._bytes_max = bytes_max
        self._order: deque[tuple[str, int]] = deque()
        self._stretches: dict[str, deque[_Stretch]] = {}
        for run in runs:
            self.add(run)

    def add(self, run: TradeRun, size: int = 0) -> None:
        """Put a run of `size` bytes behind the others of its symbol. It must speak of an id at least."""
        place = run.place
        stretches = self._stretches.get(place)
        if stretches is None:
            stretches = self._stretches[place] = deque()
        if stretches and stretches[-1].cover.extend(cover_of(run)):
            stretches[-1].runs.append(run)
        else:
            stretches.append(_Stretch(run))
        self._order.append((place, size))
        self.bytes += size
        while self.bytes > self._bytes_max:
            self._drop_oldest()

    def read(self, symbol: str, first_id: int, trades_max: int) -> list[TradeRun]:
        """As `Spool.read`, from what is here."""
        found: list[TradeRun] = []
        while trades_max > 0:
            stretch = self._newest_with(symbol, first_id)
            if stretch is None:
                break
            index = bisect_right(stretch.runs, first_id, key=_start_id) - 1
            for run in islice(stretch.runs, index, None):
                found.append(cut_run(run, first_id))
                first_id = run.first_id + run.count
                trades_max -= found[-1].count
                if trades_max <= 0:
                    break
        return found

    def places(self) -> Iterable[str]:
        """Of what something is here."""
        return self._stretches

    def covers(self, symbol: str) -> Iterable[Cover]:
        """What is here of a symbol."""
        return (stretch.cover for stretch in self._stretches.get(symbol, ()))

    def _drop_oldest(self) -> None:
        symbol, size = self._order.popleft()
        self.bytes -= size
        stretches = self._stretches[symbol]
        if not stretches[0].drop_oldest():
            stretches.popleft()
            if not stretches:
                del self._stretches[symbol]

    def _newest_with(self, symbol: str, trade_id: int) -> _Stretch | None:
        for stretch in reversed(self._stretches.get(symbol, ())):
            if stretch.cover.start <= trade_id < stretch.cover.end:
                return stretch
        return None
