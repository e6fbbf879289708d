"""Filling from the files that the exchange publishes: they cost no request weight.

A file is taken for what it holds of the planned holes; whatever it lacks is left to REST, whose answers alone prove
that the exchange has none.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Final

from data_collector.history.events import FileRefused, SeriesEnded, Tell
from data_collector.history.odd_candles import OddCandles, parted, places_of
from data_collector.history.plan import SeriesPlan, calls_of
from data_collector.history.ports import Ends, Stored
from data_collector.history.retrying import Retrying, Stopping
from data_collector.model.errors import BadFile, NotPublished, OtherLife
from data_collector.model.grid import Grid
from data_collector.model.published import BulkFile
from data_collector.model.records import Kline, Row, Source
from data_collector.model.venue import TradesApi

SOURCE: Final[Source] = "file"

REQUESTS_WORTH_A_FILE = 10
"""Fewer calls are sooner answered than an archive and its checksum are fetched and checked."""


class FileFill:
    """One series, from files."""

    def __init__(
        self, symbol: str, ends: Ends, retrying: Retrying, stopping: Stopping, tell: Tell, *, all_holes: bool
    ) -> None:
        """`all_holes`: also those that REST would give in a few calls."""
        assert ends.files is not None, "checked by whoever offers the choice"
        self._files = ends.files
        self._store = ends.store
        self._venue = ends.venue
        self._calendar = ends.calendar
        self._rest = ends.rest if symbol not in ends.files_alone else None
        self._retrying = retrying
        self._stopping = stopping
        self._tell = tell
        self._requests_min = 1 if all_holes else REQUESTS_WORTH_A_FILE

    async def fill(self, plan: SeriesPlan, grid: Grid, from_ms: int, to_ms: int, report: SeriesEnded) -> None:
        """Take what the files of this time have. Raises `Unavailable` when they, or the database, are out of reach."""
        for file in self._files.covering(plan.series, from_ms, to_ms):
            await self._take(plan, grid, file, report)

    async def _take(self, plan: SeriesPlan, grid: Grid, file: BulkFile, report: SeriesEnded) -> None:
        if self._stopping.requested or not await self._is_worth(plan, grid, file):
            return
        try:
            # Its parts let go of what only waits by themselves; a chunk is written to its end.
            await self._retrying.write(report.series, lambda: self._read(plan, file, report), is_long=True)
        except NotPublished:
            pass
        except (BadFile, OtherLife) as error:
            report.files_refused += 1
            self._tell(FileRefused(report.series, file.name, str(error)))
        else:
            return
        for day in self._files.days_of(file):
            await self._take(plan, grid, day, report)

    async def _is_worth(self, plan: SeriesPlan, grid: Grid, file: BulkFile) -> bool:
        first, last = file.first_ms, file.until_ms - 1
        if file.key.channel == "trade":
            if self._rest is None:
                # Which ids are in it only the file itself could tell.
                return plan.rows > 0
            first, last = await self._ids_of(file, self._rest)
        count = 0
        for stretch in plan.stretches:
            for begin, end in stretch.overlap(first, last):
                count += grid.span(begin, end + 1)[1]
        return calls_of(file.key, self._venue).count(count) >= self._requests_min

    async def _ids_of(self, file: BulkFile, rest: TradesApi) -> tuple[int, int]:
        symbol, name = file.key.symbol, file.key.label
        first = await self._retrying.ask(name, lambda: rest.first_trade_id(symbol, file.first_ms))
        if first is None:
            # The empty answer proves nothing: the file itself tells.
            return 0, 2**53
        after = await self._retrying.ask(name, lambda: rest.first_trade_id(symbol, file.until_ms))
        return first, 2**53 if after is None else after - 1

    async def _read(self, plan: SeriesPlan, file: BulkFile, report: SeriesEnded) -> None:
        if file.key.channel == "trade":
            put_trades = partial(self._store.put_trades, source=SOURCE)
            await self._store_all(self._files.trades(file), lambda row: plan.wants(row.trade_id), put_trades, report)
        else:
            put_klines = partial(self._store.put_klines, source=SOURCE)
            chunks = self._whole(plan, self._files.klines(file), report)
            await self._store_all(chunks, lambda row: plan.wants(row.open_ms), put_klines, report)

    async def _whole(
        self, plan: SeriesPlan, chunks: AsyncGenerator[list[Kline], None], report: SeriesEnded
    ) -> AsyncGenerator[list[Kline], None]:
        """The chunks without what is no whole candle: that is told, and refused."""
        told, before = OddCandles(report, self._tell, SOURCE), list[Kline]()
        anchor_ms = plan.stretches[0].first
        async with aclosing(chunks):
            async for rows in chunks:
                whole, odd = parted(self._calendar, rows, anchor_ms)
                if odd:
                    places = places_of(self._calendar, odd, [*before[-1:], *whole], anchor_ms)
                    wanted = {place: kline for place, kline in places.items() if plan.wants(place)}
                    told.note(list(wanted.values()))
                    put_odd = partial(self._store.put_odd, wanted, source=SOURCE)
                    report.take(await self._retrying.write(report.series, put_odd))
                before = whole
                yield whole

    async def _store_all(
        self,
        chunks: AsyncGenerator[list[Row], None],
        is_wanted: Callable[[Row], bool],
        put: Callable[[list[Row]], Awaitable[Stored]],
        report: SeriesEnded,
    ) -> None:
        async with aclosing(chunks):
            while not self._stopping.requested:
                with self._stopping.interruptible():
                    rows = await anext(chunks, None)
                if rows is None:
                    return
                wanted = [row for row in rows if is_wanted(row)]
                if wanted:
                    stored = await self._retrying.write(report.series, partial(put, wanted))
                    report.take(stored)
                    self._tell(report.progress())
