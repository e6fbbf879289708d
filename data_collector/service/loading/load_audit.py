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
from data_collector.model.venue import SymbolRules
from data_collector.validation.auditing.chunks import AuditBroken, AuditPort, Mark, Sealed, seal
from data_collector.validation.auditing.messages import AuditReport
from data_collector.validation.gate.compiler import READING_RULES
from data_collector.validation.gate.gate import CompiledGate
from data_collector.validation.rules.columns import kind_of

BATCH_BYTES_MAX: Final = 16 * 1024 * 1024
"""Some 80,000 rows: Great Expectations costs nearly as much for one."""

NOT_LISTED: Final[Mapping[str, SymbolRules]] = {}
"""No tick and step sizes: the exchange tells those of today, and they were others in the past."""

TRIES: Final = 2
"""A worker that died is started again once."""

COME_AGAIN_S: Final = 120.0
"""So long a load waits for a validation service that says when to come again: collectors and other loads ask it too."""


class LoadAudit:
    """Made for one load; `finish` it, then `close` it."""

    def __init__(self, gate: CompiledGate, port: AuditPort | None, why_off: str | None) -> None:
        """Without a port nothing is checked, and `why_off` says why."""
        self._gate = gate
        self._documents = {kind: compiled.suite.encoded() for kind, compiled in gate.suites.items()}
        self._port = port
        self._reason = why_off
        self._waiting: list[Sealed] = []
        self._waiting_bytes = 0
        self._at_work: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._rows = self._checked = self._unevaluated = 0
        self._broken: Counter[str] = Counter()
        self._disagreements: Counter[str] = Counter()
        self._failures: dict[str, str] = {}

    async def take(self, rows: Sequence[Kline | Trade], verdicts: Mapping[int, Verdict]) -> None:
        """Rows of one series, in their order, and what the gate said of those that broke a rule."""
        self._rows += len(rows)
        for verdict in verdicts.values():
            self._broken.update(f"{kind_of(rows[0])}/{rule}" for rule in verdict.rules)
        port = self._port
        if port is None:
            return
        kind = kind_of(rows[0])
        marks = {
            place: Mark([rule for rule in found.rules if rule not in READING_RULES], accepted=not found.critical)
            for place, found in verdicts.items()
        }
        for sealed in seal(self._gate.suites[kind], self._documents[kind], rows, marks, NOT_LISTED, time.monotonic()):
            if self._waiting and self._waiting_bytes + sealed.size > min(BATCH_BYTES_MAX, port.batch_bytes_max):
                await self._deliver()
            self._waiting.append(sealed)
            self._waiting_bytes += sealed.size

    async def finish(self) -> GxCheck | None:
        """Have the rest checked; None where no row came."""
        await self._deliver()
        if self._at_work is not None:
            await self._at_work
        return self._told()

    def break_off(self) -> GxCheck | None:
        """What was found until now; the rest is not checked."""
        self._reason = "the load was stopped"
        return self._told()

    def _told(self) -> GxCheck | None:
        if not self._rows:
            return None
        return GxCheck(
            self._rows, self._checked, self._reason, dict(self._broken), dict(self._disagreements), self._failures,
            self._unevaluated,
        )  # fmt: skip

    async def close(self) -> None:
        """Let go of what is under way."""
        if self._at_work is not None:
            self._at_work.cancel()
            await asyncio.wait([self._at_work])

    async def _deliver(self) -> None:
        """When what was delivered before is checked. Series are loaded side by side."""
        async with self._turn:
            if self._at_work is not None:
                await self._at_work
            batch, self._waiting, self._waiting_bytes = self._waiting, [], 0
            self._at_work = asyncio.create_task(self._check(batch), name="audit of a load") if batch else None

    async def _check(self, batch: Sequence[Sealed]) -> None:
        for _ in range(TRIES):
            if self._port is None:
                return
            try:
                report = await _audited(self._port, batch)
            except AuditBroken as error:
                self._reason = str(error)
            except Transient as error:
                # Nobody can be asked, and the load does not wait for them.
                self._reason, self._port = str(error), None
            else:
                self._count(report)
                return

    def _count(self, report: AuditReport) -> None:
        self._checked += sum(report.rows.values())
        self._unevaluated += abs(sum(report.pairs.values()) - sum(report.evaluated.values()))
        for kind, broken in report.broken.items():
            gated = {rule.id for rule in self._gate.suites[kind].gated}
            self._broken.update({f"{kind}/{rule}": rows for rule, rows in broken.items() if rule not in gated})
        for found in report.disagreements:
            self._disagreements[f"{found.kind}/{found.rule}"] += found.gate_only + found.gx_only
        self._failures |= {f"{each.kind}/{each.rule}": each.message for each in report.failures}


async def _audited(port: AuditPort, batch: Sequence[Sealed]) -> AuditReport:
    until_s = time.monotonic() + COME_AGAIN_S
    while True:
        try:
            return await port.audit(batch)
        except Transient as error:
            if error.retry_after_s is None or time.monotonic() + error.retry_after_s > until_s:
                raise
            await asyncio.sleep(error.retry_after_s)
