"""The writing side of a backfill: whatever comes is judged as in the live feed before it is stored.

What a critical rule refuses is kept in quarantine and declared as a hole. A better row in its place ends that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Generic

from msgspec import Struct

from data_collector.history.ports import Stored
from data_collector.model.channels import key_of
from data_collector.model.errors import OtherLife
from data_collector.model.gaps import Gap
from data_collector.model.gate import Gate, Verdict, verdict_of_odd
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Row, Source, Trade
from data_collector.service.loading.load_audit import LoadAudit
from data_collector.service.loading.trade_lives import TradeLives
from data_collector.sinks.postgres.quarantine import PostgresQuarantine, RefusedRow
from data_collector.sinks.postgres.writing import PostgresWriter, Written


class _Judged(Struct, Generic[Row], frozen=True):
    """Rows of one series and what the gate says of them."""

    rows: Sequence[Row]
    verdicts: Mapping[int, Verdict]
    """By place; the others break no rule."""
    number_of: Callable[[Row], int]

    @property
    def good(self) -> Sequence[Row]:
        """Those that may pass."""
        refused = {place for place, verdict in self.verdicts.items() if verdict.critical}
        return [row for place, row in enumerate(self.rows) if place not in refused] if refused else self.rows

    @property
    def warnings(self) -> dict[int, tuple[str, ...]]:
        """Number to the rules that a row which may pass is marked with."""
        marked = ((self.rows[place], verdict) for place, verdict in self.verdicts.items())
        return {
            self.number_of(row): verdict.warnings
            for row, verdict in marked
            if verdict.warnings and not verdict.critical
        }


class GatedRows:
    """A `history.ports.RowStore`. Rows of a call are of one series. Raises as `PostgresWriter` does."""

    def __init__(self, writer: PostgresWriter, quarantine: PostgresQuarantine, gate: Gate, audit: LoadAudit) -> None:
        self._writer = writer
        self._quarantine = quarantine
        self._gate = gate
        self._audit = audit
        self._lives = TradeLives(writer.reader)

    async def put_klines(self, klines: Sequence[Kline], *, source: Source) -> Stored:
        """Closed klines."""
        judged = _judged(klines, self._gate.check, attrgetter("open_ms"))
        return await self._put(judged, source, self._writer.put_klines)

    async def put_odd(self, places: Mapping[int, Kline], *, source: Source) -> Stored:
        """What stands in place of whole klines, by open time."""
        refused: list[RefusedRow] = []
        for open_ms, kline in places.items():
            rules = verdict_of_odd(self._gate.check(kline), kline, open_ms).critical
            refused.append(RefusedRow(key_of(kline), open_ms, kline, rules, source))
        if refused:
            await self._quarantine.put(refused)
        return Stored(refused=Counter(row.rules for row in refused))

    async def put_trades(self, trades: Sequence[Trade], *, source: Source, epoch: int | None = None) -> Stored:
        """Trades of an epoch; None is the newest of their symbol, and of a file the one in which they lie.

        Raises `OtherLife` where that cannot be told; the others are stored then.
        """
        if source != "file" or epoch is not None or not trades:
            return await self._put_trades(trades, source, epoch)
        found, untold = await self._lives.parted(trades)
        parts = [await self._put_trades(rows, source, each) for each, rows in found.items()]
        if untold:
            raise OtherLife(untold[0].symbol, untold[0].trade_id, untold[-1].trade_id)
        return Stored(
            sum(part.added for part in parts), sum(part.changed for part in parts), sum(part.known for part in parts),
            sum((Counter(part.refused) for part in parts), Counter[tuple[str, ...]]()),
        )  # fmt: skip

    async def _put_trades(self, trades: Sequence[Trade], source: Source, epoch: int | None) -> Stored:
        judged = _judged(trades, self._gate.check_trade, attrgetter("trade_id"))
        return await self._put(judged, source, partial(self._writer.put_trades, epoch=epoch), epoch)

    async def put_gaps(self, key: Key, gaps: Sequence[Gap]) -> None:
        """What does not exist."""
        await self._writer.put_gaps(key, gaps)

    async def _put(
        self, judged: _Judged[Row], source: Source, put: Callable[..., Awaitable[Written]], epoch: int | None = None
    ) -> Stored:
        if not judged.rows:
            return Stored()
        good, number_of = judged.good, judged.number_of
        refused = [
            RefusedRow(key_of(row), number_of(row), row, verdict.critical, source, epoch=epoch)
            for row, verdict in ((judged.rows[place], verdict) for place, verdict in judged.verdicts.items())
            if verdict.critical
        ]
        # First: whoever is broken off between the two does all of it again.
        if refused:
            await self._quarantine.put(refused)
        written = await put(good, source=source, warnings=judged.warnings)
        if good:
            await self._quarantine.settle(key_of(good[0]), [number_of(row) for row in good], epoch=epoch)
        # What is stored is audited once, however often that was tried.
        await self._audit.take(judged.rows, judged.verdicts)
        return Stored(written.added, written.changed, written.known, Counter(row.rules for row in refused))


def _judged(
    rows: Sequence[Row], check: Callable[[Row], Verdict | None], number_of: Callable[[Row], int]
) -> _Judged[Row]:
    found = ((place, check(row)) for place, row in enumerate(rows))
    return _Judged(rows, {place: verdict for place, verdict in found if verdict is not None}, number_of)
