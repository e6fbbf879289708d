"""Records in memory, and the frames that are made of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, overload

from data_collector.client.errors import GapFound, WrongQuestion
from data_collector.client.extras import extra_needed
from data_collector.client.records import Gap, Item, Kline, Trade, ms_of
from data_collector.model.keys import Key

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from data_collector.client.frames import Columns, Numbers


class Table:
    """The records of one series, in order, and what is missing among them."""

    def __init__(self, key: Key, records: Sequence[Kline | Trade], gaps: Sequence[Gap]) -> None:
        self.key = key
        self.records = records
        self.gaps = gaps

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Kline | Trade]:
        return iter(self.records)

    @overload
    def __getitem__(self, row: int) -> Kline | Trade: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Kline | Trade]: ...
    def __getitem__(self, row: int | slice) -> Kline | Trade | Sequence[Kline | Trade]:
        return self.records[row]

    def require_whole(self) -> Table:
        """Itself, where nothing is missing. Raises `GapFound`."""
        if self.gaps:
            raise GapFound(self.gaps[0])
        return self

    def spans(self) -> list[slice]:
        """Rows without a gap between them, and of one epoch."""
        places = [_place_of(record) for record in self.records]
        breaks = {0, len(places)}
        for gap in self.gaps:
            first, last = ((gap.epoch, _number(end)) for end in (gap.first, gap.last))
            at = bisect_left(places, first)
            if at == len(places) or places[at] > last:
                breaks.add(at)
        breaks |= {at for at, (before, here) in enumerate(pairwise(places), 1) if here[0] != before[0]}
        return [slice(first, until) for first, until in pairwise(sorted(breaks))]

    def to_numpy(self) -> npt.NDArray[np.void]:
        """A structured array of floats and integers; -1 is an integer that is not told."""
        return self.columns("float").to_numpy()

    def to_arrow(self, numbers: Numbers = "float") -> pa.Table:
        """A table of `pyarrow`."""
        return self.columns(numbers).to_arrow()

    def to_pandas(self, numbers: Numbers = "float", tz: str = "UTC") -> pd.DataFrame:
        """A frame by time, which is aware."""
        return self.columns(numbers).to_pandas(tz)

    def to_polars(self, numbers: Numbers = "float") -> pl.DataFrame:
        """A frame of Polars."""
        return self.columns(numbers).to_polars()

    def columns(self, numbers: Numbers) -> Columns:
        """What frames are made of. Raises `NotInstalled` and `WrongQuestion`."""
        with extra_needed():
            from data_collector.client.frames import columns_of  # noqa: PLC0415
        return columns_of(self.records, numbers, is_trades=self.key.channel == "trade")


class Tables:
    """Items on their way into tables of one size."""

    def __init__(self, key: Key, size: int) -> None:
        """Raises `WrongQuestion`."""
        if size < 1:
            raise WrongQuestion(f"A page of {size} records is none.")
        self._key = key
        self._size = size
        self._records: list[Kline | Trade] = []
        self._gaps: list[Gap] = []

    def take(self, items: Sequence[Item], gaps: Sequence[Gap]) -> Iterator[Table]:
        """Those that have become full."""
        self._gaps += gaps
        for item in items:
            if isinstance(item, Kline | Trade):
                if len(self._records) == self._size:
                    yield self._cut()
                self._records.append(item)

    def rest(self) -> Table:
        """What is left at the end."""
        return Table(self._key, self._records, self._gaps)

    def _cut(self) -> Table:
        """What is missing behind its last record is told by the next one."""
        newest = _place_of(self._records[-1])
        table = Table(self._key, self._records, [gap for gap in self._gaps if _end_of(gap) < newest])
        self._records, self._gaps = [], self._gaps[len(table.gaps) :]
        return table


def _place_of(record: Kline | Trade) -> tuple[int, int]:
    return (record.epoch, record.trade_id) if isinstance(record, Trade) else (0, ms_of(record.timestamp))


def _number(end: int | datetime) -> int:
    return end if isinstance(end, int) else ms_of(end)


def _end_of(gap: Gap) -> tuple[int, int]:
    return gap.epoch, _number(gap.last)
