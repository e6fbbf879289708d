"""How the service is, for `/health` and the metrics page."""

from __future__ import annotations

from typing import Literal

from data_collector.model.status import Condition, Sample
from data_collector.observe.exposition import render_table
from data_collector.observe.output import dropped_lines, dropped_reasons
from data_collector.observe.validation_metrics import VALIDATION_METRICS
from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.service.context import ServiceContext
from data_collector.validation.service.supervised_worker import State
from data_collector.web.answers import Answer


class WorkerHealth(Answer):
    """The process that runs Great Expectations."""

    state: State
    pid: int | None
    restarts: int
    waiting: int
    """Requests that wait for it."""
    last_error: str


class SuiteHealth(Answer):
    """A suite in force."""

    digest: str
    rules: int


class ServiceHealth(Answer, kw_only=True):
    """How the service is."""

    status: Condition
    """`degraded`: an operator must know something. `unhealthy` (503): a part of the service died."""
    service: Literal["data-validation"] = "data-validation"
    environment: str
    version: str
    worker: WorkerHealth
    suites: dict[str, SuiteHealth]
    reasons: list[str]
    """Sentences for the operator, worst first; empty when healthy."""


def health_of(context: ServiceContext) -> ServiceHealth:
    """The answer of `/health`."""
    gx = context.worker
    reasons = [*_worker_reasons(context), *context.findings.reasons(), *context.rulebook.faults.values()]
    reasons += dropped_reasons("the validation service")
    status: Condition = "degraded" if reasons else "healthy"
    if context.running.fault:
        status = "unhealthy"
        reasons.insert(0, context.running.fault)
    return ServiceHealth(
        status=status,
        environment=context.options.environment,
        version=context.options.version,
        worker=WorkerHealth(
            state=gx.state, pid=gx.pid, restarts=gx.restarts, waiting=gx.waiting, last_error=gx.last_error
        ),
        suites={kind: _suite_health(context, kind) for kind in KINDS},
        reasons=reasons,
    )


def metrics_text(context: ServiceContext) -> bytes:
    """The answer of `/metrics`."""
    worker = context.worker
    now = [
        Sample("data_validation_worker_up", worker.state == "up"),
        Sample("data_validation_worker_restarts_total", worker.restarts),
        Sample("data_validation_waiting_requests", worker.waiting),
        Sample("data_validation_suite_faults", len(context.rulebook.faults)),
        Sample("data_validation_output_lines_dropped_total", dropped_lines()),
    ]
    return render_table(VALIDATION_METRICS, [*context.counters.samples(), *context.rejections.samples(), *now])


def _worker_reasons(context: ServiceContext) -> list[str]:
    worker = context.worker
    if worker.state == "up" or (worker.state == "starting" and context.running.in_grace):
        return []
    reason = f" ({worker.last_error})" if worker.last_error else ""
    sentence = f"The Great Expectations worker is not up{reason}: nothing is audited. It is started again;"
    return [f"{sentence} judging by the compiled suites works."]


def _suite_health(context: ServiceContext, kind: Kind) -> SuiteHealth:
    compiled = context.rulebook.in_force(kind)
    return SuiteHealth(digest=compiled.digest, rules=sum(not rule.disabled for rule in compiled.suite.rules))
