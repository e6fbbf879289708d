"""Fills what the database lacks, series side by side, each answer of the exchange as one chunk.

There is no state file: a chunk that is committed is progress, and whoever plans again from what the database holds
goes on where a killed one was. All calls share the request weight of the address with the live collector, which has
the larger half (`rest.budget`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct

from data_collector.history.events import SeriesEnded, Tell
from data_collector.history.odd_candles import OddCandles
from data_collector.history.plan import Plan, SeriesPlan, Stretch
from data_collector.history.ports import AnsweredRows, SeriesFeed
from data_collector.history.retrying import Found, Retrying, Stopping
from data_collector.model.errors import RowsRefused, Unavailable, VenueRefused
from data_collector.model.grid import Grid
from data_collector.model.keys import Key

SERIES_AT_ONCE = 4
"""Two calls are under way at a time, while others write."""

LOOK_BACK = 900
"""How many numbers before a hole are asked for to find the one that comes before it: with it, one answer holds both."""


Range = tuple[int, int]
"""Closed."""


class Backfill:
    """Runs a plan once."""

    def __init__(
        self, feeds: Mapping[Key, SeriesFeed], retrying: Retrying, stopping: Stopping, tell: Tell, *, in_turn: bool
    ) -> None:
        """`in_turn`: series of one symbol are made of each other, and filled one after the other."""
        self._in_turn = in_turn
        self._feeds = feeds
        self._retrying = retrying
        self._stopping = stopping
        self._tell = tell

    async def run(self, plan: Plan, reports: Mapping[Key, SeriesEnded]) -> None:
        """Fill series after series; what becomes of each is added to its report. Raises `Misconfigured` alone."""
        together: dict[str | Key, list[tuple[SeriesPlan, SeriesEnded]]] = {}
        for each in plan.series:
            of = each.series.symbol if self._in_turn else each.series
            together.setdefault(of, []).append((each, reports[each.series]))
        waiting = list(reversed(together.values()))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(SERIES_AT_ONCE):
                tasks.create_task(self._fill_all(waiting))
        for series in plan.series:
            if reports[series.series].outcome == "stopped":
                self._tell(reports[series.series])

    async def _fill_all(self, waiting: list[list[tuple[SeriesPlan, SeriesEnded]]]) -> None:
        while waiting:
            for series, report in waiting.pop():
                # Until it is filled: a task that is let go half way ends without a word.
                report.outcome = "stopped"
                if not (self._stopping.requested and series.stretches):
                    await self._fill_series(series, report)

    async def _fill_series(self, plan: SeriesPlan, report: SeriesEnded) -> None:
        feed = self._feeds[plan.series]
        at_work = _SeriesFill(feed, report, self._retrying, self._tell, self._stopping)
        try:
            for stretch in plan.stretches:
                await at_work.fill(stretch)
        except (RowsRefused, Unavailable, VenueRefused) as error:
            report.outcome, report.reason = "failed", str(error)
        else:
            if self._stopping.requested and report.done < report.rows:
                return
            report.outcome = "incomplete" if report.unproven or report.files_refused else "complete"
        self._tell(report)


class _SeriesFill:
    """One series at work."""

    def __init__(
        self, feed: SeriesFeed, report: SeriesEnded, retrying: Retrying, tell: Tell, stopping: Stopping
    ) -> None:
        self._feed = feed
        self._report = report
        self._retrying = retrying
        self._tell = tell
        self._stopping = stopping
        self._odd = OddCandles(report, tell, "rest")

    async def fill(self, stretch: Stretch) -> None:
        """Ask, store and record until the stretch is done, or we are to stop."""
        grid = self._feed.grid
        # One beyond, so that the last hole has a right side.
        after = grid.following(stretch.last)
        position: int | None = stretch.first
        beyond = False
        while position is not None and not self._stopping.requested:
            answer = await self._fetch(grid.back(position), self._feed.newest() if beyond else after)
            page = self._read(answer, position, stretch.last)
            self._odd.note([kline for place, kline in answer.odd.items() if place >= position and stretch.wants(place)])
            await self._store(answer, stretch, position)
            await self._note(page, stretch, answer)
            if page.tail is None:
                position, beyond = page.next_number, False
            elif beyond and page.tail[0] == position:
                # Nothing follows anywhere, as far as the exchange tells.
                await self._note_missing(stretch, page.tail, proven=False)
                position = None
            else:
                # The answer ended early. Whatever comes next, however late, shows what is missing before it.
                position, beyond = page.tail[0], True
            self._tell(self._report.progress())

    async def _store(self, answer: AnsweredRows, stretch: Stretch, position: int) -> None:
        # What lies before the position was stored with the answer before.
        called = await self._write(lambda: answer.store(lambda number: number >= position and stretch.wants(number)))
        for stored in called:
            self._report.take(stored)

    async def _note(self, page: CheckedPage, stretch: Stretch, answer: AnsweredRows) -> None:
        for missing in page.absent:
            await self._note_missing(stretch, missing, proven=answer.proves(missing))
        if page.lead is not None:
            await self._note_missing(stretch, page.lead, proven=await self._lead_is_absent(page.lead, answer))

    def _read(self, answer: AnsweredRows, position: int, last: int) -> CheckedPage:
        return read_page(self._feed.grid, position, last, answer.numbers, full=answer.is_full)

    async def _note_missing(self, stretch: Stretch, missing: Range, *, proven: bool) -> None:
        ranges = stretch.overlap(*missing)
        grid = self._feed.grid
        count = sum(grid.span(first, grid.following(last))[1] for first, last in ranges)
        if not ranges:
            return
        if not proven or not self._feed.is_settled(ranges[-1][1]):
            self._report.unproven += count
            return
        await self._write(lambda: self._feed.put_absent(ranges))
        self._report.absent += count

    async def _lead_is_absent(self, lead: Range, answer: AnsweredRows) -> bool:
        """The answer begins behind the hole: was nothing before that ever, or is there a row before the hole?"""
        if answer.proves(lead):
            return True
        first_there = next(number for number in answer.numbers if number > lead[1])
        first_ever = await self._ask(self._feed.first_ever)
        if first_ever is not None and lead[1] < first_ever:
            return True
        wider = await self._fetch(self._feed.grid.back(lead[0], LOOK_BACK), first_there)
        if wider.proves(lead) and _holds_both_sides(self._read(wider, lead[0], lead[1]), lead):
            return True
        self._report.reason = self._feed.unproven_before(first_there)
        return False

    async def _fetch(self, first: int, last: int) -> AnsweredRows:
        return await self._ask(lambda: self._feed.fetch(first, last))

    async def _ask(self, call: Callable[[], Awaitable[Found]]) -> Found:
        return await self._retrying.ask(self._report.series, call)

    async def _write(self, call: Callable[[], Awaitable[Found]]) -> Found:
        return await self._retrying.write(self._report.series, call)


def _holds_both_sides(page: CheckedPage, missing: Range) -> bool:
    return page.lead is None and page.tail is None and missing in page.absent


class CheckedPage(Struct, frozen=True):
    """An answer, held against the numbers that were to be told about."""

    absent: tuple[Range, ...] = ()
    """It holds both sides and nothing between."""
    lead: Range | None = None
    """Missing before its first row, and the row before that is not in it: unproven."""
    tail: Range | None = None
    """Missing after its last row, and nothing that follows is in it: unproven."""
    next_number: int | None = None
    """Where to ask on; None when it told about all."""


def read_page(grid: Grid, position: int, last: int, numbers: Sequence[int], *, full: bool) -> CheckedPage:
    """What `numbers` (rising, an answer's own) tell about `position` to `last`; `full`: more may follow."""
    until = grid.following(last)
    absent: list[Range] = []
    lead: Range | None = None
    expected = position
    for index, number in enumerate(numbers):
        if number > expected and expected < until:
            missing = (expected, grid.span(expected, min(number, until))[0])
            if index == 0:
                lead = missing
            else:
                absent.append(missing)
        if number >= expected:
            expected = grid.following(number)
    if expected >= until:
        return CheckedPage(tuple(absent), lead)
    if full:
        return CheckedPage(tuple(absent), lead, next_number=expected)
    return CheckedPage(tuple(absent), lead, tail=(expected, last))
