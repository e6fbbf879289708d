"""A stretch of history, for programmes with an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from data_collector.client.answering.awaiting import AsyncAnswering
from data_collector.client.history import PAGE_RECORDS
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


class AsyncRecords:
    """Read anew each time that it is asked, in order and page by page.

    Iterating gives records, and gaps in their place. Methods raise `GapFound` where the policy says so, `TooLarge` for
    what does not fit into one frame, and `Away`.
    """

    def __init__(self, market: Market, stretch: Stretch, answering: AsyncAnswering) -> None:
        """Raises `WrongQuestion`."""
        History(market, stretch)
        self._market = market
        self._stretch = stretch
        self._answering = answering

    async def __aiter__(self) -> AsyncIterator[Item]:
        async for items, _ in self._read():
            for item in items:
                yield item

    async def pages(self, size: int = PAGE_RECORDS) -> AsyncIterator[Table]:
        """Tables of so many records; the last one may be shorter, and empty where there is nothing."""
        tables = Tables(self._stretch.key, size)
        async for items, gaps in self._read():
            for table in tables.take(items, gaps):
                yield table
        yield tables.rest()

    async def read(self) -> Table:
        """All of it."""
        return await self._answering.finish(whole_table(self._market, self._stretch))

    async def gaps(self) -> list[Gap]:
        """What is missing. Reads all of it."""
        return [gap async for _, gaps in self._read() for gap in gaps]

    async def require_whole(self) -> Table:
        """All of it, where nothing is missing. Raises `GapFound`."""
        return (await self.read()).require_whole()

    async def spans(self) -> list[slice]:
        """Rows of a frame without a gap between them."""
        return (await self.read()).spans()

    async def to_numpy(self) -> npt.NDArray[np.void]:
        """As `Table.to_numpy`."""
        return (await self._columns("float")).to_numpy()

    async def to_arrow(self, numbers: Numbers = "float") -> pa.Table:
        """As `Table.to_arrow`."""
        return (await self._columns(numbers)).to_arrow()

    async def to_pandas(self, numbers: Numbers = "float", tz: str = "UTC") -> pd.DataFrame:
        """As `Table.to_pandas`."""
        return (await self._columns(numbers)).to_pandas(tz)

    async def to_polars(self, numbers: Numbers = "float") -> pl.DataFrame:
        """As `Table.to_polars`."""
        return (await self._columns(numbers)).to_polars()

    async def _columns(self, numbers: Numbers) -> Columns:
        return await self._answering.finish(whole_columns(self._market, self._stretch, numbers))

    async def _read(self) -> AsyncIterator[tuple[Sequence[Item], Sequence[Gap]]]:
        """Pages of items, each with the gaps that were met."""
        history = History(self._market, self._stretch)
        told = 0
        while (page := await self._answering.finish(history.next_page())) is not None:
            yield page, history.gaps[told:]
            told = len(history.gaps)
        yield (), history.gaps[told:]
