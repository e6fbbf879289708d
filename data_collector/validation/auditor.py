"""The collector's side of the audit: every judged message is kept until real Great Expectations has checked it.

Life cycle: the service makes one; the intake notes messages synchronously; two eternal tasks seal what was noted into
chunks, four times a second, and deliver chunks to a port (the worker process, or a validation service). A port that is
slow or dead delays nothing: chunks wait, up to `WAITING_BYTES_MAX`; then the oldest are dropped and counted as skipped.
A chunk is delivered until it is answered, and counted then, once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec
import structlog
from msgspec import Struct

from data_collector.model.errors import Transient
from data_collector.model.protocols import SymbolRules
from data_collector.model.records import Kline, Record, Ticker, Trade
from data_collector.model.verdict import Verdict
from data_collector.validation.columns import KINDS, Checked, Kind, kind_of
from data_collector.validation.compiler import READING_RULES
from data_collector.validation.gate import ORDER_RULES, Gate
from data_collector.validation.messages import AuditReport, Chunk, Disagreement, Failure, encode
from data_collector.validation.suite import Suite

SEAL_S: Final = 0.25
CHUNK_ROWS_MAX: Final = 1_000
"""Encoding so many takes about 0.3 ms of the event loop."""

WAITING_BYTES_MAX: Final = 64 * 1024 * 1024
"""About 300,000 trades."""

DELIVERY_BYTES_MAX: Final = 8 * 1024 * 1024
DELIVERY_ROWS_MAX: Final = 40_000
INTERVAL_S: Final = 1.0
DUTY_SHARE: Final = 0.25
"""Great Expectations costs about the same for one row as for ten thousand, so deliveries are spaced: the worker works
at most this share of the time, unless so much waits that a delivery is full."""

TRIES_MAX: Final = 3
"""A delivery that broke the worker so often is skipped: it would break the next one too."""

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

    def __init__(self, gate: Gate, port: AuditPort | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Without a port nothing is kept, and `off` says why."""
        self._port = port
        self._clock = clock
        self._trades: list[Trade] = []
        self._klines: list[Kline] = []
        self._tickers: list[Ticker] = []
        self._marks: dict[Kind, dict[int, tuple[list[str], bool, bool]]] = {kind: {} for kind in KINDS}
        self._gate = gate
        self._documents = {kind: encode_document(gate.suites[kind].suite) for kind in KINDS}
        self._listed: Mapping[str, SymbolRules] = {}
        self._waiting: deque[Sealed] = deque()
        self._arrived = asyncio.Event()
        self.off: str | None = None
        """Why nothing is audited at all."""
        self.down_reason: str | None = None
        """What is in the way of the port; None while it answers."""
        self.waiting_bytes = 0
        """Of sealed chunks."""
        self.judged: Counter[Kind] = Counter()
        """Accepted messages that were noted and sealed."""
        self.checked: Counter[Kind] = Counter()
        """Rows that Great Expectations has checked, refused ones too."""
        self.checked_accepted: Counter[Kind] = Counter()
        self.skipped: Counter[Kind] = Counter()
        self.skipped_s = float("-inf")
        """When a chunk was skipped last."""
        self.broken: Counter[tuple[Kind, str]] = Counter()
        self.disagreements: Counter[tuple[Kind, str]] = Counter()
        self.last_disagreement: Disagreement | None = None
        self.failures: Counter[tuple[Kind, str]] = Counter()
        self.newest_failures: list[Failure] = []
        self.reports = 0
        self.report_seconds = 0.0
        self.worker_memory_bytes = 0
        # The methods of the lists themselves: a call into Python would cost three times as much per trade.
        self.note_trade: Callable[[Trade], None] = self._trades.append if port is not None else _forget

    @property
    def waiting_rows(self) -> int:
        """Messages that wait for the audit, sealed ones and those of the last moment."""
        sealed = sum(chunk.rows for chunk in self._waiting)
        return sealed + len(self._trades) + len(self._klines) + len(self._tickers)

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

    def use(self, gate: Gate) -> None:
        """From now on messages are judged by this gate."""
        self._seal()
        self._gate = gate
        self._documents = {kind: encode_document(gate.suites[kind].suite) for kind in KINDS}
        self.disagreements.clear()
        self.last_disagreement = None

    def learn(self, listed: Mapping[str, SymbolRules]) -> None:
        """The exchange's symbol list, for the rules about tick and step sizes."""
        self._listed = listed

    def note(self, record: Record, verdict: Verdict | None, *, accepted: bool = True, late: bool = False) -> None:
        """See the protocol. Records that no suite is about are not audited."""
        if self._port is None or not isinstance(record, Trade | Kline | Ticker):
            return
        kind = kind_of(record)
        rows = self._rows_of(kind)
        if verdict is not None or not accepted or late:
            rules = [] if verdict is None else [rule for rule in verdict.rules if rule not in _NOT_OF_A_SUITE]
            self._marks[kind][len(rows)] = (rules, accepted, late)
        if isinstance(record, Trade):
            self._trades.append(record)
        elif isinstance(record, Kline):
            self._klines.append(record)
        else:
            self._tickers.append(record)

    async def seal_forever(self) -> None:
        """Seal what was noted; never returns."""
        while True:
            await asyncio.sleep(SEAL_S)
            self._seal()

    async def deliver_forever(self) -> None:
        """Deliver what was sealed; never returns."""
        assert self._port is not None, "there is somebody to deliver to"
        delay_s, tries = RETRY_FIRST_S, 0
        while True:
            await self._arrived.wait()
            batch = self._next_delivery()
            try:
                report = await self._port.audit(batch)
            except Transient as error:
                tries += isinstance(error, AuditBroken)
                self._note_down(str(error))
                if tries >= TRIES_MAX:
                    self._skip(len(batch), f"the audit failed {tries} times: {error}")
                    tries = 0
                await asyncio.sleep(error.retry_after_s or delay_s)
                delay_s = min(delay_s * 2, RETRY_CAP_S)
                continue
            delay_s, tries = RETRY_FIRST_S, 0
            self._settle(batch, report)
            await self._rest(report)

    async def drain(self, patience_s: float) -> None:
        """At a stop: what is left is delivered if that takes no longer than this."""
        if self._port is None or self.down_reason is not None:
            return
        self._seal()
        try:
            async with asyncio.timeout(patience_s):
                while self._waiting:
                    batch = self._next_delivery()
                    self._settle(batch, await self._port.audit(batch))
        except (TimeoutError, Transient):
            structlog.get_logger().info("audit_left", rows=self.waiting_rows)

    async def _rest(self, report: AuditReport) -> None:
        if sum(chunk.rows for chunk in self._waiting) < DELIVERY_ROWS_MAX:
            await asyncio.sleep(max(INTERVAL_S, report.seconds * (1 / DUTY_SHARE - 1)))

    def _rows_of(self, kind: Kind) -> Sequence[Checked]:
        match kind:
            case "trade":
                return self._trades
            case "kline":
                return self._klines
            case "ticker":
                return self._tickers

    def _unsealed_accepted(self) -> int:
        noted = len(self._trades) + len(self._klines) + len(self._tickers)
        refused = sum(not accepted for marks in self._marks.values() for _, accepted, _ in marks.values())
        return noted - refused

    def _seal(self) -> None:
        for kind in KINDS:
            rows = self._rows_of(kind)
            for start in range(0, len(rows), CHUNK_ROWS_MAX):
                self._seal_chunk(kind, start, min(start + CHUNK_ROWS_MAX, len(rows)))
            self._marks[kind].clear()
        # Cleared, not replaced: the intake holds their methods.
        self._trades.clear()
        self._klines.clear()
        self._tickers.clear()
        while self.waiting_bytes > WAITING_BYTES_MAX:
            self._skip(1, "the buffer was full")

    def _seal_chunk(self, kind: Kind, start: int, end: int) -> None:
        chunk = Chunk(kind, self._gate.suites[kind].digest)
        match kind:
            case "trade":
                chunk.trades = self._trades[start:end]
            case "kline":
                chunk.klines = self._klines[start:end]
            case "ticker":
                chunk.tickers = self._tickers[start:end]
        marks = self._marks[kind]
        marked = [(row - start, mark) for row, mark in marks.items() if start <= row < end] if marks else []
        chunk.broken = {row: rules for row, (rules, _, _) in marked if rules}
        chunk.refused = [row for row, (_, accepted, _) in marked if not accepted]
        chunk.late = [row for row, (_, _, late) in marked if late]
        chunk.sizes = self._sizes({record.symbol for record in self._rows_of(kind)[start:end]})
        body, count = encode(chunk), end - start
        accepted = count - len(chunk.refused)
        self.judged[kind] += accepted
        sealed = Sealed(kind, chunk.digest, self._documents[kind], count, accepted, body, self._clock())
        self._waiting.append(sealed)
        self.waiting_bytes += len(body)
        self._arrived.set()

    def _sizes(self, symbols: set[str]) -> dict[str, tuple[float, float]]:
        listed = self._listed
        return {name: (listed[name].tick_size, listed[name].step_size) for name in symbols if name in listed}

    def _next_delivery(self) -> list[Sealed]:
        batch: list[Sealed] = []
        rows = size = 0
        for chunk in self._waiting:
            rows, size = rows + chunk.rows, size + len(chunk.body)
            if batch and (rows > DELIVERY_ROWS_MAX or size > DELIVERY_BYTES_MAX):
                break
            batch.append(chunk)
        return batch

    def _remove(self, batch: Sequence[Sealed]) -> None:
        """What was delivered stands in front, but for what was dropped meanwhile."""
        delivered = set(map(id, batch))
        while self._waiting and id(self._waiting[0]) in delivered:
            self.waiting_bytes -= len(self._waiting.popleft().body)
        if not self._waiting:
            self._arrived.clear()

    def _skip(self, chunks: int, reason: str) -> None:
        rows = 0
        for _ in range(min(chunks, len(self._waiting))):
            chunk = self._waiting.popleft()
            self.waiting_bytes -= len(chunk.body)
            self.skipped[chunk.kind] += chunk.rows
            rows += chunk.rows
        self.skipped_s = self._clock()
        structlog.get_logger().warning("audit_skipped", rows=rows, reason=reason)
        if not self._waiting:
            self._arrived.clear()

    def _note_down(self, reason: str) -> None:
        if self.down_reason is None:
            structlog.get_logger().warning("audit_down", reason=reason)
        self.down_reason = reason

    def _settle(self, batch: Sequence[Sealed], report: AuditReport) -> None:
        if self.down_reason is not None:
            self.down_reason = None
            structlog.get_logger().info("audit_up")
        # A chunk that was dropped while it was being checked has been counted as skipped.
        kept = set(map(id, self._waiting))
        for chunk in batch:
            if id(chunk) in kept:
                self.checked[chunk.kind] += chunk.rows
                self.checked_accepted[chunk.kind] += chunk.accepted
        self._remove(batch)
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
            self.disagreements[found.kind, found.rule] += found.gate_only + found.gx_only
            self.last_disagreement = found
            structlog.get_logger().error(
                "gate_and_audit_disagree", kind=found.kind, rule=found.rule, gate_only=found.gate_only,
                gx_only=found.gx_only, sample=found.sample,
            )  # fmt: skip


def encode_document(suite: Suite) -> bytes:
    """A suite as it is sent to where Great Expectations is."""
    return msgspec.json.encode(suite.document())


def _forget(_trade: Trade) -> None:
    """Where nothing is audited."""
