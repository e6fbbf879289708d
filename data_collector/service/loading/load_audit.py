"""Real Great Expectations over every row that a load brings, while the load goes on.

Rows wait until a delivery is full, and one delivery is checked while the next one fills; then the load waits. So memory
is bounded, nothing is sampled, and a load that is slower than the audit does not notice it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from data_collector.history.events import GxCheck
from data_collector.model.errors import Transient
from data_collector.model.gate import Verdict
from data_collector.model.records import Kline, Trade
from data_collector.validation.auditing.chunks import AuditPort, Sealed
from data_collector.validation.auditing.messages import AuditReport, Chunk, encode
from data_collector.validation.gate.compiler import READING_RULES
from data_collector.validation.gate.gate import CompiledGate
from data_collector.validation.rules.columns import kind_of

DELIVERY_BYTES_MAX: Final = 8 * 1024 * 1024
"""Some 40,000 rows: Great Expectations costs about the same for one."""

CHUNK_ROWS_MAX: Final = 1_000
TRIES: Final = 2
"""A worker that died is started again once."""


class LoadAudit:
    """Made for one load; `finish` it, then `close` it."""

    def __init__(self, gate: CompiledGate, port: AuditPort | None, why_off: str | None) -> None:
        """Without a port nothing is checked, and `why_off` says why."""
        self._gate = gate
        self._port = port
        self._reason = why_off
        self._waiting: list[Sealed] = []
        self._waiting_bytes = 0
        self._at_work: asyncio.Task[None] | None = None
        self._rows = self._checked = 0
        self._broken: Counter[str] = Counter()
        self._disagreements: Counter[str] = Counter()
        self._failures: dict[str, str] = {}

    async def take(self, rows: Sequence[Kline | Trade], verdicts: Mapping[int, Verdict]) -> None:
        """Rows of one series, in their order, and what the gate said of those that broke a rule."""
        self._rows += len(rows)
        for verdict in verdicts.values():
            self._broken.update(f"{kind_of(rows[0])}/{rule}" for rule in verdict.rules)
        if self._port is None:
            return
        for start in range(0, len(rows), CHUNK_ROWS_MAX):
            sealed = self._seal(rows[start : start + CHUNK_ROWS_MAX], start, verdicts)
            if self._waiting_bytes + len(sealed.body) > DELIVERY_BYTES_MAX:
                await self._deliver()
            self._waiting.append(sealed)
            self._waiting_bytes += len(sealed.body)

    async def finish(self) -> GxCheck | None:
        """Have the rest checked; None where no row came."""
        await self._deliver()
        await self._settled()
        if not self._rows:
            return None
        return GxCheck(
            self._rows, self._checked, self._reason, dict(self._broken), dict(self._disagreements), self._failures
        )

    async def close(self) -> None:
        """Let go of what is under way."""
        if self._at_work is not None:
            self._at_work.cancel()
            await asyncio.wait([self._at_work])

    def _seal(self, rows: Sequence[Kline | Trade], start: int, verdicts: Mapping[int, Verdict]) -> Sealed:
        kind = kind_of(rows[0])
        suite = self._gate.suites[kind]
        # No tick and step sizes: the exchange tells those of today, and they were others in the past.
        chunk = Chunk(kind, suite.digest)
        chunk.records = rows
        marked = {place - start: verdicts[place] for place in range(start, start + len(rows)) if place in verdicts}
        chunk.broken = {
            row: [rule for rule in verdict.rules if rule not in READING_RULES] for row, verdict in marked.items()
        }
        chunk.refused = [row for row, verdict in marked.items() if verdict.critical]
        accepted = len(rows) - len(chunk.refused)
        document = suite.suite.encoded()
        return Sealed(kind, chunk.digest, document, len(rows), accepted, encode(chunk), time.monotonic())

    async def _deliver(self) -> None:
        await self._settled()
        batch, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if batch:
            self._at_work = asyncio.create_task(self._check(batch), name="audit of a load")

    async def _settled(self) -> None:
        if self._at_work is not None:
            await self._at_work
            self._at_work = None

    async def _check(self, batch: Sequence[Sealed]) -> None:
        assert self._port is not None, "nothing waits without one"
        for _ in range(TRIES):
            try:
                report = await self._port.audit(batch)
            except Transient as error:
                self._reason = str(error)
            else:
                self._count(report)
                return

    def _count(self, report: AuditReport) -> None:
        self._checked += sum(report.rows.values())
        for kind, broken in report.broken.items():
            gated = {rule.id for rule in self._gate.suites[kind].gated}
            self._broken.update({f"{kind}/{rule}": rows for rule, rows in broken.items() if rule not in gated})
        for found in report.disagreements:
            self._disagreements[f"{found.kind}/{found.rule}"] += found.gate_only + found.gx_only
        self._failures |= {f"{each.kind}/{each.rule}": each.message for each in report.failures}
