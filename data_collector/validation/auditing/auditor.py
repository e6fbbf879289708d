"""The collector's side of the audit: every judged message is kept until real Great Expectations has checked it.

Life cycle: the service makes one; the intake notes messages synchronously; two eternal tasks seal what was noted into
chunks, and deliver chunks to a port (the worker process, or a validation service). Great Expectations costs about the
same for one row as for ten thousand, so a delivery waits until it is full or its oldest message has waited for
`every_s`: the audit's rhythm. A port that is slow or dead delays nothing: chunks wait, up to `WAITING_BYTES_MAX`; then
the oldest are dropped and counted as skipped. A chunk is delivered until it is answered, and counted then, once; one
that breaks the audit again and again is skipped.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final

import structlog

from data_collector.model.backoff import Backoff
from data_collector.model.errors import Transient
from data_collector.model.gate import Verdict
from data_collector.model.records import Record, Trade
from data_collector.model.venue import SymbolRules
from data_collector.time_limit import time_limit
from data_collector.validation.auditing.chunks import CHUNK_ROWS_MAX, AuditBroken, AuditPort, Mark, Sealed, seal
from data_collector.validation.auditing.messages import AuditReport, Failure
from data_collector.validation.gate.compiler import READING_RULES
from data_collector.validation.gate.gate import ORDER_RULES, CompiledGate
from data_collector.validation.rules.columns import KINDS, Checked, Kind, kind_of

LOOK_S: Final = 0.25
"""How often full chunks are sealed, so that never many rows are sealed at once."""

WAITING_BYTES_MAX: Final = 96 * 1024 * 1024
"""About 500,000 trades: a full delivery, and as much again that comes while it is checked."""

TRIES_MAX: Final = 2
"""A chunk that broke the audit so often, alone, is skipped: it would break the next one too."""

SKIPPED_LOG_S: Final = 10.0
"""A full buffer skips a chunk four times a second."""

RETRY_FIRST_S: Final = 0.5
RETRY_CAP_S: Final = 15.0
_NOT_OF_A_SUITE = READING_RULES.keys() | ORDER_RULES.keys()


class AuditCounts:
    """What was judged, checked and found since the start."""

    def __init__(self) -> None:
        self.judged: Counter[Kind] = Counter()
        """Accepted messages that were noted and sealed."""
        self.checked: Counter[Kind] = Counter()
        """Rows that Great Expectations has checked, refused ones too."""
        self.checked_accepted: Counter[Kind] = Counter()
        self.skipped: Counter[Kind] = Counter()
        self.skipped_s = float("-inf")
        """When a chunk was skipped last."""
        self.broken: Counter[tuple[Kind, str]] = Counter()
        self.disagreed: Counter[tuple[Kind, str]] = Counter()
        """Rows of which gate and Great Expectations say different things, since the start."""
        self.disagreements: Counter[tuple[Kind, str]] = Counter()
        """Such rows by rules of the suites in force: the alarms."""
        self.pairs: Counter[Kind] = Counter()
        """Of a rule and a row that it is about, counted by us; and those that Great Expectations says it evaluated."""
        self.evaluated: Counter[Kind] = Counter()
        self.newest_unevaluated = 0
        """By how much the two differ in the newest audit."""
        self.failures: Counter[tuple[Kind, str]] = Counter()
        self.newest_failures: list[Failure] = []
        self.reports = 0
        self.report_seconds = 0.0
        self.worker_memory_bytes = 0


class Auditor(AuditCounts):
    """The `AuditNotes` of the intake."""

    def __init__(
        self,
        gate: CompiledGate,
        port: AuditPort | None,
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without a port nothing is kept."""
        super().__init__()
        self._port = port
        self.every_s = every_s
        self._clock = clock
        self._rows: dict[Kind, list[Checked]] = {kind: [] for kind in KINDS}
        self._marks: dict[Kind, dict[int, Mark]] = {kind: {} for kind in KINDS}
        self._since_s: dict[Kind, float] = {}
        """Since when the oldest row that is not sealed waits, to a moment."""
        self._gate = gate
        self._documents = {kind: gate.suites[kind].suite.encoded() for kind in KINDS}
        self._listed: Mapping[str, SymbolRules] = {}
        self._waiting: deque[Sealed] = deque()
        self._due = asyncio.Event()
        self.down_reason: str | None = None
        """What is in the way of the port; None while it answers."""
        self.waiting_bytes = 0
        """Of sealed chunks."""
        self._sealed_rows = 0
        self._suspects = 0
        """The oldest chunks, one of which broke the audit."""
        self._chunks_max = 1
        """How many of those are delivered at once."""
        self._dropped = 0
        """Chunks that gave way to newer ones: always the oldest."""
        # The methods of the lists themselves: a call into Python would cost three times as much per trade.
        self.note_trade: Callable[[Trade], None] = self._rows["trade"].append if port is not None else _forget

    @property
    def waiting_rows(self) -> int:
        """Messages that wait for the audit, sealed ones and those of the last moment."""
        return self._sealed_rows + self._unsealed()

    @property
    def oldest_s(self) -> float:
        """How long the oldest message has been waiting, to a moment; 0.0 when none does."""
        since_s = [sealed.since_s for sealed in self._waiting]
        since_s.extend(self._since_s.values())
        return self._clock() - min(since_s) if since_s else 0.0

    @property
    def next_s(self) -> float | None:
        """In how many seconds the next audit begins at the latest, 0.0 while one is under way or late; None when
        nothing waits, as then nothing is audited."""
        return max(0.0, self.every_s - self.oldest_s) if self.waiting_rows else None

    @property
    def coverage(self) -> float:
        """Share of the stored messages that real Great Expectations has checked, 0 to 1."""
        judged = self.judged.total() + self._unsealed_accepted()
        if self._port is None:
            return 0.0
        return self.checked_accepted.total() / judged if judged else 1.0

    def use(self, gate: CompiledGate) -> None:
        """From now on messages are judged by this gate."""
        self._seal()
        self._gate = gate
        self._documents = {kind: gate.suites[kind].suite.encoded() for kind in KINDS}
        self.disagreements.clear()

    def learn(self, listed: Mapping[str, SymbolRules]) -> None:
        """The exchange's symbol list, for the rules about tick and step sizes."""
        self._listed = listed

    def note(self, record: Record, verdict: Verdict | None, *, accepted: bool = True, late: bool = False) -> None:
        """See the protocol. Records that no suite is about are not audited."""
        if self._port is None or not isinstance(record, Checked):
            return
        kind = kind_of(record)
        rows = self._rows[kind]
        if verdict is not None or not accepted or late:
            rules = [] if verdict is None else [rule for rule in verdict.rules if rule not in _NOT_OF_A_SUITE]
            self._marks[kind][len(rows)] = Mark(rules, accepted, late)
        rows.append(record)

    async def seal_forever(self) -> None:
        """Seal what was noted when it is much, and look whether an audit is due; never returns."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = self._clock()
            for kind, rows in self._rows.items():
                if rows:
                    self._since_s.setdefault(kind, now)
            self._seal(rows_min=CHUNK_ROWS_MAX)
            self._look_whether_due()

    async def deliver_forever(self) -> None:
        """Deliver what was sealed, in the audit's rhythm; never returns."""
        assert self._port is not None, "there is somebody to deliver to"
        backoff, tries = Backoff(RETRY_FIRST_S, RETRY_CAP_S, jitter=False), 0
        batch: list[Sealed] = []
        dropped = self._dropped
        while True:
            # Of what is delivered again, chunks may have given way during the pause.
            batch = batch[self._dropped - dropped :]
            if not batch and not self._suspects:
                await self._due.wait()
                self._seal()
            dropped = self._dropped
            # The same again until it is settled, so that whoever answered in vain knows it.
            batch = batch or self._next_delivery()
            pause_s = 0.0
            try:
                report = await self._port.audit(batch)
            except Transient as error:
                self._note_down(str(error))
                batch, dropped = batch[self._dropped - dropped :], self._dropped
                if isinstance(error, AuditBroken) and batch:
                    tries, batch = self._divide(batch, tries, error)
                delay_s = backoff.next_delay_s()
                pause_s = min(error.retry_after_s or delay_s, RETRY_CAP_S)
            else:
                self._settle(batch[self._dropped - dropped :], report)
                self._clear(len(batch))
                tries, batch = 0, []
                backoff.reset()
            self._look_whether_due()
            await asyncio.sleep(pause_s)

    def _look_whether_due(self) -> None:
        full = self._port is not None and self.waiting_bytes >= self._port.batch_bytes_max
        if full or (self.waiting_rows and self.oldest_s >= self.every_s):
            self._due.set()
        else:
            self._due.clear()

    def _divide(self, batch: list[Sealed], tries: int, error: AuditBroken) -> tuple[int, list[Sealed]]:
        """What broke the audit together is delivered in halves, so that only the chunk to blame is skipped."""
        if len(batch) > 1:
            self._suspects, self._chunks_max = max(self._suspects, len(batch)), len(batch) // 2
            return 0, []
        if tries + 1 < TRIES_MAX:
            return tries + 1, batch
        self._remove(1)
        self._count_skipped(batch, f"the audit failed {tries + 1} times: {error}")
        self._clear(1)
        return 0, []

    def _clear(self, chunks: int) -> None:
        """So many are no longer suspected of breaking the audit."""
        self._suspects = min(max(0, self._suspects - chunks), len(self._waiting))
        self._chunks_max *= 2

    async def drain(self, timeout_s: float, why_not: str | None = None) -> None:
        """At a stop: what is left is audited if that takes no longer than this, and else told as not audited.

        `why_not`: nothing is audited, as there is no time to start Great Expectations.
        """
        if self._port is None:
            return
        self._seal()
        why = self.down_reason or why_not
        try:
            async with time_limit(timeout_s):
                while self._waiting and why is None:
                    batch = self._next_delivery()
                    self._settle(batch, await self._port.audit(batch))
        except TimeoutError:
            why = f"Great Expectations did not get to them within {timeout_s:g} s"
        except Transient as error:
            why = str(error)
        if self._waiting:
            structlog.get_logger().warning("stopped_without_audit", rows=self.waiting_rows, reason=why)

    def _unsealed(self) -> int:
        return sum(map(len, self._rows.values()))

    def _unsealed_accepted(self) -> int:
        refused = sum(not mark.accepted for marks in self._marks.values() for mark in marks.values())
        return self._unsealed() - refused

    def _seal(self, rows_min: int = 1) -> None:
        """The rows of kinds that have so many."""
        for kind, rows in self._rows.items():
            if len(rows) >= rows_min:
                self._seal_kind(kind, rows)
        full: list[Sealed] = []
        while self.waiting_bytes > WAITING_BYTES_MAX:
            full.append(self._waiting[0])
            self._remove(1)
        if full:
            self._dropped += len(full)
            self._count_skipped(full, "the buffer was full")

    def _seal_kind(self, kind: Kind, rows: list[Checked]) -> None:
        since_s = self._since_s.pop(kind, self._clock())
        suite, document = self._gate.suites[kind], self._documents[kind]
        for sealed in seal(suite, document, rows, self._marks[kind], self._listed, since_s):
            self.judged[kind] += sealed.accepted
            self._waiting.append(sealed)
            self.waiting_bytes += sealed.size
            self._sealed_rows += sealed.rows
        self._marks[kind].clear()
        # Cleared, not replaced: the intake holds their methods.
        rows.clear()

    def _next_delivery(self) -> list[Sealed]:
        assert self._port is not None, "there is somebody to deliver to"
        batch: list[Sealed] = []
        size = 0
        for chunk in islice(self._waiting, self._chunks_max if self._suspects else None):
            size += chunk.size
            if batch and size > self._port.batch_bytes_max:
                break
            batch.append(chunk)
        return batch

    def _remove(self, chunks: int) -> None:
        """The oldest."""
        for _ in range(chunks):
            chunk = self._waiting.popleft()
            self.waiting_bytes -= chunk.size
            self._sealed_rows -= chunk.rows

    def _count_skipped(self, chunks: Sequence[Sealed], reason: str) -> None:
        for chunk in chunks:
            self.skipped[chunk.kind] += chunk.rows
        if self._clock() - self.skipped_s > SKIPPED_LOG_S:
            structlog.get_logger().warning("audit_skipped", rows=sum(c.rows for c in chunks), reason=reason)
        self.skipped_s = self._clock()

    def _note_down(self, reason: str) -> None:
        if self.down_reason is None:
            structlog.get_logger().warning("audit_down", reason=reason)
        self.down_reason = reason

    def _settle(self, batch: Sequence[Sealed], report: AuditReport) -> None:
        """`batch` stands in front; what was dropped of it meanwhile has been counted as skipped."""
        if self.down_reason is not None:
            self.down_reason = None
            structlog.get_logger().info("audit_up")
        for kind, pairs in report.pairs.items():
            self.pairs[kind] += pairs
            self.evaluated[kind] += report.evaluated.get(kind, 0)
        self.newest_unevaluated = sum(report.pairs.values()) - sum(report.evaluated.values())
        for chunk in batch:
            self.checked[chunk.kind] += chunk.rows
            self.checked_accepted[chunk.kind] += chunk.accepted
        digests = {chunk.kind: chunk.digest for chunk in batch}
        self._remove(len(batch))
        self.reports += 1
        self.report_seconds += report.seconds
        self.worker_memory_bytes = report.memory_bytes
        for kind, rules in report.broken.items():
            for rule, rows in rules.items():
                self.broken[kind, rule] += rows
        self.newest_failures = report.failures
        for failure in report.failures:
            self.failures[failure.kind, failure.rule] += 1
        for found in report.disagreements:
            rows = found.gate_only + found.gx_only
            self.disagreed[found.kind, found.rule] += rows
            if digests.get(found.kind) == self._gate.suites[found.kind].digest:
                self.disagreements[found.kind, found.rule] += rows
            structlog.get_logger().error(
                "gate_and_audit_disagree", kind=found.kind, rule=found.rule, gate_only=found.gate_only,
                gx_only=found.gx_only, sample=found.sample,
            )  # fmt: skip


def _forget(_trade: Trade) -> None:
    """Where nothing is audited."""
