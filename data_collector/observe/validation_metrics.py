"""Every Prometheus metric of the validation service, declared as the collector's are in `observe.metrics`."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, Union

from data_collector.model.channels import CHANNELS
from data_collector.observe.metrics import REJECTION, RULE, Label, declared

KIND = Label("kind", ", ".join(CHANNELS))
ENGINE = Label("engine", "compiled, gx")
SOURCE = Label("source", "file, put")
ROUTE = Label("route", "validate, audit, suites, health, metrics, docs-site, other")
STATUS = Label("status", "a status code of HTTP")
VALIDITY = Label("outcome", "valid, invalid")
STORED = Label("outcome", "accepted, refused")
BUILT = Label("outcome", "built, failed")

ValidationCounterName: TypeAlias = Union[  # noqa: UP007 - as many are slow to join one by one
    Annotated[Literal["data_validation_requests_total"], "HTTP requests answered", ROUTE, STATUS],
    Annotated[Literal["data_validation_rejected_total"], "HTTP requests refused at the door", REJECTION],
    Annotated[
        Literal["data_validation_records_total"],
        "Records judged for those who posted them to /validate",
        KIND,
        ENGINE,
        VALIDITY,
    ],
    Annotated[
        Literal["data_validation_audit_rows_total"],
        "Records of collectors that real Great Expectations has checked",
        KIND,
        STORED,
    ],
    Annotated[Literal["data_validation_audit_seconds_total"], "Time that the worker spent on audits"],
    Annotated[
        Literal["data_validation_rules_broken_total"],
        "Broken rules that audits found; a rule about a batch counts 1 for the batch",
        KIND,
        RULE,
    ],
    Annotated[
        Literal["data_validation_disagreements_total"],
        "Records of which the gate and Great Expectations say different things",
        KIND,
        RULE,
    ],
    Annotated[
        Literal["data_validation_disagreements_outside_total"],
        "The same of records that came without a proof of CONTROL_TOKEN, and may be forged",
        KIND,
        RULE,
    ],
    Annotated[
        Literal["data_validation_failures_total"], "Times that Great Expectations could not evaluate a rule", KIND, RULE
    ],
    Annotated[Literal["data_validation_suite_changes_total"], "Suites that came into force", KIND, SOURCE],
    Annotated[Literal["data_validation_worker_restarts_total"], "Times that the worker was started again"],
    Annotated[
        Literal["data_validation_output_lines_dropped_total"],
        "Lines of the service's log that were left out, because who reads it was stuck or gone",
    ],
    Annotated[Literal["data_validation_docs_builds_total"], "Builds of the Data Docs", BUILT],
]

ValidationGaugeName: TypeAlias = Union[  # noqa: UP007 - as many are slow to join one by one
    Annotated[Literal["data_validation_suite_faults"], "Files of SUITES_DIR that are refused"],
    Annotated[Literal["data_validation_worker_up"], "1 while the Great Expectations worker answers, else 0"],
    Annotated[Literal["data_validation_worker_memory_bytes"], "Resident memory of the worker, as its last audit told"],
    Annotated[Literal["data_validation_waiting_requests"], "Requests that wait for the worker"],
]

VALIDATION_METRICS = declared(counter=ValidationCounterName, gauge=ValidationGaugeName)
