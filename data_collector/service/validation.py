"""Gate, audit and suites as one part of the collector: made here, run by the service, told to the report."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from data_collector.model.status import AuditStatus, RuleStatus, Snapshot, ValidationStatus
from data_collector.observe.counters import Counters
from data_collector.observe.metrics import CounterName
from data_collector.service.part import Part, PartHealth, Spawn
from data_collector.service.suites import FolderSource, ServiceSource, SuiteKeeper
from data_collector.settings import Settings
from data_collector.validation.auditing.audit_worker import gx_is_installed
from data_collector.validation.auditing.auditor import Auditor
from data_collector.validation.auditing.ports import EmbeddedPort, ServicePort, WorkerPort
from data_collector.validation.auditing.shared_port import SharedPort
from data_collector.validation.gate.gate import CompiledGate
from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.rules.suite import Rule

KEPT_FOLDER: Final = "suites-of-the-service"
NOT_INSTALLED: Final = (
    "great_expectations is not installed: the compiled rules gate every record, and nothing audits them"
)
SWITCHED_OFF: Final = "GX_AUDIT=0"
LATE_S: Final = 2.0
"""A validation service that owes an answer for so long is told; it is asked each second."""

LAG_S: Final = 60.0
"""Messages that wait so much longer than the audit's rhythm are told: a worker that starts on a busy machine needs
some seconds."""

SKIPPED_TOLD_S: Final = 600.0
DRAIN_S: Final = 1.5
"""What a stop spends on the audit of the last messages: a reload stops and starts within 5 s. To start Great
Expectations for it would take 3 s alone."""

SHARED_DRAIN_S: Final = 3.0
"""The same where others have their last messages audited by the same process, in the same moment."""


class Validation(Part):
    """What the service holds of validation."""

    awaited = "the audit of what is left, and its worker's end"

    def __init__(
        self, settings: Settings, folder: Path, counters: Counters, use: Callable[[CompiledGate], None],
        shared: socket.socket | None = None,
    ) -> None:  # fmt: skip
        """`use` puts another gate than the first into the pipeline; it is called when tasks run, not before.

        `shared` is a line to an audit worker that others ask too; without one the collector has its own.
        """
        self._use = use
        self._counters = counters
        self._url = settings.validation_service_url
        self._off = why_off(settings)
        # By the exchange in it people tell whose Data Docs they see.
        source = f"{settings.exchange}-{uuid.uuid4().hex}"
        worker: WorkerPort | None = None
        if self._url is None and self._off is None:
            worker = EmbeddedPort() if shared is None else SharedPort(shared, source)
        use_proxy = settings.use_proxy
        service = (
            None if self._url is None
            else ServicePort(self._url, use_proxy=use_proxy, source=source, token=settings.token)
        )  # fmt: skip
        self._worker, self._service = worker, service
        self._drain_s, self._why_not_up = (
            (DRAIN_S, "Great Expectations was not running") if shared is None
            else (SHARED_DRAIN_S, "Great Expectations was not running, or was at what it had been asked before")
        )  # fmt: skip
        if self._url is not None and service is not None:
            self.keeper = SuiteKeeper(ServiceSource(self._url, service, folder / KEPT_FOLDER), self._install)
        else:
            self.keeper = SuiteKeeper(FolderSource(settings.suites_dir, worker), self._install)
        port = None if self._off is not None else worker or service
        self.auditor = Auditor(self.keeper.gate, port, settings.gx_audit_seconds)

    def start(self, spawn: Spawn) -> None:
        """See `Part`."""
        spawn("suites", self.keeper.run)
        if self._off is None:
            spawn("audit chunks", self.auditor.seal_forever)
            spawn("audit", self.auditor.deliver_forever)

    async def close(self) -> None:
        """Audit what is left if that is quick, and end the worker."""
        is_up = self._worker is None or self._worker.is_up
        await self.auditor.drain(self._drain_s, None if is_up else self._why_not_up)
        for port in (self._worker, self._service):
            if port is not None:
                await port.close()

    def report(self, snapshot: Snapshot) -> PartHealth:
        """Suites in force, faults of others, and how far the audit is."""
        self._set_gauges()
        snapshot.validation = self._status()
        snapshot.validation_service_url = self._url or "embedded"
        return PartHealth(self._reasons())

    def _reasons(self) -> list[str]:
        reasons = [f"{fault} The rules before it stay in force." for fault in self.keeper.faults.values()]
        down_reason = self.keeper.down_reason
        if down_reason is None and self._service is not None and self.keeper.silent_s > LATE_S:
            down_reason = f"it has not answered for {self.keeper.silent_s:.0f} s"
        if down_reason is not None:
            reasons.append(f"VALIDATION_SERVICE_URL: {down_reason}; the last known suites gate every record")
        if self._off == NOT_INSTALLED:
            reasons.append(NOT_INSTALLED)
        return reasons + list(self._audit_reasons())

    def _status(self) -> ValidationStatus:
        suites = self.keeper.gate.suites
        return ValidationStatus(
            suites={kind: compiled.digest for kind, compiled in suites.items()},
            faults=list(self.keeper.faults.values()),
            rules=[self._rule_status(kind, rule) for kind in KINDS for rule in suites[kind].suite.rules],
            audit=self._audit_status(),
        )

    def _set_gauges(self) -> None:
        auditor, counters = self.auditor, self._counters
        counters.set("data_collector_gx_audit_coverage_ratio", auditor.coverage)
        counters.set("data_collector_gx_audit_waiting_rows", auditor.waiting_rows)
        counters.set("data_collector_gx_audit_waiting_bytes", auditor.waiting_bytes)
        counters.set("data_collector_gx_audit_lag_seconds", auditor.oldest_s)
        counters.set("data_collector_gx_audit_every_seconds", auditor.every_s)
        counters.set("data_collector_gx_audit_up", 0 if self._off is not None or auditor.down_reason else 1)
        counters.set("data_collector_gx_audits_total", auditor.reports)
        counters.set("data_collector_gx_audit_busy_seconds_total", auditor.report_seconds)
        counters.set("data_collector_gx_audit_memory_bytes", auditor.worker_memory_bytes)
        counters.set("data_collector_suites_refused", len(self.keeper.faults))
        if self._worker is not None:
            counters.set("data_collector_gx_audit_worker_starts_total", self._worker.starts)
        for kind in KINDS:
            counters.set("data_collector_gx_audit_rows_total", auditor.checked[kind], channel=kind)
            counters.set("data_collector_gx_audit_skipped_total", auditor.skipped[kind], channel=kind)
            counters.set("data_collector_gx_audit_pairs_total", auditor.pairs[kind], channel=kind)
            counters.set("data_collector_gx_audit_evaluated_total", auditor.evaluated[kind], channel=kind)
        by_rule: dict[CounterName, Mapping[tuple[Kind, str], int]] = {
            "data_collector_gx_audit_broken_total": auditor.broken,
            "data_collector_gx_audit_failures_total": auditor.failures,
            "data_collector_gx_compiled_disagreements_total": auditor.disagreed,
        }
        for name, counted in by_rule.items():
            for (kind, rule), count in counted.items():
                counters.set(name, count, channel=kind, rule=rule)

    def _install(self, gate: CompiledGate) -> None:
        self.auditor.use(gate)
        self._use(gate)
        self._counters.add("data_collector_suites_changed_total")

    def _audit_reasons(self) -> Iterator[str]:
        auditor = self.auditor
        if auditor.oldest_s > auditor.every_s + LAG_S:
            why = f": {auditor.down_reason}" if auditor.down_reason else ""
            yield (
                f"{auditor.waiting_rows} messages wait for the audit by Great Expectations, the oldest for"
                f" {auditor.oldest_s:.0f} s instead of at most {auditor.every_s:.0f} s (GX_AUDIT_SECONDS){why}"
            )
        if time.monotonic() - auditor.skipped_s < SKIPPED_TOLD_S:
            yield f"{auditor.skipped.total()} messages will never be audited (the audit failed, or its buffer was full)"
        for (kind, rule), rows in auditor.disagreements.items():
            yield f"gate and Great Expectations disagree on {kind} rule {rule} ({rows} rows): a bug of ours"
        if auditor.newest_unevaluated and not auditor.newest_failures:
            yield (
                f"of the newest batch Great Expectations evaluated {auditor.newest_unevaluated} pairs of rule and row"
                " fewer than the rules ask for: a bug of ours"
            )
        for failure in auditor.newest_failures:
            yield (
                f"Great Expectations cannot evaluate rule {failure.rule} of the {failure.kind} suite: {failure.message}"
            )

    def _audit_status(self) -> AuditStatus:
        auditor = self.auditor
        reason = self._off or auditor.down_reason
        return AuditStatus(
            state="off" if self._off is not None else "down" if reason else "running",
            reason=reason,
            coverage=round(auditor.coverage, 6),
            rows={kind: auditor.checked[kind] for kind in KINDS},
            waiting=auditor.waiting_rows,
            waiting_bytes=auditor.waiting_bytes,
            oldest_seconds=round(auditor.oldest_s, 3),
            every_seconds=None if self._off is not None else auditor.every_s,
            next_seconds=None if auditor.next_s is None else round(auditor.next_s, 3),
            pairs=auditor.pairs.total(),
            evaluated=auditor.evaluated.total(),
            skipped={kind: auditor.skipped[kind] for kind in KINDS},
            disagreements={f"{kind}/{rule}": rows for (kind, rule), rows in auditor.disagreements.items()},
            failures={f"{found.kind}/{found.rule}": found.message for found in auditor.newest_failures},
        )

    def _rule_status(self, kind: Kind, rule: Rule) -> RuleStatus:
        name, labels = "data_collector_records_refused_total", {"channel": kind, "rule": rule.id}
        if rule.severity != "critical":
            name, labels = "data_collector_records_marked_total", labels | {"severity": rule.severity}
        return RuleStatus(
            kind, rule.id, rule.severity, rule.sentence, rule.source,
            gated=rule.gated and not rule.disabled,
            broken=int(self._counters.value(name, **labels)),
            broken_in_audit=self.auditor.broken[kind, rule.id],
        )  # fmt: skip


def why_off(settings: Settings) -> str | None:
    """What keeps Great Expectations from auditing anything; None when nothing does."""
    if not settings.gx_audit:
        return SWITCHED_OFF
    if settings.validation_service_url is None and not gx_is_installed():
        return NOT_INSTALLED
    return None
