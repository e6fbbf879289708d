"""Every Prometheus metric of the validation service, declared as the collector's are in `observe.metrics`."""

from __future__ import annotations

from data_collector.model.channels import CHANNELS
from data_collector.observe.metrics import REJECTION, RULE, Label, Metric

KIND = Label("kind", ", ".join(CHANNELS))
ENGINE = Label("engine", "compiled, gx")
SOURCE = Label("source", "file, put")
ROUTE = Label("route", "validate, audit, suites, health, metrics, docs-site, other")
STATUS = Label("status", "a status code of HTTP")
VALIDITY = Label("outcome", "valid, invalid")
STORED = Label("outcome", "accepted, refused")
BUILT = Label("outcome", "built, failed")

VALIDATION_METRICS: tuple[Metric, ...] = (
    Metric("data_validation_requests_total", "counter", "HTTP requests answered", (ROUTE, STATUS)),
    Metric("data_validation_rejected_total", "counter", "HTTP requests refused at the door", (REJECTION,)),
    Metric(
        "data_validation_records_total",
        "counter",
        "Records judged for those who posted them to /validate",
        (KIND, ENGINE, VALIDITY),
    ),
    Metric(
        "data_validation_audit_rows_total",
        "counter",
        "Records of collectors that real Great Expectations has checked",
        (KIND, STORED),
    ),
    Metric("data_validation_audit_seconds_total", "counter", "Time that the worker spent on audits"),
    Metric(
        "data_validation_rules_broken_total",
        "counter",
        "Broken rules that audits found; a rule about a batch counts 1 for the batch",
        (KIND, RULE),
    ),
    Metric(
        "data_validation_disagreements_total",
        "counter",
        "Records of which the gate and Great Expectations say different things",
        (KIND, RULE),
    ),
    Metric(
        "data_validation_failures_total",
        "counter",
        "Times that Great Expectations could not evaluate a rule",
        (KIND, RULE),
    ),
    Metric("data_validation_suite_changes_total", "counter", "Suites that came into force", (KIND, SOURCE)),
    Metric("data_validation_suite_faults", "gauge", "Files of SUITES_DIR that are refused"),
    Metric("data_validation_worker_up", "gauge", "1 while the Great Expectations worker answers, else 0"),
    Metric("data_validation_worker_restarts_total", "counter", "Times that the worker was started again"),
    Metric("data_validation_worker_memory_bytes", "gauge", "Resident memory of the worker, as its last audit told"),
    Metric("data_validation_waiting_requests", "gauge", "Requests that wait for the worker"),
    Metric("data_validation_docs_builds_total", "counter", "Builds of the Data Docs", (BUILT,)),
)
