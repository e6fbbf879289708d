"""A stretch of history, for programmes that wait for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from data_collector.client.answering.blocking import Answering
from data_collector.client.reading.history import History, Stretch
from data_collector.client.reading.market import Market
from data_collector.client.records import Gap, Item
from data_collector.client.table import Table, Tables
from data_collector.client.whole import whole_columns, whole_table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from data_collector.client.frames import Columns, Numbers

PAGE_RECORDS = 50_000


class Records:
    """Read anew each time that it is asked, in order and page by page.

    Iterating gives records, and gaps in their place. Methods raise `GapFound` where the policy says so, `TooLarge` for
    what does not fit into one frame, and `Away`.
    """

    def __init__(self, market: Market, stretch: Stretch, answering: Answering) -> None:
        """Raises `WrongQuestion`."""
        History(market, stretch)
        self._market = market
        self._stretch = stretch
        self._answering = answering

    def __iter__(self) -> Iterator[Item]:
        for items, _ in self._read():
            yield from items

    def pages(self, size: int = PAGE_RECORDS) -> Iterator[Table]:
        """Tables of so many records; the last one may be shorter, and empty where there is nothing."""
        tables = Tables(self._stretch.key, size)
        for items, gaps in self._read():
            yield from tables.take(items, gaps)
        yield tables.rest()

    def read(self) -> Table:
        """All of it."""
        return self._answering.finish(whole_table(self._market, self._stretch))

    @property
    def gaps(self) -> list[Gap]:
        """What is missing. Reads all of it."""
        return [gap for _, gaps in self._read() for gap in gaps]

    def require_whole(self) -> Table:
        """All of it, where nothing is missing. Raises `GapFound`."""
        return self.read().require_whole()

    def spans(self) -> list[slice]:
        """Rows of a frame without a gap between them."""
        return self.read().spans()

    def to_numpy(self) -> npt.NDArray[np.void]:
        """As `Table.to_numpy`."""
        return self._columns("float").to_numpy()

    def to_arrow(self, numbers: Numbers = "float") -> pa.Table:
        """As `Table.to_arrow`."""
        return self._columns(numbers).to_arrow()

    def to_pandas(self, numbers: Numbers = "float", tz: str = "UTC") -> pd.DataFrame:
        """As `Table.to_pandas`."""
        return self._columns(numbers).to_pandas(tz)

    def to_polars(self, numbers: Numbers = "float") -> pl.DataFrame:
        """As `Table.to_polars`."""
        return self._columns(numbers).to_polars()

    def _columns(self, numbers: Numbers) -> Columns:
        return self._answering.finish(whole_columns(self._market, self._stretch, numbers))

    def _read(self) -> Iterator[tuple[Sequence[Item], Sequence[Gap]]]:
        """Pages of items, each with the gaps that were met."""
        history = History(self._market, self._stretch)
        told = 0
        while (page := self._answering.finish(history.next_page())) is not None:
            yield page, history.gaps[told:]
            told = len(history.gaps)
        yield (), history.gaps[told:]
