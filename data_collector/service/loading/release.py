"""Goes through what history's quarantine keeps, and stores what the rules in force now let pass.

A row is stored before it is let go, so it does not matter how often this is begun, killed or run beside another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from itertools import groupby

from msgspec import Struct, field

from data_collector.model.calendar import Calendar, is_whole
from data_collector.model.gate import verdict_of_odd
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Source, Trade, known_origin
from data_collector.service.loading.load import Load
from data_collector.sinks.postgres.quarantine import PostgresQuarantine, RefusedRow


class SeriesRelease(Struct):
    """What became of the rows of one series."""

    series: str
    read: int = 0
    released: int = 0
    """Stored now; in a dry run those that would be."""
    known: int = 0
    """Another row is stored in their place already: let go."""
    still_refused: int = 0
    still_refused_by: dict[str, int] = field(default_factory=dict)
    """By rule; a row may break several."""
    unreadable: int = 0
    """No records of ours."""
    passed_over: int = 0
    """Refused for other rules than the one asked for."""


class Release(Struct, frozen=True):
    """What is asked for."""

    load: Load
    quarantine: PostgresQuarantine
    calendar: Calendar
    rule: str | None
    """Only what was refused for it."""
    is_dry: bool
    """Nothing is written."""

    async def run(self, symbols: Sequence[str]) -> list[SeriesRelease]:
        """Go through these, or through all if none is named. Raises `SinkUnavailable`, `Misconfigured`."""
        reports: dict[Key, SeriesRelease] = {}
        async for rows in self._runs(symbols or await self.quarantine.symbols()):
            key = rows[0].key
            await self._release(rows, reports.setdefault(key, SeriesRelease(key.label)))
        return list(reports.values())

    async def _runs(self, symbols: Sequence[str]) -> AsyncIterator[list[RefusedRow]]:
        """Rows of one series, epoch and source, in their order."""
        async for page in self.quarantine.pages(symbols):
            for _, rows in groupby(page, key=lambda row: (row.key, row.epoch, row.source)):
                yield list(rows)

    async def _release(self, rows: Sequence[RefusedRow], report: SeriesRelease) -> None:
        key, epoch, source = rows[0].key, rows[0].epoch, known_origin(rows[0].source, ()).source
        report.read += len(rows)
        asked = [row for row in rows if self.rule is None or self.rule in row.rules]
        report.passed_over += len(rows) - len(asked)
        outdated = await self.quarantine.outdated(key, [row.number for row in asked], epoch=epoch)
        report.known += len(outdated)
        passing = [row.record for row in asked if row.number not in outdated and self._passes(row, source, report)]
        if self.is_dry or source is None:
            report.released += len(passing)
            return
        await self.quarantine.settle(key, sorted(outdated), epoch=epoch)
        klines = [record for record in passing if isinstance(record, Kline)]
        trades = [record for record in passing if isinstance(record, Trade)]
        # What another replay stored meanwhile is its own to count.
        for stored in (
            await self.load.rows.put_klines(klines, source=source),
            await self.load.rows.put_trades(trades, source=source, epoch=epoch),
        ):
            report.released += stored.added + stored.changed
            report.known += stored.known

    def _passes(self, row: RefusedRow, source: Source | None, report: SeriesRelease) -> bool:
        record = row.record
        if record is None or source is None:
            report.unreadable += 1
            return False
        verdict = self.load.gate.check(record)
        broken = () if verdict is None else verdict.critical
        if not broken and isinstance(record, Kline):
            # The table has no place for one that is not whole, whatever the rules in force say of it.
            fits = is_whole(self.calendar, record.interval, record.open_ms, record.close_ms, row.number)
            broken = () if fits else verdict_of_odd(verdict, record, row.number).critical
        if not broken:
            return True
        report.still_refused += 1
        report.still_refused_by = dict(Counter(report.still_refused_by) + Counter(broken))
        return False
