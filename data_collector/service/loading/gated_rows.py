"""The writing side of a backfill: whatever comes is judged as in the live feed before it is stored.

What a critical rule refuses is kept in quarantine and declared as a hole. A better row in its place ends that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Generic, TypeVar

from msgspec import Struct, field

from data_collector.model.channels import key_of
from data_collector.model.gaps import Gap
from data_collector.model.gate import Gate, Verdict
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Trade
from data_collector.service.loading.load_audit import LoadAudit
from data_collector.sinks.postgres.quarantine import PostgresQuarantine, RefusedRow
from data_collector.sinks.postgres.writing import PostgresWriter, Written

Row = TypeVar("Row", Kline, Trade)


class Loaded(Struct, frozen=True):
    """What became of the rows of one call."""

    added: int = 0
    changed: int = 0
    known: int = 0
    refused: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    """The rules that rows broke to how many did."""


class _Judged(Struct, Generic[Row], frozen=True):
    """Rows of one series and what the gate says of them."""

    rows: Sequence[Row]
    verdicts: Mapping[int, Verdict]
    """By place; the others break no rule."""
    good: Sequence[Row]


class GatedRows:
    """A `history.ports.RowStore`. Rows of a call are of one series. Raises as `PostgresWriter` does."""

    def __init__(self, writer: PostgresWriter, quarantine: PostgresQuarantine, gate: Gate, audit: LoadAudit) -> None:
        self._writer = writer
        self._quarantine = quarantine
        self._gate = gate
        self._audit = audit

    async def put_klines(self, klines: Sequence[Kline], *, source: str) -> Loaded:
        """Closed klines."""
        judged = _judged(klines, self._gate.check)
        await self._refuse(judged, attrgetter("open_ms"), source)
        written = await self._writer.put_klines(judged.good, source=source)
        return await self._loaded(judged, written, [row.open_ms for row in judged.good])

    async def put_trades(self, trades: Sequence[Trade], *, source: str) -> Loaded:
        """Trades."""
        judged = _judged(trades, self._gate.check_trade)
        await self._refuse(judged, attrgetter("trade_id"), source)
        written = await self._writer.put_trades(judged.good, source=source)
        return await self._loaded(judged, written, [row.trade_id for row in judged.good])

    async def put_gaps(self, key: Key, gaps: Sequence[Gap]) -> None:
        """What does not exist."""
        await self._writer.put_gaps(key, gaps)

    async def _refuse(self, judged: _Judged[Row], number_of: Callable[[Row], int], source: str) -> None:
        # Before the others are stored: whoever is broken off between the two does all of it again.
        refused = [
            RefusedRow(key_of(row), number_of(row), row, verdict.critical, source)
            for row, verdict in ((judged.rows[place], verdict) for place, verdict in judged.verdicts.items())
            if verdict.critical
        ]
        if refused:
            await self._quarantine.put(refused)

    async def _loaded(self, judged: _Judged[Row], written: Written, numbers: Sequence[int]) -> Loaded:
        if numbers:
            await self._quarantine.settle(key_of(judged.good[0]), numbers)
        # What is stored is audited once, however often it was tried.
        await self._audit.take(judged.rows, judged.verdicts)
        refused = Counter(verdict.critical for verdict in judged.verdicts.values() if verdict.critical)
        return Loaded(written.added, written.changed, written.known, refused)


def _judged(rows: Sequence[Row], check: Callable[[Row], Verdict | None]) -> _Judged[Row]:
    found = ((place, check(row)) for place, row in enumerate(rows))
    verdicts = {place: verdict for place, verdict in found if verdict is not None}
    if not verdicts:
        return _Judged(rows, verdicts, rows)
    refused = {place for place, verdict in verdicts.items() if verdict.critical}
    return _Judged(rows, verdicts, [row for place, row in enumerate(rows) if place not in refused])
