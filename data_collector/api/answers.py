"""The JSON of every answer: names and order are the contract's, and nobody may rename or drop one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field
from pydantic import BaseModel, ConfigDict, Field

from data_collector.model.keys import FIRST_EXCHANGE
from data_collector.model.status import AuditStatus, Condition, ConnectionStatus, HistoryAnswer, RuleStatus, Snapshot
from data_collector.web.answers import Answer, masked

_COUNTERS: Mapping[str, object] = {"messages_received": 12345, "messages_validated": 12340, "validation_errors": 5}
_METRICS: Mapping[str, object] = {
    **_COUNTERS,
    "validation_success_rate": 99.96,
    "last_message_seconds_ago": 1.23,
    "is_running": True,
    "symbols": ["BTCUSDT"],
    "intervals": ["1m", "5m"],
    "messages_in_flight": 0,
    "gx_audit_coverage": 0.0,
}


class Health(Answer, kw_only=True):
    """How the service is."""

    example: ClassVar[Mapping[str, object]] = {
        "status": "healthy",
        "service": "data-collector",
        "environment": "production",
        "collector_running": True,
        **_COUNTERS,
        "reasons": [],
        "exchange": FIRST_EXCHANGE,
    }

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
    exchange: str | None
    """Null until it is known."""


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

    example: ClassVar[Mapping[str, object]] = _METRICS

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
    """As keys of the store have them: with the name of the exchange, but for the first one."""
    intervals: list[str]
    messages_in_flight: int
    gx_audit_coverage: float
    """Share, 0 to 1, of the validated messages that real Great Expectations has checked too."""


class MemoryStatus(Answer):
    """How Market Memory is; `off` without MEMORY=1."""

    state: Literal["off", "starting", "filling", "running", "down"] = "off"
    reason: str | None = None
    candles: dict[str, int] = field(default_factory=dict)
    """`symbol interval` to how many are remembered."""
    filling: dict[str, int] = field(default_factory=dict)
    """The same of series that cannot be asked about yet."""
    restarts: int = 0
    """Times that its process was started again: it had died, or there are other stores."""
    resident_bytes: int = 0
    """Memory of that process."""


class Status(Answer):
    """What is collected, where to, and through which connections."""

    example: ClassVar[Mapping[str, object]] = {
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
            "refused": {},
            "lag_seconds": 0.0,
            "lag_entries": 0,
            "restarts": 0,
        },
        "memory": {
            "state": "running",
            "reason": None,
            "candles": {"BTCUSDT 1m": 43200},
            "filling": {},
            "restarts": 0,
            "resident_bytes": 73400320,
        },
        "exchange": FIRST_EXCHANGE,
    }

    running: bool
    symbols: list[str]
    intervals: list[str]
    redis_url: str | None
    """The address really in use, password masked; null until it is known."""
    validation_service_url: str
    """`embedded` when none is set."""
    metrics: Metrics
    connections: list[ConnectionStatus]
    history: HistoryAnswer
    """What becomes of records in PostgreSQL."""
    memory: MemoryStatus
    """What `/similar` knows."""
    exchange: str | None
    """Null until it is known."""


class SeveralStatus(Status):
    """The same of several exchanges: numbers are sums, symbols have the exchange before them."""

    exchanges: dict[str, Status]
    """Each by itself."""


class ControlRequest(BaseModel):
    """What to do with the collection; the HTTP side stays up."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"action": "stop"}]})

    action: Literal["stop", "start"]
    exchange: str | None = Field(None, max_length=64, description="One that is collected. Default: the first.")


class ControlAnswer(Answer):
    """What has been done."""

    status: Literal["stopped", "started"]
    exchange: str | UnsetType = UNSET
    """Whose collection, where there are several."""


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
    record: Annotated[msgspec.Raw, Meta(extra_json_schema={"type": ["object", "null"]})]
    """The record, with the exchange's own digits; null when a frame could not be made into one."""
    frame: str | None
    """The frame as text, cut to 4 KiB; null when there is a record."""
    exchange: str | UnsetType = UNSET
    """Where those of several exchanges are answered together."""


class ValidationAnswer(Answer):
    """The rules in force, what they found, and how far the audit is."""

    validation_service_url: str
    """`embedded` when none is set."""
    suites: dict[str, str]
    """Kind to the digest of its suite."""
    faults: list[str]
    """Why suites that are offered are not in force."""
    audit: AuditStatus
    rules: list[RuleStatus]


class SeveralValidation(ValidationAnswer):
    """The same of several exchanges: numbers are sums."""

    exchanges: dict[str, ValidationAnswer]
    """Each by itself."""


class RefusedPage(Answer):
    """The newest refusals, newest first."""

    example: ClassVar[Mapping[str, object]] = {
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
        exchange=snapshot.exchange,
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
        symbols=[f"{snapshot.key_prefix}{symbol}" for symbol in snapshot.symbols],
        intervals=snapshot.intervals,
        messages_in_flight=snapshot.messages_in_flight,
        gx_audit_coverage=coverage[0] if coverage else 0.0,
    )


def joined_memory(each: Mapping[str, MemoryStatus]) -> MemoryStatus:
    """Of several exchanges as one: the worst state, and the sums; series have the exchange before them."""
    states = ("down", "starting", "filling", "running", "off")
    worst = min(each.values(), key=lambda memory: states.index(memory.state))
    reasons = [f"{name}: {memory.reason}" for name, memory in each.items() if memory.reason is not None]
    return MemoryStatus(
        worst.state, "; ".join(reasons) or None,
        candles={f"{name}:{series}": n for name, memory in each.items() for series, n in memory.candles.items()},
        filling={f"{name}:{series}": n for name, memory in each.items() for series, n in memory.filling.items()},
        restarts=sum(memory.restarts for memory in each.values()),
        resident_bytes=sum(memory.resident_bytes for memory in each.values()),
    )  # fmt: skip


def status_of(snapshot: Snapshot, memory: MemoryStatus | None = None) -> Status:
    """The contract's `/status`."""
    return Status(
        running=snapshot.collector_running,
        symbols=snapshot.symbols,
        intervals=snapshot.intervals,
        redis_url=None if snapshot.redis_url is None else masked(snapshot.redis_url),
        validation_service_url=masked(snapshot.validation_service_url),
        metrics=metrics_of(snapshot),
        connections=[_connection_of(connection) for connection in snapshot.connections],
        history=msgspec.convert(snapshot.history, HistoryAnswer, from_attributes=True),
        memory=memory or MemoryStatus(),
        exchange=snapshot.exchange,
    )


def validation_of(snapshot: Snapshot) -> ValidationAnswer:
    """The rules and their audit."""
    found = snapshot.validation
    return ValidationAnswer(
        validation_service_url=masked(snapshot.validation_service_url),
        suites=found.suites,
        faults=[masked(fault) for fault in found.faults],
        audit=found.audit,
        rules=found.rules,
    )


def success_rate(validated: int, errors: int) -> float:
    """Percent with two decimals; 100.0 before there is anything to divide."""
    decided = validated + errors
    return round(100 * validated / decided, 2) if decided else 100.0


def _connection_of(connection: ConnectionStatus) -> ConnectionStatus:
    ago, error = connection.last_message_seconds_ago, connection.last_error
    return msgspec.structs.replace(
        connection,
        last_message_seconds_ago=None if ago is None else round(ago, 2),
        last_error=None if error is None else masked(error),
    )
