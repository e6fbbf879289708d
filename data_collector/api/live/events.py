"""The events of `GET /live`: their JSON and their Server-Sent form.

Numbers of the market are texts with the exchange's own digits, times are ms since the epoch. Every event replaces what
an earlier one of its name has said, so a viewer that missed some is right again with the next one.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from data_collector.api.answers import Health, Metrics
from data_collector.api.completeness.gap_answers import GapAnswer
from data_collector.model.status import ConnectionStatus, Snapshot

Access = Literal["open", "token", "closed"]
"""Whether this viewer may write: without a token, with it, or not at all."""

KEEP_ALIVE = b":\n\n"
"""A comment: keeps proxies from thinking that the connection is dead."""

PRELUDE = b"retry: 2000\n\n"
"""How long a browser waits before it connects again, in ms."""


class Focus(Struct, frozen=True):
    """The one series that a viewer looks at."""

    symbol: str
    interval: str


class Hello(Struct, frozen=True):
    """What is collected and what the viewer may do; again whenever it changes."""

    version: str
    environment: str
    service: str
    symbols: list[str]
    intervals: list[str]
    control: Access


class Price(Struct, frozen=True, array_like=True):
    """A row of `prices`."""

    symbol: str
    price: str
    change_percent: str | None
    """Of the last 24 h."""
    volume: str | None
    """Base volume of the last 24 h."""
    at_ms: int | None
    """When the price was made."""


class Prices(Struct, frozen=True):
    """All rows at first, then those that have changed."""

    at: int
    rows: list[Price]


class Candle(Struct, frozen=True):
    """A state of a candle of the focus."""

    symbol: str
    interval: str
    time: int
    """Open time."""
    open: str
    high: str
    low: str
    close: str
    volume: str
    closed: bool


class TapeTrade(Struct, frozen=True, array_like=True):
    """A trade of the tape."""

    trade_id: int
    at_ms: int
    price: str
    quantity: str
    is_buyer_maker: bool


class Tape(Struct, frozen=True):
    """The newest trades of the focus, newest last."""

    symbol: str
    trades: list[TapeTrade]
    left_out: int
    """Trades between the tape before and this one that it has no room for."""


class BestQuote(Struct, frozen=True):
    """Best bid and offer of the focus, where quotes are collected."""

    symbol: str
    bid: str
    bid_quantity: str
    ask: str
    ask_quantity: str


class CompletenessRow(Struct, frozen=True, array_like=True):
    """How complete a symbol's trades are in the store."""

    symbol: str
    percentage: float | None
    """None before the first trade."""
    proven: bool
    held: int
    expected: int
    lost: int
    healed: int
    open_gaps: int


class CompletenessRows(Struct, frozen=True):
    """All symbols."""

    rows: list[CompletenessRow]


class Latency(Struct, frozen=True):
    """Milliseconds from a frame's arrival to the store's acknowledgement, over the last seconds; upper bounds."""

    p50_ms: float | None
    p99_ms: float | None


class StoreState(Struct, frozen=True):
    """Redis or PostgreSQL."""

    name: str
    up: bool | None
    """None when it is not used."""
    detail: str


class Buffer(Struct, frozen=True, omit_defaults=True):
    """What waits somewhere."""

    name: str
    records: int | None = None
    bytes: int | None = None


class GapsNow(Struct, frozen=True):
    """Gaps of the collector's memory, and the newest of the store."""

    open: int
    missing: int
    oldest_open_seconds: float
    newest: list[GapAnswer]


class AuditNow(Struct, frozen=True):
    """How far real Great Expectations is."""

    state: str
    coverage: float


class State(Struct, frozen=True):
    """How the service is; once a second."""

    health: Health
    metrics: Metrics
    connections: list[ConnectionStatus]
    received_per_second: float | None
    stored_per_second: float | None
    latency: Latency
    stores: list[StoreState]
    buffers: list[Buffer]
    gaps: GapsNow
    audit: AuditNow


Event = Hello | Prices | Candle | Tape | BestQuote | CompletenessRows | State

_NAMES: dict[type[Event], str] = {
    Hello: "hello", Prices: "prices", Candle: "candle", Tape: "tape", BestQuote: "quote",
    CompletenessRows: "completeness", State: "state",
}  # fmt: skip

_encode = msgspec.json.Encoder().encode


def event_bytes(event: Event) -> bytes:
    """One event as it goes over the wire; JSON has no line breaks of its own."""
    return b"event: %s\ndata: %s\n\n" % (_NAMES[type(event)].encode(), _encode(event))


def hello_of(snapshot: Snapshot, *, version: str, environment: str, access: Access) -> Hello:
    """What a snapshot says of what is collected."""
    return Hello(version, environment, "data-collector", snapshot.symbols, snapshot.intervals, access)
