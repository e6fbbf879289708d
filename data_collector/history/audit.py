"""Whether the database holds what it should: against the calendar, the live store, the exchange, and its own trades."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from msgspec import Struct, field

from data_collector.history.comparison import (
    AbsentRows,
    Check,
    FaultyRows,
    KlineMaker,
    RefusedRows,
    by_id,
    by_open,
    compare,
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
from data_collector.history.plan import ROWS_PER_CALL
from data_collector.history.ports import Holdings, StoredRows
from data_collector.history.retention import Retention
from data_collector.history.retrying import Retrying
from data_collector.model.calendar import LATEST_MS, Calendar, place_ms
from data_collector.model.gaps import Gap
from data_collector.model.grid import IdGrid, KlineGrid, grid_of
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Trade
from data_collector.model.venue import ExchangeApi, KlinesApi, TradesApi
from data_collector.model.wire import open_time_text

ROWS_PER_READ = 10_000

Reach = tuple[int, int]
"""First open time and the one after the last; first and last id of trades."""

NOTHING_STORED = "nothing is stored"
"""The note of a check that had nothing to look at: it says ok of nothing."""


class Rows(Holdings, StoredRows, Protocol):
    """What an audit reads of the database."""

    async def open_times(self, symbol: str, interval: str, from_ms: int, to_ms: int) -> list[int]:
        """All of a range, ascending."""

    async def gaps(self, key: Key) -> list[Gap]:
        """What was recorded as missing, and why."""

    async def epochs(self, symbol: str) -> list[int]:
        """Those of a symbol, rising; its trades are read in the newest."""


class LiveRows(Struct):
    """What the live store keeps of one series."""

    klines: Mapping[int, Kline] = field(default_factory=dict)
    trades: Mapping[int, Trade] = field(default_factory=dict)
    doubled: int = 0


class LiveStore(Protocol):
    """The live store. Raises `SinkUnavailable`."""

    async def closed_klines(self, symbol: str, interval: str) -> LiveRows:
        """All closed ones that are kept, in their newest revision."""

    async def kept_trades(self, symbol: str) -> LiveRows:
        """All that are kept."""


class AuditEnds(Struct, frozen=True):
    """Who is asked; what is None is not compared with."""

    held: Rows
    calendar: Calendar
    live: LiveStore | None = None
    rest: ExchangeApi | None = None


class SeriesAudit(Struct):
    """What was found of one series."""

    series: Key
    checks: list[Check]
    faults: FaultyRows
    refused: RefusedRows
    absent: Sequence[Gap]
    """Recorded as what the exchange itself does not have."""
    unfounded: list[int] = field(default_factory=list)
    """Open times of candles without trades that were built, and of which the exchange proves to have none."""
    proven: Sequence[Gap] = ()
    """Neither here nor at the exchange, as it proves, and not recorded yet."""

    @property
    def is_clean(self) -> bool:
        return all(check.is_clean for check in self.checks)


class DatabaseAudit:
    """One audit of one span of time."""

    def __init__(
        self,
        ends: AuditEnds,
        *,
        from_ms: int | None,
        to_ms: int,
        closed_ms: int,
        retention: Retention,
        retrying: Retrying,
        tell: Callable[[str, int], None],
    ) -> None:
        """`from_ms` None: from the first row stored. Klines that ended after `closed_ms` need not be there yet.

        Rows older than the `retention` are passed over, there or not: they are being deleted. `tell` gets a series and
        how many rows of it were read.
        """
        self._ends = ends
        self._from_ms = from_ms
        self._to_ms = to_ms
        self._closed_ms = closed_ms
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
        span = await self._kline_span(key, grid)
        if span is None:
            found.checks.append(Check(key.label, "calendar", note=NOTHING_STORED))
            return
        calendar = await self._against_calendar(found, grid, span)
        found.checks.append(calendar)
        if self._ends.live is not None:
            found.checks.append(await self._klines_against_live(found, grid, span, self._ends.live))
        if self._ends.rest is not None:
            await self._klines_against_exchange(found, grid, span, self._ends.rest)
        if not grid.has_months and not grid.needs_anchor:
            derived = await self._klines_against_trades(found, span)
            if derived.compared:
                found.checks.append(derived)

    async def _kline_span(self, key: Key, grid: KlineGrid) -> Reach | None:
        """First open time, and the one after the last that is to be there."""
        stored = await self._ends.held.span(key.symbol, key.kline_interval)
        if stored is None and (self._from_ms is None or grid.needs_anchor):
            return None
        # Of a series without a row all that was asked for is missing.
        anchor_ms = 0 if stored is None else stored[0]
        begin_ms = self._retention.begin_ms("kline", anchor_ms if self._from_ms is None else self._from_ms)
        first_ms = grid.first_open(begin_ms, anchor_ms)
        return first_ms, grid.end_of_closed(first_ms, self._to_ms, self._closed_ms)

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

    async def _klines_against_live(self, found: SeriesAudit, grid: KlineGrid, span: Reach, live: LiveStore) -> Check:
        key = found.series
        check = Check(key.label, "live store")
        stored = await live.closed_klines(key.symbol, key.kline_interval)
        theirs = {number: row for number, row in stored.klines.items() if span[0] <= number < span[1]}
        check.doubled = stored.doubled
        if not theirs:
            check.note = "it keeps none of this time"
            return check
        # What it built and the exchange proved not to have was taken out of the database.
        theirs = {
            number: row
            for number, row in theirs.items()
            if not (_is_empty(row) and any(gap.first <= number <= gap.last for gap in found.absent))
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
        holes = _left_to_exchange(found)
        position, end_ms = span
        before_ms: int | None = None
        while position < end_ms:
            call = partial(self._exchanges_klines, rest, key, position, end_ms - 1, doubts)
            rows, odd, told_ms = await self._retrying.ask(key.label, call)
            # A full answer speaks for its own time, another one for all that was asked for.
            until_ms = end_ms if told_ms is None else grid.following(told_ms)
            ours = await self._ours(key, position, until_ms)
            theirs = by_open(rows)
            compare(check, found.faults, ours, theirs, same=same_kline, refused=found.refused)
            places = places_of(self._ends.calendar, odd, rows, position)
            absent.take(sorted([*theirs, *places]), self._closed_ms - SETTLED_MS)
            if rows:
                # Of what lies between two rows it has none, whatever ids tell.
                first_ms = rows[0].open_ms if before_ms is None else before_ms
                settled_ms = min(rows[-1].open_ms, self._closed_ms - SETTLED_MS)
                found.unfounded += [
                    number
                    for number, row in ours.items()
                    if first_ms < number < settled_ms and number not in theirs and _is_empty(row)
                ]
                before_ms = rows[-1].open_ms
            self._tell(key.label, check.compared)
            position = until_ms
        found.proven = absent.settle(found.checks[0], check, found.faults, holes)
        found.checks.append(check)

    async def _exchanges_klines(
        self, rest: KlinesApi, key: Key, first_ms: int, last_ms: int, doubts: Doubts
    ) -> tuple[Sequence[Kline], Sequence[Kline], int | None]:
        """Whole ones, others, and up to which open time a full answer tells."""
        rows = await rest.klines(key.symbol, key.kline_interval, first_ms, last_ms)
        whole, odd = parted(self._ends.calendar, rows, first_ms)
        doubts.settle(faults_of_klines(whole))
        if len(rows) < ROWS_PER_CALL:
            return whole, odd, None
        return whole, odd, place_ms(self._ends.calendar, key.kline_interval, rows[-1].open_ms, first_ms)

    async def _klines_against_trades(self, found: SeriesAudit, span: Reach) -> Check:
        symbol, interval = found.series.symbol, found.series.kline_interval
        check = Check(found.series.label, "own trades")
        maker = KlineMaker(symbol, interval, self._ends.calendar.next_open_ms(interval, 0))
        made: dict[int, Kline] = {}
        ids = await self._ends.held.trade_span(symbol)
        position = 0 if ids is None else ids[0]
        while ids is not None and position <= ids[1]:
            trades = await self._ends.held.trades_by_id(symbol, position, ids[1], ROWS_PER_READ)
            for trade in trades:
                made.update((kline.open_ms, kline) for kline in maker.take(trade) if span[0] <= kline.open_ms < span[1])
            await self._compare_made(check, found, made)
            made.clear()
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
        series = found.series
        ids = await self._trade_ids(series.symbol)
        if ids is None:
            found.checks.append(Check(series.label, "calendar", note=NOTHING_STORED))
            return
        *older, newest = await self._ends.held.epochs(series.symbol)
        note = f"epoch {newest} alone: the exchange has no older one any more" if older else ""
        calendar = Check(series.label, "calendar", note=note)
        holes = await self._ends.held.trade_holes(series.symbol, *ids, with_absent=True)
        for first, last in without_explained(calendar, IdGrid(), holes, found.absent, found.refused):
            calendar.missing += last - first + 1
            calendar.example(f"trades {first} to {last} are missing")
            found.faults.ranges.append((first, last))
        calendar.compared = ids[1] - ids[0] + 1 - calendar.missing - calendar.refused - calendar.absent
        found.checks.append(calendar)
        if self._ends.live is not None:
            found.checks.append(await self._trades_against_live(found, ids, self._ends.live))
        if self._ends.rest is not None:
            await self._trades_against_exchange(found, ids, self._ends.rest)

    async def _trade_ids(self, symbol: str) -> Reach | None:
        """First and last id of the stored trades that are to be looked at."""
        stored = await self._ends.held.trade_span(symbol)
        begin_ms = self._retention.begin_ms("trade", self._from_ms or 0)
        if stored is None:
            return None
        first = await self._ends.held.trades(symbol, begin_ms, self._to_ms, 1)
        after = await self._ends.held.trades(symbol, self._to_ms, LATEST_MS, 1)
        if not first:
            return None
        return first[0].trade_id, after[0].trade_id - 1 if after else stored[1]

    async def _trades_against_live(self, found: SeriesAudit, ids: Reach, live: LiveStore) -> Check:
        series = found.series
        check = Check(series.label, "live store")
        stored = await live.kept_trades(series.symbol)
        check.doubled = stored.doubled
        theirs = {number: row for number, row in stored.trades.items() if ids[0] <= number <= ids[1]}
        for first in range(min(theirs, default=0), max(theirs, default=-1) + 1, ROWS_PER_READ):
            last = first + ROWS_PER_READ - 1
            ours = by_id(await self._ends.held.trades_by_id(series.symbol, first, last, ROWS_PER_READ))
            part = {number: row for number, row in theirs.items() if first <= number <= last}
            compare(check, found.faults, ours, part, same=same_trade, passed_over=ours.keys(), refused=found.refused)
        return check

    async def _trades_against_exchange(self, found: SeriesAudit, ids: Reach, rest: TradesApi) -> None:
        series = found.series
        check, doubts, absent = Check(series.label, "exchange"), Doubts(), AbsentRows(IdGrid())
        holes = _left_to_exchange(found)
        position = ids[0]
        while position <= ids[1]:
            call = partial(_exchanges_trades, rest, series.symbol, position, doubts)
            page = await self._retrying.ask(series.label, call)
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


async def _exchanges_trades(rest: TradesApi, symbol: str, from_id: int, doubts: Doubts) -> Sequence[Trade]:
    rows = await rest.trades(symbol, from_id)
    doubts.settle(faults_of_trades(rows))
    return rows


def _left_to_exchange(found: SeriesAudit) -> list[Reach]:
    """What the calendar misses may not exist: the exchange is asked about these."""
    calendar, holes = found.checks[0], found.faults.ranges.copy()
    if calendar.missing:
        calendar.note = f"{calendar.missing:,} are not there, see the exchange"
    calendar.missing = 0
    calendar.examples.clear()
    found.faults.ranges.clear()
    return holes


def _is_empty(kline: Kline) -> bool:
    """Nothing was traded in it."""
    return kline.trades == 0 and float(kline.volume) == 0
