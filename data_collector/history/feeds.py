"""Candles and trades as a backfill sees them: numbered rows that the exchange gives and the database keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from data_collector.history.belief import believed_klines, believed_trades
from data_collector.history.plan import ROWS_PER_CALL
from data_collector.history.ports import Answer, Bounds, Holdings, Shelf, Stored
from data_collector.model.calendar import Calendar
from data_collector.model.gaps import Gap
from data_collector.model.grid import Grid, IdGrid, KlineGrid, joined
from data_collector.model.keys import Key
from data_collector.model.protocols import History

SETTLED_MS = 600_000
"""A candle that REST does not know ten minutes after its end will never be there; before that it may be late."""

CLOSED_MARGIN_MS = 2_000
"""Younger candles are left to the live feed: the exchange's parts do not share one clock."""

STEPS_AT_ONCE = 500_000
"""How many candles the database is asked about in one go: about a year of minutes."""

SOURCE = "rest"


class KlineFeed:
    """Candles of one interval."""

    def __init__(
        self, series: Key, *, bounds: Bounds, history: History, held: Holdings, shelf: Shelf, calendar: Calendar,
        now_ms: int,
    ) -> None:  # fmt: skip
        self.series = series
        self.grid = KlineGrid(calendar, series.kline_interval)
        self._interval = series.kline_interval
        self._bounds = bounds
        self._history = history
        self._held = held
        self._shelf = shelf
        self._calendar = calendar
        self._now_ms = now_ms
        self._first_ever: int | None = None

    async def missing(self, from_ms: int, to_ms: int, now_ms: int) -> list[tuple[int, int]]:
        anchor_ms = 0
        if self.grid.needs_anchor:
            found_ms = await self._bounds.open_time(self.series.symbol, self._interval, from_ms, now_ms)
            if found_ms is None:
                return []
            anchor_ms = found_ms
        first_ms = self.grid.first_open(from_ms, anchor_ms)
        end_ms = self.grid.end_of_closed(first_ms, to_ms, now_ms - CLOSED_MARGIN_MS)
        holes: list[tuple[int, int]] = []
        for part in self.grid.parts(first_ms, end_ms, STEPS_AT_ONCE):
            holes += await self._held.kline_holes(self.series.symbol, self._interval, *part, self._calendar)
        return joined(self.grid, holes)

    async def fetch(self, first: int, last: int) -> Answer:
        rows = believed_klines(await self._history.klines(self.series.symbol, self._interval, first, last))

        async def store(wanted: Callable[[int], bool]) -> Stored:
            return await self._shelf.put_klines([row for row in rows if wanted(row.open_ms)], source=SOURCE)

        return Answer([row.open_ms for row in rows], store)

    async def first_ever(self) -> int | None:
        if self._first_ever is None:
            rows = await self._history.klines(self.series.symbol, self._interval, 0, self._now_ms)
            self._first_ever = rows[0].open_ms if rows else None
        return self._first_ever

    def is_settled(self, number: int) -> bool:
        return self.grid.following(number) + SETTLED_MS <= self._now_ms

    def newest(self) -> int:
        return self._now_ms

    async def put_absent(self, ranges: Sequence[tuple[int, int]]) -> None:
        gaps = [Gap(first, last, self.grid.span(first, last + 1)[1], "absent") for first, last in ranges]
        await self._shelf.put_gaps(self.series, gaps)


class TradeFeed:
    """Trades, by id."""

    def __init__(self, series: Key, *, bounds: Bounds, history: History, held: Holdings, shelf: Shelf) -> None:
        self.series = series
        self.grid: Grid = IdGrid()
        self._bounds = bounds
        self._history = history
        self._held = held
        self._shelf = shelf
        self._newest_id = 0

    async def missing(self, from_ms: int, to_ms: int, now_ms: int) -> list[tuple[int, int]]:
        symbol = self.series.symbol
        found = await self._bounds.trade_ids(symbol, from_ms, to_ms, now_ms)
        if found is None:
            return []
        self._newest_id = max(self._newest_id, found[1])
        return await self._held.trade_holes(symbol, *found)

    async def fetch(self, first: int, last: int) -> Answer:
        rows = believed_trades(await self._history.trades(self.series.symbol, first, limit=ROWS_PER_CALL))

        async def store(wanted: Callable[[int], bool]) -> Stored:
            return await self._shelf.put_trades([row for row in rows if wanted(row.trade_id)], source=SOURCE)

        return Answer([row.trade_id for row in rows], store)

    async def first_ever(self) -> int | None:
        # REST may keep only the newest trades, so its first one is not the first that ever was.
        return None

    def is_settled(self, number: int) -> bool:
        # Later ids were told in the same answer, and ids are given out in order.
        return True

    def newest(self) -> int:
        return self._newest_id

    async def put_absent(self, ranges: Sequence[tuple[int, int]]) -> None:
        gaps = [Gap(first, last, last - first + 1, "absent") for first, last in ranges]
        await self._shelf.put_gaps(self.series, gaps)
