"""Klines and trades as a backfill sees them: numbered rows that the exchange gives and the database keeps.

What is stored passes the gate (`history.ports.RowStore`); here a row that is no number is asked for a second time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from data_collector.history.odd_candles import parted, places_of
from data_collector.history.ports import AnsweredRows, Bounds, Ends, Stored
from data_collector.model.calendar import LATEST_MS, place_ms
from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.gaps import Gap
from data_collector.model.grid import Grid, IdGrid, KlineGrid, joined
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Source, Trade
from data_collector.model.venue import TradePlace, Venue
from data_collector.model.wire import open_time_text

SETTLED_MS = 600_000
"""A kline that REST does not know ten minutes after its end will never be there; before that it may be late."""

CLOSED_MARGIN_MS = 2_000
"""Younger klines are left to the live feed: the exchange's parts do not share one clock."""

STEPS_AT_ONCE = 500_000
"""How many klines the database is asked about in one go: about a year of minutes."""

SOURCE: Final[Source] = "rest"

UNPROVEN_BEFORE = "the exchange neither gives what is missing before {what} nor proves that there is nothing"
FILES_MAY = "; published files may have it (`--source auto`)"

_NUMBER = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,40})?")

LARGEST_INTEGER = 2**63 - 1
"""That PostgreSQL holds."""


class KlineFeed:
    """Klines of one interval."""

    def __init__(self, series: Key, ends: Ends, bounds: Bounds, now_ms: int) -> None:
        self.series = series
        self.grid = KlineGrid(ends.calendar, series.kline_interval)
        self._interval = series.kline_interval
        self._ends = ends
        self._bounds = bounds
        self._now_ms = now_ms
        self._anchor_ms = 0
        self._first_ever: int | None = None
        self._doubts = Doubts()

    async def missing(self, from_ms: int, to_ms: int, now_ms: int) -> list[tuple[int, int]]:
        if self.grid.needs_anchor:
            found_ms = await self._bounds.open_time(self.series.symbol, self._interval, from_ms, now_ms)
            if found_ms is None:
                return []
            self._anchor_ms = found_ms
        first_ms = self.grid.first_open(from_ms, self._anchor_ms)
        end_ms = self.grid.end_of_closed(first_ms, to_ms, now_ms - CLOSED_MARGIN_MS)
        holes: list[tuple[int, int]] = []
        for part in self.grid.parts(first_ms, end_ms, STEPS_AT_ONCE):
            holes += await self._ends.held.kline_holes(self.series.symbol, self._interval, *part, self._ends.calendar)
        return joined(self.grid, holes)

    async def fetch(self, first: int, last: int) -> AnsweredRows:
        page = await self._ends.rest.klines(self.series.symbol, self._interval, first, last)
        rows, odd = parted(self._ends.calendar, page.klines, first)
        places = places_of(self._ends.calendar, odd, rows, first)
        self._doubts.settle(faults_of_klines(rows))

        async def store(wanted: Callable[[int], bool]) -> Sequence[Stored]:
            refused = {place: kline for place, kline in places.items() if wanted(place)}
            return (
                await self._ends.store.put_klines([row for row in rows if wanted(row.open_ms)], source=SOURCE),
                await self._ends.store.put_odd(refused, source=SOURCE),
            )

        numbers = sorted([*(row.open_ms for row in rows), *places])
        proven = (page.proven_from_ms, page.proven_to_ms)
        told_ms = page.told_to_ms(self._ends.venue.reach.klines_per_answer)
        # A full one that tells nothing new would be asked for for ever.
        is_full = told_ms is not None and bool(numbers) and numbers[-1] > first
        return AnsweredRows(numbers, is_full, proven, store, places)

    async def first_ever(self) -> int | None:
        if self._first_ever is None:
            try:
                traded_ms = await self._ends.rest.first_trade_ms(self.series.symbol)
            except VenueRefused:
                return None
            if traded_ms is not None:
                self._first_ever = place_ms(self._ends.calendar, self._interval, traded_ms, self._anchor_ms)
        return self._first_ever

    def unproven_before(self, number: int) -> str:
        return unproven_before(self._ends.venue, f"the candle of {open_time_text(number)}")

    def is_settled(self, number: int) -> bool:
        return self.grid.following(number) + SETTLED_MS <= self._now_ms

    def newest(self) -> int:
        return self._now_ms

    async def by_trades(self, missing: Sequence[tuple[int, int]]) -> tuple[int, Sequence[tuple[int, int]]]:
        return 0, missing

    async def put_absent(self, ranges: Sequence[tuple[int, int]]) -> None:
        gaps = [Gap(first, last, self.grid.span(first, last + 1)[1], "absent") for first, last in ranges]
        await self._ends.store.put_gaps(self.series, gaps)


class TradeFeed:
    """Trades, by id."""

    def __init__(self, series: Key, ends: Ends, bounds: Bounds) -> None:
        self.series = series
        self.grid: Grid = IdGrid()
        self._ends = ends
        self._bounds = bounds
        self._newest_id = 0
        self._doubts = Doubts()
        self._told: Sequence[Trade] = ()
        """The last one of the newest answer."""

    async def missing(self, from_ms: int, to_ms: int, now_ms: int) -> list[tuple[int, int]]:
        symbol = self.series.symbol
        found = await self._bounds.trade_ids(symbol, from_ms, to_ms, now_ms)
        if found is None:
            return []
        self._newest_id = max(self._newest_id, found[1])
        return await self._ends.held.trade_holes(symbol, *found)

    async def fetch(self, first: int, last: int) -> AnsweredRows:
        symbol, limit = self.series.symbol, self._ends.venue.reach.trades_per_answer
        page = await self._ends.rest.trades(symbol, first, near=await self._near(first), limit=limit)
        rows = page.trades
        self._told = rows[-1:] or self._told
        self._doubts.settle(faults_of_trades(rows))

        async def store(wanted: Callable[[int], bool]) -> Sequence[Stored]:
            return (await self._ends.store.put_trades([row for row in rows if wanted(row.trade_id)], source=SOURCE),)

        proven = (rows[0].trade_id, rows[-1].trade_id) if rows else (first, first - 1)
        return AnsweredRows([row.trade_id for row in rows], not page.reaches_head, proven, store)

    async def _near(self, first: int) -> TradePlace | None:
        """The trade that is asked about, or the one before: from the answer before, or the database."""
        known = self._told
        if not known or not first - 1 <= known[0].trade_id <= first:
            known = await self._ends.held.trades_by_id(self.series.symbol, max(first - 1, 0), first, 1)
        return TradePlace.of(known[0]) if known else None

    async def first_ever(self) -> int | None:
        # REST may keep only the newest trades, so its first one is not the first that ever was.
        return None

    def unproven_before(self, number: int) -> str:
        return unproven_before(self._ends.venue, f"trade {number}")

    def is_settled(self, number: int) -> bool:
        # Later ids were told in the same answer, and ids are given out in order.
        return True

    def newest(self) -> int:
        return self._newest_id

    async def by_trades(self, missing: Sequence[tuple[int, int]]) -> tuple[int, Sequence[tuple[int, int]]]:
        return 0, missing

    async def put_absent(self, ranges: Sequence[tuple[int, int]]) -> None:
        gaps = [Gap(first, last, last - first + 1, "absent") for first, last in ranges]
        await self._ends.store.put_gaps(self.series, gaps)


def unproven_before(venue: Venue, what: str) -> str:
    """Why something is not given, and what may bring it."""
    return UNPROVEN_BEFORE.format(what=what) + (FILES_MAY if venue.published is not None else "")


class Doubts:
    """Rows that came with what is no number: asked for again once, and what comes then is the gate's to judge."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def settle(self, faults: Mapping[int, str]) -> None:
        """Raises `VenueUnreachable` where a row came so for the first time: the next answer may be better."""
        news = faults.keys() - self._known
        self._known |= news
        if news:
            raise VenueUnreachable(faults[min(news)])


def faults_of_klines(klines: Iterable[Kline]) -> dict[int, str]:
    """Open time to what is no number."""
    found: dict[int, str] = {}
    for k in klines:
        texts = (
            k.open, k.high, k.low, k.close, k.volume, k.quote_volume, k.taker_buy_base_volume,
            k.taker_buy_quote_volume,
        )  # fmt: skip
        name = f"the candle of {k.symbol} {k.interval} that opens at {k.open_ms}"
        unreadable = [text for text in texts if text is not None and not _NUMBER.fullmatch(text)]
        if unreadable:
            found[k.open_ms] = _fault(name, unreadable[0])
        elif k.trades is not None and not 0 <= k.trades <= LARGEST_INTEGER:
            found[k.open_ms] = f"{name} came with {k.trades} trades"
    return found


def faults_of_trades(trades: Iterable[Trade]) -> dict[int, str]:
    """Id to what is no number, or no time."""
    found: dict[int, str] = {}
    for trade in trades:
        name = f"trade {trade.trade_id} of {trade.symbol}"
        unreadable = [text for text in (trade.price, trade.quantity) if not _NUMBER.fullmatch(text)]
        if unreadable:
            found[trade.trade_id] = _fault(name, unreadable[0])
        elif not 0 <= trade.time_ms <= LATEST_MS:
            found[trade.trade_id] = f"{name} came with the time {trade.time_ms}"
    return found


def _fault(name: str, text: str) -> str:
    return f"{name} came with {text[:40]!r}, which is no number"
