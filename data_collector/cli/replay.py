"""Goes through `quarantine:` and moves out of it what the rules in force now let pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from msgspec import Struct, field

from data_collector.model.keys import UNKNOWN
from data_collector.settings import Settings
from data_collector.sinks.redis.entries import StreamEntry
from data_collector.sinks.redis.quarantine import KlineKey, Outcome, QuarantineStreams, Release
from data_collector.validation.gate.compiler import CompiledSuite
from data_collector.validation.gate.retrial import Passing, StillRefused, Unfit, Unfitness, judge_anew, refused_for
from data_collector.validation.rules.columns import Kind


class SortedCount(Struct):
    """How many, and how many of each sort; an entry may be of several sorts."""

    count: int = 0
    by: dict[str, int] = field(default_factory=dict)

    def add(self, *sorts: str) -> None:
        """One more."""
        self.count += 1
        for sort in sorts:
            self.by[sort] = self.by.get(sort, 0) + 1


class SymbolReport(Struct):
    """What became of the entries of one `quarantine:` stream."""

    symbol: str
    read: int = 0
    replayed: SortedCount = field(default_factory=SortedCount)
    """By what happened: none in a dry run."""
    still_refused: SortedCount = field(default_factory=SortedCount)
    """By rule."""
    not_replayable: SortedCount = field(default_factory=SortedCount)
    """By reason."""
    passed_over: int = 0
    """Refused for other rules than the one asked for."""
    gone: int = 0
    """Moved by another replay, or trimmed, since they were read."""

    def note(self, outcome: Outcome | Unfitness | Literal["unknown_symbol"]) -> None:
        """What became of an entry that is not refused."""
        match outcome:
            case "gone":
                self.gone += 1
            case "late" | "newer_kept" | "known" | "open_key" | "superseded":
                self.replayed.add(outcome)
            case _:
                self.not_replayable.add(outcome)


class Replay(Struct, frozen=True):
    """What is asked for."""

    suites: Mapping[Kind, CompiledSuite]
    settings: Settings
    rule: str | None
    """Only what was refused for it."""
    is_dry: bool
    """Nothing is written."""
    tell: Callable[[SymbolReport], None]
    """Called after each page."""

    async def run(self, streams: QuarantineStreams, symbols: Sequence[str]) -> list[SymbolReport]:
        """Go through all streams. Raises `Misconfigured` or `SinkUnavailable`."""
        if not self.is_dry:
            await streams.prepare()
        return [await self._replay_symbol(streams, symbol) for symbol in symbols]

    async def _replay_symbol(self, streams: QuarantineStreams, symbol: str) -> SymbolReport:
        report = SymbolReport(symbol)
        async for page in streams.pages(symbol):
            releases = [found for entry in page if (found := self._judge(report, entry)) is not None]
            if self.is_dry:
                report.replayed.count += len(releases)
            else:
                for outcome in await streams.release(symbol, releases):
                    report.note(outcome)
            report.read += len(page)
            self.tell(report)
        return report

    def _judge(self, report: SymbolReport, entry: StreamEntry) -> Release | None:
        if self.rule is not None and self.rule not in refused_for(entry.fields):
            report.passed_over += 1
            return None
        if report.symbol == UNKNOWN:
            report.note("unknown_symbol")
            return None
        match judge_anew(report.symbol, entry.fields, self.suites, pardoned=self.rule):
            case Unfit(reason):
                report.note(reason)
            case StillRefused(rules):
                report.still_refused.add(*rules)
            case Passing() as passing:
                return self._release(entry, passing)
        return None

    def _release(self, entry: StreamEntry, passing: Passing) -> Release:
        kline = None
        if passing.is_kline:
            record = passing.record
            interval = str(record["interval"])
            kline = KlineKey(
                interval, str(record["timestamp"]), bool(record["is_closed"]), self.settings.kline_ttl_s(interval)
            )
        return Release(entry.id, passing.warnings, kline)
