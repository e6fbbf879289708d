"""Whether the database holds what it should: against the calendar, the live store, the exchange, and its own trades."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from msgspec import Struct

from data_collector.history.built.making import StoredSums
from data_collector.history.comparison import (
    AbsentRows,
    Check,
    FaultyRows,
    RefusedRows,
    SeriesAudit,
    by_id,
    by_open,
    check_of_live,
    compare,
    is_empty,
    same_kline,
    same_prices,
    same_trade,
    without_explained,
)
from data_collector.history.feeds import (
    LARGEST_INTEGER,
    SETTLED_MS,
    STEPS_AT_ONCE,
    Doubts,
    faults_of_klines,
    faults_of_trades,
)
from data_collector.history.odd_candles import parted, places_of
from data_collector.history.ports import AuditedRows, Bounds, LiveRows, LiveStore
from data_collector.history.retention import Retention
from data_collector.history.retrying import Retrying
from data_collector.model.calendar import LATEST_MS, Calendar, place_ms
from data_collector.model.errors import VenueRefused
from data_collector.model.grid import IdGrid, KlineGrid, grid_of
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Trade
from data_collector.model.venue import ExchangeApi, KlinePage, KlinesApi, TradePlace, TradesApi, Venue
from data_collector.model.wire import open_time_text

ROWS_PER_READ = 10_000

SETTLING_MS = 60_000
"""A kline that ended less than this ago may still be on its way to the database."""

TRADES_SETTLING_MS = 10_000
"""So may a trade of less: the history writer reads once a second."""

Reach = tuple[int, int]
"""First open time and the one after the last; first and last id of trades."""

NOTHING_STORED = "nothing is stored"
"""The note of a check that had nothing to look at: it says ok of nothing."""


class AuditEnds(Struct, frozen=True):
    """Who is asked; what is None is not compared with."""

    held: AuditedRows
    venue: Venue
    bounds: Bounds
    """The exchange's, of what it lists."""
    live: LiveStore | None = None
    rest: ExchangeApi | None = None

    @property
    def calendar(self) -> Calendar:
        return self.venue.calendar


class DatabaseAudit:
    """One audit of one span of time."""

    def __init__(
        self,
        ends: AuditEnds,
        *,
        from_ms: int | None,
        to_ms: int,
        now_ms: int,
        retention: Retention,
        retrying: Retrying,
        tell: Callable[[str, int], None],
    ) -> None:
        """`from_ms` None: from the first row stored.

        Rows older than the `retention` are passed over, there or not: they are being deleted. `tell` gets a series and
        how many rows of it were read.
        """
        self._ends = ends
        self._from_ms = from_ms
        self._to_ms = to_ms
        self._now_ms = now_ms
        self._closed_ms = now_ms - SETTLING_MS
        self._retention = retention
        self._retrying = retrying
        self._tell = tell

    async def series(self, series: Key) -> SeriesAudit:
        """All checks of one series."""
        gaps = await self._ends.held.gaps(series)
        absent = [gap for gap in gaps if gap.reason == "absent"]
        found = SeriesAudit(series, [], FaultyRows(), RefusedRows(grid_of(series, self._ends.calendar), gaps), absent)
        if series.channel == "trade":
            await self._trades(found)
        else:
            await self._klines(found)
        return found

    async def _klines(self, found: SeriesAudit) -> None:
        key, grid = found.series, KlineGrid(self._ends.calendar, found.series.kline_interval)
        live = self._ends.live
        kept = LiveRows() if live is None else await live.closed_klines(key.symbol, key.kline_interval)
        span = await self._kline_span(key, grid, kept)
        if span is None:
            found.checks.append(Check(key.label, "calendar", note=NOTHING_STORED))
            return
        calendar = await self._against_calendar(found, grid, span)
        found.checks.append(calendar)
        if live is not None:
            found.checks.append(await self._klines_against_live(found, grid, span, kept))
        if self._ends.rest is not None:
            await self._klines_against_exchange(found, grid, span, self._ends.rest)
        if not grid.has_months and not grid.needs_anchor:
            derived = await self._klines_against_trades(found, span)
            if derived.compared:
                found.checks.append(derived)

    async def _kline_span(self, key: Key, grid: KlineGrid, live: LiveRows) -> Reach | None:
        """First open time, and the one after the last that is to be there."""
        stored = await self._ends.held.span(key.symbol, key.kline_interval)
        known = [] if stored is None else [stored[0]]
        # Of a series without a row all that was asked for, or is in the live store, is missing.
        anchor_ms = min(known or live.klines, default=None)
        if anchor_ms is None and self._from_ms is not None:
            anchor_ms = await self._anchor(key, self._from_ms) if grid.needs_anchor else 0
        if anchor_ms is None:
            return None
        begin_ms = self._retention.begin_ms("kline", anchor_ms if self._from_ms is None else self._from_ms)
        first_ms = grid.first_open(begin_ms, anchor_ms)
        return first_ms, grid.end_of_closed(first_ms, self._to_ms, self._closed_ms)

    async def _anchor(self, key: Key, from_ms: int) -> int | None:
        """When some kline opens, where that is not the same for all symbols."""
        call = partial(self._ends.bounds.open_time, key.symbol, key.kline_interval, from_ms, self._now_ms)
        return await self._retrying.ask(key.label, call)

    async def _against_calendar(self, found: SeriesAudit, grid: KlineGrid, span: Reach) -> Check:
        symbol, interval, held = found.series.symbol, found.series.kline_interval, self._ends.held
        check = Check(found.series.label, "calendar")
        for first_ms, until_ms in grid.parts(*span, STEPS_AT_ONCE):
            stored = await held.open_times(symbol, interval, first_ms, until_ms)
            check.doubled += len(stored) - len(set(stored))
            check.compared += len(set(stored))
            holes = await held.kline_holes(
                symbol, interval, first_ms, until_ms, self._ends.calendar, with_absent=True
            )  # fmt: skip
            for first, last in without_explained(check, grid, holes, found.absent, found.refused):
                check.missing += grid.span(first, grid.following(last))[1]
                check.example(f"{open_time_text(first)} to {open_time_text(last)} is missing")
                found.faults.ranges.append((first, last))
            self._tell(found.series.label, check.compared)
        return check

    async def _klines_against_live(self, found: SeriesAudit, grid: KlineGrid, span: Reach, live: LiveRows) -> Check:
        key = found.series
        check = check_of_live(key.label, live)
        theirs = {number: row for number, row in live.klines.items() if span[0] <= number < span[1]}
        if not theirs:
            check.note = "it keeps none of this time"
            return check
        # What it built and the exchange proved not to have was taken out of the database.
        theirs = {
            number: row
            for number, row in theirs.items()
            if not (is_empty(row) and any(gap.first <= number <= gap.last for gap in found.absent))
        }
        if not theirs:
            return check
        ours = await self._ours(key, min(theirs), max(theirs) + 1)
        # The live store declares what it could not have; the database may have got it from REST.
        compare(check, found.faults, ours, theirs, same=same_kline, passed_over=ours.keys(), refused=found.refused)
        check.note = await self._seam(key, grid, min(theirs), span)
        return check

    async def _seam(self, key: Key, grid: KlineGrid, first_live_ms: int, span: Reach) -> str:
        """How history and live feed meet; a hole there is told by the calendar too."""
        before_ms = grid.back(first_live_ms)
        if before_ms < span[0]:
            return "no history before it"
        first_ms, until_ms = grid.first_open(before_ms, first_live_ms), grid.following(first_live_ms)
        holes = await self._ends.held.kline_holes(
            key.symbol, key.kline_interval, first_ms, until_ms, self._ends.calendar
        )
        meets = "without a seam" if not holes else "with a hole"
        return f"history and live meet {meets} at {open_time_text(first_live_ms)}"

    async def _klines_against_exchange(self, found: SeriesAudit, grid: KlineGrid, span: Reach, rest: KlinesApi) -> None:
        key = found.series
        check, doubts, absent = Check(key.label, "exchange"), Doubts(), AbsentRows(grid)
        holes = found.left_to_exchange()
        position, end_ms = span
        # With the row before the first one what is missing there is proven too.
        asked_ms = grid.back(position)
        before_ms: int | None = None
        while position < end_ms:
            call = partial(self._exchanges_klines, rest, key, asked_ms, end_ms - 1, doubts)
            page, rows, odd, told_ms = await self._retrying.ask(key.label, call)
            # A full answer speaks for its own time, another one for all that was asked for.
            until_ms = end_ms if told_ms is None else grid.following(told_ms)
            ours = await self._ours(key, position, until_ms)
            told = by_open(rows)
            theirs = {number: row for number, row in told.items() if number >= position}
            untold: Collection[int] = ()
            if page.klines and page.proven_from_ms > asked_ms:
                # Of what lies before its first row it says nothing.
                absent.begin_anew()
                before_ms = None
                untold = [number for number in ours if number < page.proven_from_ms]
                check.note = f"its answers begin at {open_time_text(page.proven_from_ms)}" if untold else check.note
            if not page.tells_quiet:
                # What it leaves out agrees with what has no trades.
                untold = [*untold, *(number for number, row in ours.items() if is_empty(row))]
            compare(
                check, found.faults, ours, theirs, same=same_kline, passed_over=untold, refused=found.refused
            )  # fmt: skip
            if page.tells_quiet:
                places = places_of(self._ends.calendar, odd, rows, position)
                absent.take(sorted([*told, *places]), self._closed_ms - SETTLED_MS)
            if rows and page.tells_quiet:
                # Of what lies between two rows it has none, whatever ids tell.
                first_ms = rows[0].open_ms if before_ms is None else before_ms
                settled_ms = min(rows[-1].open_ms, self._closed_ms - SETTLED_MS)
                found.unfounded += [
                    number
                    for number, row in ours.items()
                    if first_ms < number < settled_ms and number not in theirs and is_empty(row)
                ]
                before_ms = rows[-1].open_ms
            self._tell(key.label, check.compared)
            # The last row again: with it the next answer proves what lies between.
            position, asked_ms = until_ms, until_ms if told_ms is None else told_ms
        found.proven = absent.settle(found.checks[0], check, found.faults, holes)
        found.checks.append(check)

    async def _exchanges_klines(
        self, rest: KlinesApi, key: Key, first_ms: int, last_ms: int, doubts: Doubts
    ) -> tuple[KlinePage, Sequence[Kline], Sequence[Kline], int | None]:
        """An answer: its whole ones, others, and up to which open time it tells where it is full."""
        page = await rest.klines(key.symbol, key.kline_interval, first_ms, last_ms)
        whole, odd = parted(self._ends.calendar, page.klines, first_ms)
        doubts.settle(faults_of_klines(whole))
        to_ms = page.told_to_ms(self._ends.venue.reach.klines_per_answer)
        told_ms = None if to_ms is None else place_ms(self._ends.calendar, key.kline_interval, to_ms, first_ms)
        return page, whole, odd, told_ms

    async def _klines_against_trades(self, found: SeriesAudit, span: Reach) -> Check:
        symbol, check = found.series.symbol, Check(found.series.label, "own trades")
        maker = StoredSums(found.series, self._ends.calendar)
        ids = await self._ends.held.trade_span(symbol)
        position = 0 if ids is None else ids[0]
        while ids is not None and position <= ids[1]:
            trades = await self._ends.held.trades_by_id(symbol, position, ids[1], ROWS_PER_READ)
            made = {each.open_ms: each for each in maker.take(trades) if span[0] <= each.open_ms < span[1]}
            await self._compare_made(check, found, made)
            position = trades[-1].trade_id + 1 if trades else ids[1] + 1
        return check

    async def _compare_made(self, check: Check, found: SeriesAudit, made: dict[int, Kline]) -> None:
        if not made:
            return
        ours = await self._ours(found.series, min(made), max(made) + 1)
        # What is missing is told by the calendar.
        stored = {number: row for number, row in made.items() if number in ours}
        quiet = [number for number, row in stored.items() if not row.trades]
        for number in quiet:
            mine = ours[number]
            stored[number] = mine if not mine.trades and float(mine.volume) == 0 else stored[number]
        compare(check, found.faults, ours, stored, same=same_prices, passed_over=ours.keys())

    async def _ours(self, key: Key, from_ms: int, to_ms: int) -> dict[int, Kline]:
        rows: dict[int, Kline] = {}
        while from_ms < to_ms:
            page = await self._ends.held.klines(key.symbol, key.kline_interval, from_ms, to_ms, ROWS_PER_READ)
            rows.update(by_open(page))
            if len(page) < ROWS_PER_READ:
                break
            from_ms = page[-1].open_ms + 1
        return rows

    async def _trades(self, found: SeriesAudit) -> None:
        series, live = found.series, self._ends.live
        *older, newest = await self._ends.held.epochs(series.symbol)
        kept = LiveRows(epoch=newest) if live is None else await live.kept_trades(series.symbol)
        note = f"epoch {newest} alone: the exchange has no older one any more" if older else ""
        calendar = Check(series.label, "calendar", note=note)
        ids = await self._trade_ids(calendar, series.symbol, kept if kept.epoch == newest else LiveRows())
        found.checks.append(calendar)
        if ids is None:
            calendar.note = NOTHING_STORED
        else:
            await self._trades_of(found, ids)
        if live is not None:
            found.checks.append(await self._trades_against_live(found, ids, kept, newest))
        if ids is not None and self._ends.rest is not None:
            await self._trades_against_exchange(found, ids, self._ends.rest)

    async def _trades_of(self, found: SeriesAudit, ids: Reach) -> None:
        """Against the calendar."""
        (calendar,) = found.checks
        holes = await self._ends.held.trade_holes(found.series.symbol, *ids, with_absent=True)
        for first, last in without_explained(calendar, IdGrid(), holes, found.absent, found.refused):
            calendar.missing += last - first + 1
            calendar.example(f"trades {first} to {last} are missing")
            found.faults.ranges.append((first, last))
        calendar.compared = ids[1] - ids[0] + 1 - calendar.missing - calendar.refused - calendar.absent

    async def _trade_ids(self, calendar: Check, symbol: str, live: LiveRows) -> Reach | None:
        """First and last id that are to be there: from the first row, or the time asked for, to the newest settled."""
        begin_ms = self._retention.begin_ms("trade", self._from_ms or 0)
        until_ms = min(self._to_ms, self._now_ms - TRADES_SETTLING_MS)
        stored = await self._ends.held.trades(symbol, begin_ms, self._to_ms, 1)
        kept = [row for row in live.trades.values() if begin_ms <= row.time_ms < until_ms]
        ids = [row.trade_id for row in (*stored, *kept)]
        if stored:
            ids += await self._last_stored_id(symbol)
        if self._from_ms is None:
            if not ids:
                return None
            begin_ms = (stored or kept)[0].time_ms
        call = partial(self._ends.bounds.trade_ids, symbol, begin_ms, until_ms, self._now_ms)
        try:
            told = await self._retrying.ask(f"{symbol} trades", call) or ()
        except VenueRefused as error:
            told, calendar.note = (), f"up to the newest trade that is known here: {error}"
        first = ids[0] if self._from_ms is None else min((*ids, *told), default=0)
        return (first, max((*ids, *told))) if ids or told else None

    async def _last_stored_id(self, symbol: str) -> Sequence[int]:
        """Of the trades of the time; none where they have gone meanwhile."""
        after = await self._ends.held.trades(symbol, self._to_ms, LATEST_MS, 1)
        stored = await self._ends.held.trade_span(symbol) or ()
        return [after[0].trade_id - 1] if after else stored[1:]

    async def _trades_against_live(self, found: SeriesAudit, ids: Reach | None, live: LiveRows, epoch: int) -> Check:
        series = found.series
        check = check_of_live(series.label, live)
        if live.epoch > epoch:
            check.missing = len(live.trades)
            check.example(f"nothing of epoch {live.epoch} is there, which `trades:` is in")
            return check
        begin, end = (0, -1) if ids is None or live.epoch < epoch else ids
        theirs = {number: row for number, row in live.trades.items() if begin <= number <= end}
        for first in range(min(theirs, default=0), max(theirs, default=-1) + 1, ROWS_PER_READ):
            last = first + ROWS_PER_READ - 1
            ours = by_id(await self._ends.held.trades_by_id(series.symbol, first, last, ROWS_PER_READ))
            part = {number: row for number, row in theirs.items() if first <= number <= last}
            compare(check, found.faults, ours, part, same=same_trade, passed_over=ours.keys(), refused=found.refused)
        return check

    async def _trades_against_exchange(self, found: SeriesAudit, ids: Reach, rest: TradesApi) -> None:
        series = found.series
        check, doubts, absent = Check(series.label, "exchange"), Doubts(), AbsentRows(IdGrid())
        holes = found.left_to_exchange()
        position = ids[0]
        near: Sequence[Trade] = await self._ends.held.trades_by_id(series.symbol, position, position, 1)
        while position <= ids[1]:
            call = partial(_exchanges_trades, rest, series.symbol, position, near, doubts)
            page = await self._retrying.ask(series.label, call)
            near = page[-1:]
            rows = [row for row in page if row.trade_id <= ids[1]]
            last = rows[-1].trade_id if rows else ids[1]
            ours = by_id(await self._ends.held.trades_by_id(series.symbol, position, last, last - position + 1))
            theirs = by_id(rows)
            compare(check, found.faults, ours, theirs, same=same_trade, refused=found.refused)
            found.faults.leave_others(ours, theirs)
            absent.take((row.trade_id for row in page), LARGEST_INTEGER)
            self._tell(series.label, check.compared)
            position = last + 1
        found.proven = absent.settle(found.checks[0], check, found.faults, holes)
        found.checks.append(check)


async def _exchanges_trades(
    rest: TradesApi, symbol: str, from_id: int, near: Sequence[Trade], doubts: Doubts
) -> Sequence[Trade]:
    """`near`: the trade that is asked about, or the one before, if it is known."""
    rows = (await rest.trades(symbol, from_id, near=TradePlace.of(near[0]) if near else None)).trades
    doubts.settle(faults_of_trades(rows))
    return rows
