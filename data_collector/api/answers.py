"""The JSON of every answer: names and order are the contract's, and nobody may rename or drop one."""

from __future__ import annotations

from typing import Literal

import msgspec
from pydantic import ConfigDict, JsonValue

from data_collector.model.status import Condition, ConnectionStatus, Snapshot
from data_collector.web.answers import Answer, masked

_COUNTERS: dict[str, JsonValue] = {"messages_received": 12345, "messages_validated": 12340, "validation_errors": 5}
_METRICS: dict[str, JsonValue] = {
    **_COUNTERS,
    "validation_success_rate": 99.96,
    "last_message_seconds_ago": 1.23,
    "is_running": True,
    "symbols": ["BTCUSDT"],
    "intervals": ["1m", "5m"],
    "messages_in_flight": 0,
    "gx_audit_coverage": 0.0,
}


def _with_example(example: dict[str, JsonValue]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [example]})


class Health(Answer):
    """How the service is."""

    model_config = _with_example(
        {
            "status": "healthy",
            "service": "data-collector",
            "environment": "production",
            "collector_running": True,
            **_COUNTERS,
            "reasons": [],
        }
    )

    status: Condition
    """`degraded`: an operator must know something. `unhealthy` (503): a task died, or records can go nowhere."""
    service: Literal["data-collector"] = "data-collector"
    environment: str
    collector_running: bool
    messages_received: int
    messages_validated: int
    validation_errors: int
    reasons: list[str]
    """Sentences for the operator, worst first; empty when healthy."""


class Live(Answer):
    """Whether the processes run and answer, whatever their surroundings do."""

    status: Literal["alive", "silent"]
    reasons: list[str]


class Ready(Answer):
    """Whether every stream has spoken or is proven quiet, and repair is done."""

    status: Literal["ready", "not ready"]
    reasons: list[str]


class Metrics(Answer):
    """The counters, since the collector process started."""

    model_config = _with_example(_METRICS)

    messages_received: int
    """Market messages, each once. Always: received = validated + errors + in flight."""
    messages_validated: int
    validation_errors: int
    validation_success_rate: float
    """Percent of validated / (validated + errors), two decimals; 100.0 when there is none yet."""
    last_message_seconds_ago: float | None
    """None before the first message."""
    is_running: bool
    symbols: list[str]
    intervals: list[str]
    messages_in_flight: int
    gx_audit_coverage: float
    """Share, 0 to 1, of the validated messages that real Great Expectations has checked too."""


class Connection(Answer):
    """One line to the exchange."""

    line: str
    state: Literal["connecting", "connected", "waiting", "stopped"]
    streams: int
    connected_since: str | None
    last_message_seconds_ago: float | None
    reconnects: int
    last_error: str | None


class HistoryAnswer(Answer):
    """How PostgreSQL is followed up; `off` without DATABASE_URL."""

    state: Literal["running", "down", "off"]
    reason: str | None
    database: str | None
    """Host, port and database; never the login."""
    rows: dict[str, int]
    """Rows added per channel since the process started."""
    replaced: int
    lag_seconds: float
    """Age of the oldest entry of the store that waits for PostgreSQL."""
    lag_entries: int | None
    """About how many wait: trades by their ids, others by their share of the stream's time. Null while not known."""
    restarts: int


class Status(Answer):
    """What is collected, where to, and through which connections."""

    model_config = _with_example(
        {
            "running": True,
            "symbols": ["BTCUSDT"],
            "intervals": ["1m", "5m"],
            "redis_url": "redis://:***@localhost:6379/0",
            "validation_service_url": "embedded",
            "metrics": _METRICS,
            "connections": [
                {
                    "line": "A",
                    "state": "connected",
                    "streams": 4,
                    "connected_since": "2024-01-01T12:00:00+00:00",
                    "last_message_seconds_ago": 0.1,
                    "reconnects": 0,
                    "last_error": None,
                }
            ],
            "history": {
                "state": "running",
                "reason": None,
                "database": "localhost:5432/market_data",
                "rows": {"kline": 120, "trade": 0, "ticker": 0},
                "replaced": 0,
                "lag_seconds": 0.0,
                "lag_entries": 0,
                "restarts": 0,
            },
        }
    )

    running: bool
    symbols: list[str]
    intervals: list[str]
    redis_url: str | None
    """The address really in use, password masked; null until it is known."""
    validation_service_url: str
    """`embedded` when none is set."""
    metrics: Metrics
    connections: list[Connection]
    history: HistoryAnswer
    """What becomes of records in PostgreSQL."""


class ControlRequest(Answer):
    """What to do with the collection; the HTTP side stays up."""

    model_config = _with_example({"action": "stop"}) | ConfigDict(extra="forbid")

    action: Literal["stop", "start"]


class ControlAnswer(Answer):
    """What has been done."""

    status: Literal["stopped", "started"]


class Reason(Answer):
    """A broken rule."""

    rule: str
    message: str


class Refused(Answer):
    """A record or frame that validation refused."""

    symbol: str
    """`unknown` when it could not be read or was not subscribed."""
    id: str
    """Of the entry in `quarantine:{symbol}`."""
    at: str
    """When, ISO-8601 UTC."""
    reasons: list[Reason]
    record: dict[str, str | int | float | bool | None] | None
    """The record, with the exchange's own digits; null when a frame could not be made into one."""
    frame: str | None
    """The frame as text, cut to 4 KiB; null when there is a record."""


class RuleAnswer(Answer):
    """A rule in force, and how often it was broken since the collector process started."""

    kind: str
    rule: str
    severity: Literal["critical", "warning", "info"]
    """`critical` refuses a record, `warning` marks it, `info` is counted."""
    message: str
    source: Literal["shipped", "user"]
    gated: bool
    """Whether every record is judged by it before it is stored; else only the audit judges by it."""
    broken: int
    """By the gate."""
    broken_in_audit: int
    """By Great Expectations: rows, or batches for a rule about whole batches."""


class AuditAnswer(Answer):
    """How far real Great Expectations has checked what the gate judged."""

    state: Literal["running", "down", "off"]
    reason: str | None
    coverage: float
    """Share, 0 to 1, of the stored messages that it has checked."""
    rows: dict[str, int]
    """Checked messages per kind, refused ones too."""
    waiting: int
    oldest_seconds: float
    skipped: dict[str, int]
    """Messages that it will never check, per kind."""
    disagreements: dict[str, int]
    """`kind/rule` to rows of which gate and Great Expectations say different things: a bug of ours."""
    failures: dict[str, str]
    """`kind/rule` to why it could not be evaluated in the newest audit."""


class ValidationAnswer(Answer):
    """The rules in force, what they found, and how far the audit is."""

    validation_service_url: str
    """`embedded` when none is set."""
    suites: dict[str, str]
    """Kind to the digest of its suite."""
    faults: list[str]
    """Why suites that are offered are not in force."""
    audit: AuditAnswer
    rules: list[RuleAnswer]


class RefusedPage(Answer):
    """The newest refusals, newest first."""

    model_config = _with_example(
        {
            "count": 1,
            "errors": [
                {
                    "symbol": "BTCUSDT",
                    "id": "1704110400123-0",
                    "at": "2024-01-01T12:00:00.123+00:00",
                    "reasons": [{"rule": "price_positive", "message": "The price must be above zero."}],
                    "record": {"symbol": "BTCUSDT", "timestamp": "2024-01-01T12:00:00.120+00:00", "price": -1.5},
                    "frame": None,
                }
            ],
        }
    )

    count: int
    errors: list[Refused]


def health_of(snapshot: Snapshot, environment: str) -> Health:
    """The contract's `/health`."""
    return Health(
        status=snapshot.condition,
        environment=environment,
        collector_running=snapshot.collector_running,
        messages_received=snapshot.messages_received,
        messages_validated=snapshot.messages_validated,
        validation_errors=snapshot.validation_errors,
        reasons=[masked(reason) for reason in snapshot.reasons],
    )


def metrics_of(snapshot: Snapshot) -> Metrics:
    """The contract's `/metrics`."""
    ago = snapshot.last_message_seconds_ago
    coverage = [s.value for s in snapshot.samples if s.name == "data_collector_gx_audit_coverage_ratio"]
    return Metrics(
        messages_received=snapshot.messages_received,
        messages_validated=snapshot.messages_validated,
        validation_errors=snapshot.validation_errors,
        validation_success_rate=success_rate(snapshot.messages_validated, snapshot.validation_errors),
        last_message_seconds_ago=None if ago is None else round(ago, 2),
        is_running=snapshot.collector_running,
        symbols=snapshot.symbols,
        intervals=snapshot.intervals,
        messages_in_flight=snapshot.messages_in_flight,
        gx_audit_coverage=coverage[0] if coverage else 0.0,
    )


def status_of(snapshot: Snapshot) -> Status:
    """The contract's `/status`."""
    return Status(
        running=snapshot.collector_running,
        symbols=snapshot.symbols,
        intervals=snapshot.intervals,
        redis_url=None if snapshot.redis_url is None else masked(snapshot.redis_url),
        validation_service_url=masked(snapshot.validation_service_url),
        metrics=metrics_of(snapshot),
        connections=[_connection_of(connection) for connection in snapshot.connections],
        history=_history_of(snapshot),
    )


def _history_of(snapshot: Snapshot) -> HistoryAnswer:
    found = msgspec.to_builtins(snapshot.history)
    return HistoryAnswer.model_validate({name: found[name] for name in HistoryAnswer.model_fields})


def validation_of(snapshot: Snapshot) -> ValidationAnswer:
    """The rules and their audit."""
    found = msgspec.to_builtins(snapshot.validation)
    faults = [masked(fault) for fault in snapshot.validation.faults]
    url = masked(snapshot.validation_service_url)
    return ValidationAnswer.model_validate(found | {"faults": faults, "validation_service_url": url})


def success_rate(validated: int, errors: int) -> float:
    """Percent with two decimals; 100.0 before there is anything to divide."""
    decided = validated + errors
    return round(100 * validated / decided, 2) if decided else 100.0


def _connection_of(connection: ConnectionStatus) -> Connection:
    ago = connection.last_message_seconds_ago
    return Connection(
        line=connection.line,
        state=connection.state,
        streams=connection.streams,
        connected_since=connection.connected_since,
        last_message_seconds_ago=None if ago is None else round(ago, 2),
        reconnects=connection.reconnects,
        last_error=None if connection.last_error is None else masked(connection.last_error),
    )
