"""The events of `GET /live`: their JSON, their Server-Sent form, and how they wait for a viewer.

Numbers of the market are texts with the exchange's own digits, times are ms since the epoch. Every event replaces what
an earlier one of its name, and of its exchange, has said, so a viewer that missed some is right again with the next.

`exchange` stands in every event where several are collected, and in `hello` alone where one is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import Struct

from data_collector.api.answers import Health, Metrics
from data_collector.api.completeness.gap_answers import GapAnswer
from data_collector.model.status import ConnectionStatus

Access = Literal["open", "token", "closed"]
"""Whether this viewer may write: without a token, with it, or not at all."""

KEEP_ALIVE = b":\n\n"
"""A comment: keeps proxies from thinking that the connection is dead."""

PRELUDE = b"retry: 2000\n\n"
"""How long a browser waits before it connects again, in ms."""

TAPE_TRADES_MAX = 50
CANDLES_MAX = 3
"""The one that has just closed, the open one, and one more for a viewer that was held up."""


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
    exchange: str | None
    exchanges: list[str]
    """All that are collected, in the order of `EXCHANGES`."""
    simulated: bool
    """The market is made up: this is a demo."""
    address: str | None
    """Host and port that the streams come from, where they were named; None is the exchange's own."""


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


class Prices(Struct, frozen=True, omit_defaults=True):
    """All rows at first, then those that have changed."""

    at: int
    rows: list[Price]
    exchange: str | None = None


class CandleState(Struct, frozen=True, omit_defaults=True):
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
    exchange: str | None = None


class TapeTrade(Struct, frozen=True, array_like=True):
    """A trade of the tape."""

    trade_id: int
    at_ms: int
    price: str
    quantity: str
    is_buyer_maker: bool | None


class TapeState(Struct, frozen=True, omit_defaults=True):
    """The newest trades of the focus, newest last."""

    symbol: str
    trades: list[TapeTrade]
    left_out: int
    """Trades between the tape before and this one that it has no room for."""
    exchange: str | None = None


class BestQuote(Struct, frozen=True, omit_defaults=True):
    """Best bid and offer of the focus, where quotes are collected."""

    symbol: str
    bid: str | None
    """None while nobody bids."""
    bid_quantity: str
    ask: str | None
    """None while nobody offers."""
    ask_quantity: str
    exchange: str | None = None


class TickerState(Struct, frozen=True, omit_defaults=True):
    """Statistics of 24 h of the focus, as of `latest:{symbol}`; None is what the exchange does not tell."""

    symbol: str
    high: str | None
    low: str | None
    quote_volume: str | None
    bid: str | None
    ask: str | None
    exchange: str | None = None


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


class CompletenessRows(Struct, frozen=True, omit_defaults=True):
    """All symbols."""

    rows: list[CompletenessRow]
    exchange: str | None = None


class Latency(Struct, frozen=True):
    """Milliseconds from a frame's arrival to the store's acknowledgement, over the last seconds; upper bounds."""

    p50_ms: float | None
    p99_ms: float | None


class StoreState(Struct, frozen=True):
    """Redis or PostgreSQL."""

    name: str
    up: bool | None
    """None when it is not used, or not known."""
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
    every_seconds: float | None
    next_seconds: float | None


class State(Struct, frozen=True, omit_defaults=True):
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
    exchange: str | None = None
    silent_seconds: float | None = None
    """The collector does not answer: how old all this is."""


Event = Hello | Prices | CandleState | TapeState | BestQuote | TickerState | CompletenessRows | State

_NAMES: dict[type[Event], str] = {
    Hello: "hello", Prices: "prices", CandleState: "candle", TapeState: "tape", BestQuote: "quote",
    TickerState: "ticker", CompletenessRows: "completeness", State: "state",
}  # fmt: skip

_encode = msgspec.json.Encoder().encode


def event_bytes(event: Event) -> bytes:
    """One event as it goes over the wire; JSON has no line breaks of its own."""
    return b"event: %s\ndata: %s\n\n" % (_NAMES[type(event)].encode(), _encode(event))


class Viewer:
    """One viewer of an exchange and what waits for it: the newest of everything, however slowly it reads.

    Offered to from the feed, taken from by the answer; both on the event loop.

    A viewer that does not take holds one row per symbol, the newest trades of one tape, a few candles, and one of each
    other event.
    """

    def __init__(self, focus: Focus | None, access: Access, exchange: str | None, woken: asyncio.Event) -> None:
        """`exchange` where there are several; `woken` is set when there is something to take, or nothing ever will be.

        Who looks at several exchanges is woken by any.
        """
        self.focus = focus
        self.access = access
        self._exchange = exchange
        self._woken = woken
        self.is_over = False
        """Nothing comes any more: the service ends."""
        self._hello: Hello | None = None
        self._hello_told: Hello | None = None
        self._prices: dict[str, Price] = {}
        self._prices_ms = 0
        self._candles: dict[int, CandleState] = {}
        self._tape: deque[TapeTrade] = deque(maxlen=TAPE_TRADES_MAX)
        self._left_out = 0
        self._encoded: dict[str, bytes] = {}

    def offer_hello(self, hello: Hello) -> None:
        """Told when it differs from what was told."""
        if hello != self._hello_told:
            self._hello = hello
            self._wake()

    def offer_prices(self, at_ms: int, rows: Iterable[Price]) -> None:
        """A newer row takes the place of the one that waits."""
        self._prices.update((row.symbol, row) for row in rows)
        self._prices_ms = at_ms
        if self._prices:
            self._wake()

    def offer_candles(self, candles: Iterable[CandleState]) -> None:
        """The newest state of each, oldest candle first."""
        for candle in candles:
            self._candles[candle.time] = candle
        while len(self._candles) > CANDLES_MAX:
            del self._candles[min(self._candles)]
        if self._candles:
            self._wake()

    def offer_trades(self, trades: Iterable[TapeTrade], left_out: int) -> None:
        """Newest last."""
        for trade in trades:
            if len(self._tape) == TAPE_TRADES_MAX:
                self._left_out += 1
            self._tape.append(trade)
        self._left_out += left_out
        if self._tape:
            self._wake()

    def offer_encoded(self, name: str, event: bytes) -> None:
        """An event that is the same for everybody; a newer one takes its place."""
        self._encoded[name] = event
        self._wake()

    def end(self) -> None:
        """Nothing comes any more."""
        self.is_over = True
        self._woken.set()

    def take(self) -> bytes:
        """All that waits."""
        parts: list[bytes] = []
        if self._hello is not None:
            parts.append(event_bytes(self._hello))
            self._hello_told, self._hello = self._hello, None
        parts += self._encoded.values()
        self._encoded = {}
        if self._prices:
            parts.append(event_bytes(Prices(self._prices_ms, list(self._prices.values()), self._exchange)))
            self._prices = {}
        parts += [event_bytes(self._candles[time]) for time in sorted(self._candles)]
        self._candles = {}
        if self._tape and self.focus is not None:
            tape = TapeState(self.focus.symbol, list(self._tape), self._left_out, self._exchange)
            parts.append(event_bytes(tape))
            self._tape.clear()
            self._left_out = 0
        return b"".join(parts)

    def _wake(self) -> None:
        # Whoever does not know yet what is collected can make nothing of the rest.
        if self._hello is not None or self._hello_told is not None:
            self._woken.set()
