"""A backfill as a whole: what is missing, from where it comes, and what became of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from data_collector.history.backfill import Backfill
from data_collector.history.bounds import FileBounds, RestBounds, demand_same_life
from data_collector.history.built.built_feed import BuiltKlineFeed, in_order_of_making
from data_collector.history.events import Ended, Outcome, Planned, SeriesEnded, SeriesPlanned, Tell
from data_collector.history.feeds import KlineFeed, TradeFeed
from data_collector.history.files import FileFill
from data_collector.history.plan import Plan, SeriesPlan, calls_of, plan_series
from data_collector.history.ports import Bounds, Ends, SeriesFeed
from data_collector.history.retrying import Retrying, Stopping
from data_collector.model.errors import RowsRefused, Unavailable, VenueRefused
from data_collector.model.grid import Grid, disjoint, without
from data_collector.model.keys import Key

Source = Literal["rest", "dumps", "auto"]

WORST: tuple[Outcome, ...] = ("complete", "stopped", "incomplete", "failed")
"""From best to worst."""


class TimeSpan(Struct, frozen=True):
    """What of each series is wanted: times in ms, the end excluded."""

    from_ms: int
    to_ms: int
    now_ms: int
    """The exchange's clock."""


class Filling:
    """Plans and runs once."""

    def __init__(
        self,
        ends: Ends,
        series: Sequence[Key],
        span: TimeSpan,
        *,
        source: Source = "rest",
        again: bool = False,
        tell: Tell,
        stopping: Stopping,
        give_up_s: float,
    ) -> None:
        """`again`: ask for what was refused too."""
        assert source == "rest" or ends.files is not None, "checked by whoever offers the choice"
        assert source == "dumps" or not ends.files_alone, "the same"
        self._ends = ends
        self._span = span
        self._source: Source = source
        self._again = again
        self._tell = tell
        self._stopping = stopping
        self._retrying = Retrying(give_up_s, stopping, tell)
        self._rest_bounds = RestBounds(ends.rest, ends.calendar)
        self._file_bounds = None if ends.files is None else FileBounds(ends.files, ends.calendar)
        self._builds = ends.venue.klines == "built"
        ordered = in_order_of_making(series) if self._builds else series
        self._feeds: dict[Key, SeriesFeed] = {each: self._feed(each, ordered) for each in ordered}

    async def plan(self) -> Plan:
        """What the database lacks. Raises `Unavailable` when exchange or database are out of reach for too long."""
        plans: list[SeriesPlan] = []
        for series in self._feeds:
            try:
                plans.append(await self._plan_of(series, again=self._again))
            except RowsRefused as error:
                plans.append(SeriesPlan(series, refusal=str(error)))
        return Plan(tuple(plans))

    def grid(self, series: Key) -> Grid:
        """How a series is numbered."""
        return self._feeds[series].grid

    async def plan_for(self, series: Key, ranges: Sequence[tuple[int, int]]) -> SeriesPlan:
        """Ask for these numbers, whether the database has them or not."""
        if ranges:
            try:
                await self._demand_same_life(series)
            except RowsRefused as error:
                return SeriesPlan(series, refusal=str(error))
        return await self._planned(series, ranges)

    def planned(self, plan: Plan) -> Planned:
        """The plan for people and programs."""
        rest = self._ends.rest
        rows = tuple(SeriesPlanned(each.series.label, each.rows, each.requests, each.weight) for each in plan.series)
        seconds = plan.seconds(rest.background_weight_per_minute, rest.weight_used)
        return Planned(rows, plan.rows, plan.requests, plan.weight, seconds, self._source)

    async def run(self, plan: Plan) -> Ended:
        """Fill the holes. Every series is told when it ends; returns the sum of all."""
        began = time.monotonic()
        reports = {each.series: SeriesEnded(each.series.label, each.rows) for each in plan.series}
        for each in plan.series:
            if each.refusal is not None:
                reports[each.series].outcome, reports[each.series].reason = "failed", each.refusal
                self._tell(reports[each.series])
        plan = Plan(tuple(each for each in plan.series if each.refusal is None))
        if self._source != "rest":
            plan = await self._from_files(plan, reports)
        if self._source != "dumps":
            backfill = Backfill(self._feeds, self._retrying, self._stopping, self._tell, in_turn=self._builds)
            await backfill.run(plan, reports)
        return summary_of(list(reports.values()), time.monotonic() - began)

    async def _from_files(self, plan: Plan, reports: dict[Key, SeriesEnded]) -> Plan:
        """Take what files have; returns what is left. A series that failed has nothing left for REST."""
        left: list[SeriesPlan] = []
        for each in plan.series:
            report = reports[each.series]
            try:
                remaining = await self._series_from_files(each, report)
            except (RowsRefused, Unavailable, VenueRefused) as error:
                report.outcome, report.reason = "failed", str(error)
                self._tell(report)
                continue
            if self._source == "dumps":
                self._end_without_rest(report)
            else:
                left.append(remaining)
        return Plan(tuple(left))

    async def _series_from_files(self, plan: SeriesPlan, report: SeriesEnded) -> SeriesPlan:
        if not plan.stretches:
            return plan
        fill = FileFill(
            plan.series.symbol, self._ends, self._retrying, self._stopping, self._tell,
            all_holes=self._source == "dumps",
        )  # fmt: skip
        await fill.fill(plan, self._feeds[plan.series].grid, self._span.from_ms, self._span.to_ms, report)
        remaining = plan
        if not self._stopping.requested:
            remaining = await self._plan_of(plan.series, again=self._again and self._source == "auto")
        if self._source == "auto":
            # REST may have it right, and is asked once.
            report.refused, report.refused_by, report.odd = 0, {}, 0
        settled = report.added + report.changed + report.absent + report.refused
        report.known = max(0, report.rows - remaining.rows - settled)
        if self._source == "dumps":
            report.unproven = remaining.rows
        return remaining

    def _end_without_rest(self, report: SeriesEnded) -> None:
        if self._stopping.requested and report.unproven:
            report.outcome = "stopped"
        elif report.unproven:
            report.outcome, report.reason = "incomplete", "not in the published files"
        self._tell(report)

    async def _plan_of(self, series: Key, *, again: bool) -> SeriesPlan:
        feed, span = self._feeds[series], self._span
        await self._demand_same_life(series)
        missing = await self._retrying.ask(series.label, lambda: feed.missing(span.from_ms, span.to_ms, span.now_ms))
        if not again:
            sources = ("rest", "file") if self._source == "dumps" else ("rest", "built") if self._builds else ("rest",)
            refused = await self._retrying.ask(series.label, lambda: self._ends.held.refused(series, sources))
            missing = without(feed.grid, missing, disjoint(feed.grid, refused))
        return await self._planned(series, missing)

    async def _planned(self, series: Key, missing: Sequence[tuple[int, int]]) -> SeriesPlan:
        feed, calls = self._feeds[series], calls_of(series, self._ends.venue)
        plan = plan_series(series, missing, feed.grid, calls)
        count, given = await self._retrying.ask(series.label, lambda: feed.by_trades(missing))
        if not count and given == missing:
            return plan
        asked = plan_series(series, given, feed.grid, calls).requests
        return plan.costs((asked, calls), (count, calls_of(Key("trade", series.symbol), self._ends.venue)))

    async def _demand_same_life(self, series: Key) -> None:
        ends, symbol = self._ends, series.symbol
        if series.channel == "trade" and symbol not in ends.files_alone:
            await self._retrying.ask(series.label, lambda: demand_same_life(symbol, ends.held, ends.rest))

    def _feed(self, series: Key, every: Sequence[Key]) -> SeriesFeed:
        bounds: Bounds = self._rest_bounds
        if self._file_bounds is not None and series.symbol in self._ends.files_alone:
            bounds = self._file_bounds
        if series.channel == "trade":
            return TradeFeed(series, self._ends, bounds)
        if self._builds:
            return BuiltKlineFeed(series, self._ends, bounds, self._span.now_ms, every)
        return KlineFeed(series, self._ends, bounds, self._span.now_ms)


def summary_of(reports: Sequence[SeriesEnded], seconds: float) -> Ended:
    """All series together."""
    return Ended(
        outcome=max((each.outcome for each in reports), key=WORST.index, default="complete"),
        series=len(reports),
        added=sum(each.added for each in reports),
        changed=sum(each.changed for each in reports),
        absent=sum(each.absent for each in reports),
        odd=sum(each.odd for each in reports),
        unproven=sum(each.unproven for each in reports),
        failed=sum(each.outcome == "failed" for each in reports),
        seconds=round(seconds, 3),
        reports=tuple(reports),
        refused=sum(each.refused for each in reports),
        refused_by=dict(sum((Counter(each.refused_by) for each in reports), Counter[str]())),
    )
