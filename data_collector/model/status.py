"""What the collector process tells of itself: made by the service, read by the HTTP side and the command line.

It crosses a process border as msgpack, so everything in here is plain data, and secrets are already masked
(`store_url` alone is whole: it goes to our own HTTP process, which reads the store with it, and no further).
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from data_collector.model.keys import Channel, Key, StoreKeys
from data_collector.model.subscriptions import ChangeStatus

SIMULATED_MARKET = "the simulated market"
"""What the `source` of a demo begins with; that of a service is an address."""

Condition = Literal["healthy", "degraded", "unhealthy"]


class ConnectionStatus(Struct):
    """One line to the exchange."""

    line: str
    state: Literal["connecting", "connected", "waiting", "stopped"]
    streams: int
    connected_since: str | None = None
    """ISO-8601 UTC."""
    last_message_seconds_ago: float | None = None
    reconnects: int = 0
    last_error: str | None = None


class Sample(Struct):
    """One Prometheus sample family member: a counter or a gauge named in `observe.metrics`."""

    name: str
    value: float
    labels: dict[str, str] = field(default_factory=dict)


class Histogram(Struct):
    """A Prometheus histogram: `counts[i]` observations in the bucket that ends at `bounds[i]`; one more for +Inf."""

    name: str
    bounds: list[float]
    counts: list[int]
    total: float
    """Sum of the observed values."""
    labels: dict[str, str] = field(default_factory=dict)


class RuleStatus(Struct):
    """One rule in force, and how often it was broken since the process started."""

    kind: str
    rule: str
    severity: Literal["critical", "warning", "info"]
    """`critical` refuses a record, `warning` marks it, `info` is counted."""
    message: str
    source: Literal["shipped", "user"]
    gated: bool
    """Whether each record is judged by it before it is stored; else only the audit judges by it."""
    broken: int = 0
    """By the gate."""
    broken_in_audit: int = 0
    """By Great Expectations: rows, or batches for a rule about whole batches."""


class AuditStatus(Struct):
    """How far real Great Expectations has checked what the gate judged."""

    state: Literal["running", "down", "off"] = "off"
    reason: str | None = None
    coverage: float = 0.0
    """Share of the stored messages that were checked, 0 to 1."""
    rows: dict[str, int] = field(default_factory=dict)
    """Checked messages per kind, refused ones too."""
    waiting: int = 0
    """Messages that wait for the next audit."""
    oldest_seconds: float = 0.0
    """How long the oldest of them has been waiting."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Messages that will never be checked, per kind."""
    disagreements: dict[str, int] = field(default_factory=dict)
    """`kind/rule` to rows of which gate and Great Expectations say different things: a bug of ours."""
    failures: dict[str, str] = field(default_factory=dict)
    """`kind/rule` to why Great Expectations could not evaluate it in the newest audit."""
    every_seconds: float | None = None
    """GX_AUDIT_SECONDS: how long a message waits at most; null while the audit is off."""
    next_seconds: float | None = None
    """Until the next audit begins at the latest; 0 while one is under way or late, null while nothing waits."""
    waiting_bytes: int = 0
    """Memory of what waits in sealed chunks. A batch that is full is audited at once."""
    pairs: int = 0
    """Of a rule and a row that it is about, in the batches that were checked: as many as there should be."""
    evaluated: int = 0
    """Such pairs that Great Expectations reports as evaluated: as many as there were."""


class ValidationStatus(Struct):
    """The rules in force and what became of them."""

    suites: dict[str, str] = field(default_factory=dict)
    """Kind to the digest of its suite."""
    faults: list[str] = field(default_factory=list)
    """Why suites that were offered are not in force."""
    rules: list[RuleStatus] = field(default_factory=list)
    audit: AuditStatus = field(default_factory=AuditStatus)


class HistoryAnswer(Struct):
    """How PostgreSQL is followed up; `off` without DATABASE_URL."""

    state: Literal["running", "down", "off"] = "off"
    reason: str | None = None
    database: str | None = None
    """Host, port and database; never the login."""
    rows: dict[str, int] = field(default_factory=dict)
    """Channel to rows added since the process started."""
    replaced: int = 0
    """Rows replaced by others that differ."""
    refused: dict[str, str] = field(default_factory=dict)
    """Symbol to why PostgreSQL refuses its rows; the others are written, and the store keeps what waits."""
    lag_seconds: float = 0.0
    """Age of the oldest entry of the store that waits; 0 when nothing does."""
    lag_entries: int | None = None
    """About how many wait: trades by their ids, others by their share of the stream's time. Null while not known."""
    restarts: int = 0
    """Times that the writer had to be started again."""


class HistoryStatus(HistoryAnswer):
    """What becomes of records in PostgreSQL: what people are told, and what only we need to know."""

    is_beginning: bool = False
    """The embedded server is not up yet, for the first time."""
    deleted: dict[str, int] = field(default_factory=dict)
    """Table to rows that were older than the retention, since the process started."""
    deletion_reason: str | None = None
    """Why such rows stay; None when they went, or are not looked for."""


HEAL_BOUNDS_S = (
    0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
)  # fmt: skip
"""Buckets for the time that a gap was open; ten minutes is when it is given up."""


class GapEvent(Struct, array_like=True):
    """One thing that happened to a gap."""

    at_s: float
    """Unix time."""
    what: str
    """`opened`, `grown`, `healed`, `given_up`, `withdrawn`, or what was tried."""
    first: int = 0
    last: int = 0
    count: int = 0
    """Records it is about; 0 where it is about none."""
    by: str = ""
    """What healed it, or the reason why it was given up."""
    times: int = 1
    """It happened so often in a row."""
    until_s: float | None = None
    """When it happened last, if more than once."""


class GapLife(Struct, array_like=True):
    """A gap from its beginning on."""

    id: str
    key: Key
    first: int
    """Trade id, or open time in ms; of the whole gap, not of what is left of it."""
    last: int
    count: int
    missing: int
    """Of `count`, how many records are still waited for."""
    opened_at_s: float
    closed_at_s: float | None = None
    """None while it is open."""
    healed: dict[str, int] = field(default_factory=dict)
    """Source to records that came from it."""
    given_up: dict[str, int] = field(default_factory=dict)
    """Reason to records passed over."""
    events: list[GapEvent] = field(default_factory=list)
    """Oldest first; a bounded number."""
    events_left_out: int = 0
    """How many are missing in the middle."""
    epoch: int = 0
    """In which its trade ids are unique."""
    rules: list[str] = field(default_factory=list)
    """Those that refused what was passed over as `refused`."""


class GapTotals(Struct, array_like=True):
    """What became of all gaps of a symbol's trades or klines since the process started."""

    symbol: str
    channel: str
    gaps: int = 0
    healed: dict[str, int] = field(default_factory=dict)
    """Source to records."""
    given_up: dict[str, int] = field(default_factory=dict)
    """Reason to records."""
    heal_counts: list[int] = field(default_factory=lambda: [0] * (len(HEAL_BOUNDS_S) + 1))
    """Gaps healed within each of `HEAL_BOUNDS_S`, and beyond."""
    heal_longest_s: float = 0.0


class GapsStatus(Struct):
    """The gaps that are known to the process. Lists are cut; counts are not."""

    open_count: int = 0
    missing: int = 0
    """Records of the open gaps that are still waited for."""
    oldest_open_s: float = 0.0
    """How long the oldest has been open; 0 without one."""
    open: list[GapLife] = field(default_factory=list)
    """The oldest."""
    closed: list[GapLife] = field(default_factory=list)
    """The newest, newest first."""
    totals: list[GapTotals] = field(default_factory=list)
    """Of symbols that have had a gap."""


class Snapshot(Struct, kw_only=True):
    """The state of the collector at one moment."""

    condition: Condition = "unhealthy"
    reasons: list[str] = field(default_factory=list)
    """Sentences for the operator, worst first; empty when healthy."""
    ready: bool = False
    """Every stream has spoken or is proven quiet, the store takes records, and repair is done."""
    collector_running: bool = False
    symbols: list[str] = field(default_factory=list)
    uncollected: dict[str, str] = field(default_factory=dict)
    """Those of `symbols` of which nothing can come as things are: not checked yet, not listed, not traded."""
    intervals: list[str] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    messages_received: int = 0
    messages_validated: int = 0
    validation_errors: int = 0
    messages_in_flight: int = 0
    last_message_seconds_ago: float | None = None
    store_url: str | None = None
    """Where the store really is, password included; None until it is known."""
    redis_url: str | None = None
    """The address of the store for people: password masked."""
    source: str | None = None
    """What the store is filled from, as it is claimed there; None until it is known."""
    folder: str | None = None
    """The part of VAR_DIR that is the collector's; None until it is known."""
    validation_service_url: str = "embedded"
    exchange: str | None = None
    """Its name; None until it is known."""
    key_prefix: str = ""
    """What every key of this exchange begins with."""
    validation: ValidationStatus = field(default_factory=ValidationStatus)
    history: HistoryStatus = field(default_factory=HistoryStatus)
    database_url: str | None = None
    """Of the embedded PostgreSQL, for the one screen of a demo; a given one stays with who gave it."""
    gaps: GapsStatus = field(default_factory=GapsStatus)
    foreign: dict[str, str] = field(default_factory=dict)
    """Keys of the store that somebody else uses or wrote into, and the reason with its cure."""
    connections: list[ConnectionStatus] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    histograms: list[Histogram] = field(default_factory=list)
    subscriptions: ChangeStatus | None = None
    """In answers to questions about it only: the names of all streams are much."""
    acting: bool = False
    """A start or stop was begun and is not done."""
    silent_seconds: float | None = None
    """How old all this is, where the collector does not answer; the HTTP process says so. None: it is of now."""
    ending: str | None = None
    """Of a process that ends by itself: why, with the cure."""

    @property
    def has_begun(self) -> bool:
        """Whether records are collected, or waited for, and all stores are known."""
        return self.collector_running and self.redis_url is not None and not self.history.is_beginning

    @property
    def store_keys(self) -> StoreKeys:
        """The names of this exchange's keys."""
        return StoreKeys(self.key_prefix)
