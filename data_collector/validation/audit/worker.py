"""The audit worker: one request at a time, in order, until the other side hangs up."""

from __future__ import annotations

import ctypes
import gc
import socket
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
from pandas import DataFrame

from data_collector.child import FrameTooLong, Link, LinkLost, open_link
from data_collector.model.errors import SuiteRefused
from data_collector.observe.logs import get_log
from data_collector.observe.memory import resident_bytes
from data_collector.validation.audit.docs import Docs
from data_collector.validation.audit.engine import Engine, RuleOutcome
from data_collector.validation.audit.frames import AuditBatch, add_chunks, frame_of_batch, frame_of_rows
from data_collector.validation.audit.memory import Memory
from data_collector.validation.audit.specimens import specimen_frame
from data_collector.validation.auditing.messages import (
    READY,
    Answer,
    Audit,
    AuditPart,
    AuditReport,
    BuildDocs,
    CheckReport,
    CheckSuite,
    Disagreement,
    DocsReport,
    Failure,
    Request,
    Taken,
    Validate,
    ValidateReport,
    WorkerFault,
    request_decoder,
)
from data_collector.validation.rules.columns import Kind
from data_collector.validation.rules.suite import read_suite, shipped_suite

_log = get_log()


class Worker:
    """Answers requests; knows the records before them."""

    def __init__(self) -> None:
        self._engine = Engine()
        self._memory = Memory()
        self._docs = Docs()
        self._batches: dict[tuple[Kind, str], AuditBatch] = {}
        """Of the audit that is coming in, part by part."""
        self._chunks = 0
        self._part_seconds = 0.0

    def answer(self, request: Request) -> Answer:
        """Carry out a request. May raise anything that is wrong with it, or with us."""
        if isinstance(request, AuditPart):
            return self._take(request)
        if isinstance(request, Audit):
            return self._audit(request)
        if isinstance(request, Validate):
            return self._validate(request)
        if isinstance(request, BuildDocs):
            return DocsReport(self._docs.build(Path(request.folder), request.keep))
        return self._check_suite(request)

    def warm_up(self) -> None:
        """Do once what is slow only once, then take everything that exists out of the garbage collector's sight.

        A collection over the 230,000 objects of Great Expectations takes 130 ms.
        """
        document = shipped_suite("trade").encoded()
        self._engine.check(self._engine.suite("trade", document), specimen_frame("trade"))
        gc.collect()
        gc.freeze()

    def _take(self, part: AuditPart) -> Taken:
        started = time.process_time()
        if part.is_first:
            self._begin_anew()
        self._add(part.chunks)
        self._part_seconds += time.process_time() - started
        return Taken()

    def _add(self, chunks: Sequence[msgspec.Raw]) -> None:
        add_chunks(self._batches, chunks)
        self._chunks += len(chunks)

    def _begin_anew(self) -> None:
        self._batches, self._chunks, self._part_seconds = {}, 0, 0.0

    def _audit(self, request: Audit) -> AuditReport:
        started = time.process_time()
        if not request.chunks_before:
            self._begin_anew()
        if self._chunks != request.chunks_before:
            raise ValueError(f"{request.chunks_before} chunks should have come before, and {self._chunks} did")
        self._add(request.chunks)
        batches, before_s = self._batches, self._part_seconds
        self._begin_anew()
        report = AuditReport({}, {}, {}, [], [], seconds=0.0, memory_bytes=0)
        for batch in batches.values():
            suite = self._engine.suite(batch.kind, request.suites[batch.digest])
            frame = frame_of_batch(request.source, batch, self._memory)
            remember = partial(self._docs.remember, request.source, suite.rules, batch.rows)
            outcomes = self._engine.check(suite, frame, remember if request.for_docs else None)
            _count(report, batch, frame, outcomes)
            gated = set(suite.gated)
            report.disagreements += _disagreements(batch, [outcome for outcome in outcomes if outcome.rule in gated])
        report.seconds = before_s + time.process_time() - started
        report.memory_bytes = resident_bytes()
        return report

    def _validate(self, request: Validate) -> ValidateReport:
        suite = self._engine.suite(request.kind, request.suite)
        outcomes = self._engine.check(suite, frame_of_rows(request.kind, request.rows))
        broken: list[list[str]] = [[] for _ in request.rows]
        for outcome in outcomes:
            for row in outcome.rows:
                broken[row].append(outcome.rule)
        failures = [Failure(request.kind, outcome.rule, outcome.fault) for outcome in outcomes if outcome.fault]
        return ValidateReport(broken, failures, [outcome.rule for outcome in outcomes if outcome.whole])

    def _check_suite(self, request: CheckSuite) -> CheckReport:
        try:
            read_suite(request.kind, request.suite, source="user")
            suite = self._engine.suite(request.kind, request.suite)
        except SuiteRefused as refused:
            return CheckReport(list(refused.faults))
        outcomes = self._engine.check(suite, specimen_frame(request.kind))
        return CheckReport([f"rule {outcome.rule}: {outcome.fault}" for outcome in outcomes if outcome.fault])


def _count(report: AuditReport, batch: AuditBatch, frame: DataFrame, outcomes: list[RuleOutcome]) -> None:
    kind = batch.kind
    report.rows[kind] = report.rows.get(kind, 0) + batch.rows
    report.accepted[kind] = report.accepted.get(kind, 0) + int(frame["accepted"].sum())
    report.pairs[kind] = report.pairs.get(kind, 0) + sum(outcome.pairs for outcome in outcomes)
    report.evaluated[kind] = report.evaluated.get(kind, 0) + sum(outcome.evaluated or 0 for outcome in outcomes)
    counts = report.broken.setdefault(kind, {})
    for outcome in outcomes:
        if outcome.rows or outcome.whole:
            counts[outcome.rule] = counts.get(outcome.rule, 0) + (len(outcome.rows) or 1)
        if outcome.fault is not None:
            report.failures.append(Failure(kind, outcome.rule, outcome.fault))


def _disagreements(batch: AuditBatch, outcomes: list[RuleOutcome]) -> list[Disagreement]:
    """Of the rules that the gate judges: those of which Great Expectations finds other rows."""
    found = []
    for outcome in outcomes:
        gate_only = batch.broken.get(outcome.rule, set()) - outcome.rows
        gx_only = outcome.rows - batch.broken.get(outcome.rule, set())
        if outcome.fault is None and (gate_only or gx_only):
            sample = msgspec.json.encode(batch.record(min(gate_only | gx_only))).decode()
            found.append(Disagreement(batch.kind, outcome.rule, len(gate_only), len(gx_only), sample))
    return found


async def serve(end: socket.socket) -> None:
    """Warm up, say so, and answer until end of file.

    The loop has nothing else to do, so answering may block it.
    """
    started = time.perf_counter()
    worker = Worker()
    worker.warm_up()
    _log.info("audit_ready", seconds=round(time.perf_counter() - started, 2), memory_bytes=resident_bytes())
    link = await open_link(end, request_decoder)
    try:
        await link.send_frame(READY)
        while True:
            await _send(link, _answer(worker, await link.receive_frame()))
            _give_back()
    except LinkLost:
        return  # Whoever asked is gone, which is how the worker ends.
    finally:
        link.close()


def _answer(worker: Worker, frame: bytes) -> Answer:
    try:
        return worker.answer(request_decoder.decode(frame))
    except Exception as error:  # noqa: BLE001 - whatever one request does, the next one gets its answer
        _log.warning("audit_request_failed", exc_info=True)
        return WorkerFault(f"{type(error).__name__}: {error}")


def _give_back() -> None:
    """Let the system have what a large batch took, where the C library can be told to: glibc keeps it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def _send(link: Link[Request], answer: Answer) -> None:
    try:
        await link.send(answer)
    except FrameTooLong as error:
        await link.send(WorkerFault(f"The answer would have {error}."))
