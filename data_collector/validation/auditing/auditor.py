"""The collector's side of the audit: every judged message is kept until real Great Expectations has checked it.

Life cycle: the service makes one; the intake notes messages synchronously; two eternal tasks seal what was noted into
chunks, four times a second, and deliver chunks to a port (the worker process, or a validation service). A port that is
slow or dead delays nothing: chunks wait, up to `WAITING_BYTES_MAX`; then the oldest are dropped and counted as skipped.
A chunk is delivered until it is answered, and counted then, once; one that breaks the audit again and again is skipped.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final, Protocol

import structlog
from msgspec import Struct, structs

from data_collector.model.backoff import Backoff
from data_collector.model.errors import Transient
from data_collector.model.gate import Verdict
from data_collector.model.records import Record, Trade
from data_collector.model.venue import SymbolRules
from data_collector.time_limit import time_limit
from data_collector.validation.auditing.messages import AuditReport, Chunk, Failure, encode
from data_collector.validation.gate.compiler import READING_RULES, whole
from data_collector.validation.gate.gate import ORDER_RULES, CompiledGate
from data_collector.validation.rules.columns import KINDS, Checked, Kind, kind_of

SEAL_S: Final = 0.25
CHUNK_ROWS_MAX: Final = 1_000
"""Encoding so many takes about 0.3 ms of the event loop."""

WAITING_BYTES_MAX: Final = 64 * 1024 * 1024
"""About 300,000 trades."""

CHUNK_OVERHEAD_BYTES: Final = 300
"""What a chunk takes beside its body: at low rates a chunk is a row or two."""

DELIVERY_BYTES_MAX: Final = 8 * 1024 * 1024
DELIVERY_ROWS_MAX: Final = 40_000
INTERVAL_S: Final = 1.0
DUTY_SHARE: Final = 0.25
"""Great Expectations costs about the same for one row as for ten thousand, so deliveries are spaced: the worker works
at most this share of the time, unless so much waits that a delivery is full."""

TRIES_MAX: Final = 2
"""A chunk that broke the audit so often, alone, is skipped: it would break the next one too."""

SKIPPED_LOG_S: Final = 10.0
"""A full buffer skips a chunk four times a second."""

RETRY_FIRST_S: Final = 0.5
RETRY_CAP_S: Final = 15.0
_NOT_OF_A_SUITE = READING_RULES.keys() | ORDER_RULES.keys()


class Sealed(Struct, frozen=True):
    """Messages of one kind that were judged by one suite."""

    kind: Kind
    digest: str
    document: bytes
    """That suite, as JSON."""
    rows: int
    accepted: int
    body: bytes
    """msgpack of a `Chunk`."""
    sealed_s: float
    """Monotonic."""


class AuditBroken(Transient):
    """The audit worker died or failed while it had this delivery."""


class AuditPort(Protocol):
    """Where chunks are checked."""

    async def audit(self, chunks: Sequence[Sealed]) -> AuditReport:
        """Check all of them. Raises `AuditBroken`, or `Transient` when nobody answers at all."""

    async def close(self) -> None:
        """Let go of what is held."""


class Auditor:
    """The `AuditNotes` of the intake."""

    def __init__(self, gate: CompiledGate, port: AuditPort | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Without a port nothing is kept."""
        self._port = port
        self._clock = clock
        self._rows: dict[Kind, list[Checked]] = {kind: [] for kind in KINDS}
        self._marks: dict[Kind, dict[int, tuple[list[str], bool, bool]]] = {kind: {} for kind in KINDS}
        self._gate = gate
        self._documents = {kind: gate.suites[kind].suite.encoded() for kind in KINDS}
        self._listed: Mapping[str, SymbolRules] = {}
        self._waiting: deque[Sealed] = deque()
        self._arrived = asyncio.Event()
        self.down_reason: str | None = None
        """What is in the way of the port; None while it answers."""
        self.waiting_bytes = 0
        """Of sealed chunks."""
        self._sealed_rows = 0
        self._dropped = 0
        """Chunks that gave way to newer ones: always the oldest."""
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
        self.failures: Counter[tuple[Kind, str]] = Counter()
        self.newest_failures: list[Failure] = []
        self.reports = 0
        self.report_seconds = 0.0
        self.worker_memory_bytes = 0
        # The methods of the lists themselves: a call into Python would cost three times as much per trade.
        self.note_trade: Callable[[Trade], None] = self._rows["trade"].append if port is not None else _forget

    @property
    def waiting_rows(self) -> int:
        """Messages that wait for the audit, sealed ones and those of the last moment."""
        return self._sealed_rows + self._unsealed()

    @property
    def oldest_s(self) -> float:
        """How long the oldest chunk has been waiting; 0.0 when none does."""
        return self._clock() - self._waiting[0].sealed_s if self._waiting else 0.0

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
            self._marks[kind][len(rows)] = (rules, accepted, late)
        rows.append(record)

    async def seal_forever(self) -> None:
        """Seal what was noted; never returns."""
        while True:
            await asyncio.sleep(SEAL_S)
            self._seal()

    async def deliver_forever(self) -> None:
        """Deliver what was sealed; never returns."""
        assert self._port is not None, "there is somebody to deliver to"
        backoff, tries, alone = Backoff(RETRY_FIRST_S, RETRY_CAP_S, jitter=False), 0, 0
        batch: list[Sealed] = []
        while True:
            await self._arrived.wait()
            dropped = self._dropped
            # The same again until it is settled, so that whoever answered in vain knows it.
            batch = batch or self._next_delivery(chunks_max=1 if alone else None)
            try:
                report = await self._port.audit(batch)
            except Transient as error:
                self._note_down(str(error))
                batch = batch[self._dropped - dropped :]
                if isinstance(error, AuditBroken):
                    alone, tries, batch = self._divide(batch, alone, tries, error)
                delay_s = backoff.next_delay_s()
                pause_s = min(error.retry_after_s or delay_s, RETRY_CAP_S)
            else:
                self._settle(batch[self._dropped - dropped :], report)
                pause_s = self._rest_s(report)
                tries, alone, batch = 0, max(0, alone - 1), []
                backoff.reset()
            await asyncio.sleep(pause_s)

    def _divide(self, batch: list[Sealed], alone: int, tries: int, error: AuditBroken) -> tuple[int, int, list[Sealed]]:
        """What broke the audit together is delivered chunk by chunk, so that only the one to blame is skipped."""
        if len(batch) > 1:
            return len(batch), 0, []
        if tries + 1 < TRIES_MAX:
            return max(1, alone), tries + 1, batch
        self._remove(len(batch))
        self._count_skipped(batch, f"the audit failed {tries + 1} times: {error}")
        return max(0, alone - 1), 0, []

    async def drain(self, timeout_s: float) -> None:
        """At a stop: what is left is delivered if that takes no longer than this."""
        if self._port is None or self.down_reason is not None:
            return
        self._seal()
        try:
            async with time_limit(timeout_s):
                while self._waiting:
                    batch = self._next_delivery()
                    self._settle(batch, await self._port.audit(batch))
        except (TimeoutError, Transient):
            structlog.get_logger().info("audit_left", rows=self.waiting_rows)

    def _rest_s(self, report: AuditReport) -> float:
        if self._sealed_rows >= DELIVERY_ROWS_MAX:
            return 0.0
        return max(INTERVAL_S, report.seconds * (1 / DUTY_SHARE - 1))

    def _unsealed(self) -> int:
        return sum(map(len, self._rows.values()))

    def _unsealed_accepted(self) -> int:
        refused = sum(not accepted for marks in self._marks.values() for _, accepted, _ in marks.values())
        return self._unsealed() - refused

    def _seal(self) -> None:
        for kind, rows in self._rows.items():
            for start in range(0, len(rows), CHUNK_ROWS_MAX):
                self._seal_chunk(kind, start, min(start + CHUNK_ROWS_MAX, len(rows)))
            self._marks[kind].clear()
            # Cleared, not replaced: the intake holds their methods.
            rows.clear()
        full: list[Sealed] = []
        while self.waiting_bytes > WAITING_BYTES_MAX:
            full.append(self._waiting[0])
            self._remove(1)
        if full:
            self._dropped += len(full)
            self._count_skipped(full, "the buffer was full")

    def _seal_chunk(self, kind: Kind, start: int, end: int) -> None:
        chunk = Chunk(kind, self._gate.suites[kind].digest)
        records = chunk.records = self._rows[kind][start:end]
        marks = self._marks[kind]
        marked = [(row - start, mark) for row, mark in marks.items() if start <= row < end] if marks else []
        chunk.broken = {row: rules for row, (rules, _, _) in marked if rules}
        chunk.refused = [row for row, (_, accepted, _) in marked if not accepted]
        chunk.late = [row for row, (_, _, late) in marked if late]
        chunk.sizes = self._sizes({record.symbol for record in records})
        body, count = _encoded(chunk), end - start
        accepted = count - len(chunk.refused)
        self.judged[kind] += accepted
        sealed = Sealed(kind, chunk.digest, self._documents[kind], count, accepted, body, self._clock())
        self._waiting.append(sealed)
        self.waiting_bytes += len(body) + CHUNK_OVERHEAD_BYTES
        self._sealed_rows += count
        self._arrived.set()

    def _sizes(self, symbols: set[str]) -> dict[str, tuple[float, float]]:
        listed = self._listed
        return {name: (listed[name].tick_size, listed[name].step_size) for name in symbols if name in listed}

    def _next_delivery(self, chunks_max: int | None = None) -> list[Sealed]:
        batch: list[Sealed] = []
        rows = size = 0
        for chunk in islice(self._waiting, chunks_max):
            rows, size = rows + chunk.rows, size + len(chunk.body)
            if batch and (rows > DELIVERY_ROWS_MAX or size > DELIVERY_BYTES_MAX):
                break
            batch.append(chunk)
        return batch

    def _remove(self, chunks: int) -> None:
        """The oldest."""
        for _ in range(chunks):
            chunk = self._waiting.popleft()
            self.waiting_bytes -= len(chunk.body) + CHUNK_OVERHEAD_BYTES
            self._sealed_rows -= chunk.rows
        if not self._waiting:
            self._arrived.clear()

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


def _encoded(chunk: Chunk) -> bytes:
    try:
        return encode(chunk)
    except OverflowError:
        # Refused records may hold integers that msgpack has no room for; rules see them clamped anyway.
        chunk.records = [_clamped(record) for record in chunk.records]
        return encode(chunk)


def _clamped(record: Checked) -> Checked:
    numbers = {
        name: whole(value)
        for name in record.__struct_fields__
        if name != "received_ns" and type(value := getattr(record, name)) is int
    }
    return structs.replace(record, **numbers)


def _forget(_trade: Trade) -> None:
    """Where nothing is audited."""
