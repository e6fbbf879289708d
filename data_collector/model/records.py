"""The records that venues decode into and sinks write.

Prices and quantities are the exchange's own decimal text, never a binary float: the digits that came are the
digits that are stored. Times are integers in UTC with the unit in the name. `received_ns` is the local wall
clock before decoding, in nanoseconds; 0 for a record that did not come from a stream. None is what the exchange does
not tell, and never zero.

The JSON that users read is made from these in one place, `data_collector.model.wire`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Final, Generic, Literal, TypeVar, get_args

from msgspec import Struct


class Trade(Struct, frozen=True, gc=False):
    """One match of one buyer with one seller. Continuity: trade ids grow by one per symbol."""

    symbol: str
    trade_id: int
    price: str
    quantity: str
    time_ms: int
    """When the match took place, by the exchange's clock. Not unique and not an order: ids are."""
    event_ms: int
    """When the exchange sent it; equals `time_ms` where the source has no such time (REST)."""
    is_buyer_maker: bool | None
    """True when the taker sold."""
    received_ns: int = 0
    buyer_order_id: int | None = None
    """None where the exchange does not tell the orders."""
    seller_order_id: int | None = None
    sub_ms_us: int | None = None
    """Microseconds after `time_ms` (0 to 999) where the source speaks microseconds; None where it speaks ms."""


class Kline(Struct, frozen=True, gc=False):
    """The candle of one symbol and interval. Closed klines are periodic; of an open one the newest wins."""

    symbol: str
    interval: str
    open_ms: int
    close_ms: int
    """Last millisecond that belongs to the kline: the next open time minus one."""
    open: str
    high: str
    low: str
    close: str
    volume: str
    """In base currency."""
    quote_volume: str | None
    taker_buy_base_volume: str | None
    taker_buy_quote_volume: str | None
    trades: int | None
    """How many trades the kline has."""
    is_closed: bool
    event_ms: int
    """When the exchange sent it; newer replaces older of the same open time."""
    first_trade_id: int = -1
    """-1 where unknown (REST) or where the kline has no trade."""
    last_trade_id: int = -1
    received_ns: int = 0


class Ticker(Struct, frozen=True, gc=False, kw_only=True):
    """Statistics of the rolling 24 hours."""

    symbol: str
    price_change: str | None = None
    price_change_percent: str | None = None
    weighted_avg_price: str | None = None
    prev_close_price: str | None = None
    """Price of the last trade before the window."""
    last_price: str | None = None
    last_qty: str | None = None
    bid_price: str | None = None
    bid_qty: str | None = None
    ask_price: str | None = None
    ask_qty: str | None = None
    open_price: str | None = None
    high_price: str | None = None
    low_price: str | None = None
    volume: str
    """In base currency."""
    quote_volume: str | None = None
    open_time: int | None = None
    """Start of the window, ms."""
    close_time: int | None = None
    """End of the window, ms."""
    first_id: int | None = None
    """First trade id of the window; -1 where the window has no trade."""
    last_id: int | None = None
    """Last trade id of the window: tells whether `last_price` is newer than a trade's price; -1 as above."""
    count: int | None = None
    event_ms: int
    received_ns: int = 0


class AggregateTrade(Struct, frozen=True, gc=False):
    """Trades of one taker order at one price and moment, joined. Decoded for subclasses, not collected."""

    symbol: str
    aggregate_id: int
    price: str
    quantity: str
    first_trade_id: int
    last_trade_id: int
    time_ms: int
    event_ms: int
    is_buyer_maker: bool
    received_ns: int = 0


class MiniTicker(Struct, frozen=True, gc=False):
    """The short form of `Ticker`. Decoded for subclasses, not collected."""

    symbol: str
    last_price: str
    open_price: str
    high_price: str
    low_price: str
    volume: str
    quote_volume: str
    event_ms: int
    received_ns: int = 0


class Quote(Struct, frozen=True, gc=False):
    """Best bid and offer. The exchange sends no time with it."""

    symbol: str
    update_id: int
    """Grows strictly per symbol."""
    bid: str
    bid_quantity: str
    ask: str
    ask_quantity: str
    received_ns: int = 0


Record = Trade | Kline | Ticker | AggregateTrade | MiniTicker | Quote

Row = TypeVar("Row", Kline, Trade)
"""What is kept for good."""


Source = Literal["ws", "rest", "built", "file"]
"""The exchange's stream, its REST side, our trades or what their ids prove, published files."""


class Origin(Struct, frozen=True):
    """Where a stored record is from."""

    source: Source | None = "ws"
    """None where it is not known."""
    warnings: tuple[str, ...] = ()
    """Rules that it is marked with."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Names and values in turn, of an entry that holds the record: only what is out of the ordinary."""
        warnings = ("warnings", ",".join(self.warnings)) if self.warnings else ()
        return warnings if self.source == "ws" else (*warnings, "src", self.source or "unknown")


STREAMED = Origin("ws")
"""From the stream, and no rule marks it: the ordinary case."""


def received_origin(record: Trade | Kline, warnings: tuple[str, ...] = ()) -> Origin:
    """Of a record that the exchange has sent us."""
    return Origin("ws" if record.received_ns else "rest", warnings)


def known_origin(source: object, warnings: Iterable[object]) -> Origin:
    """Of words that anybody may have written: what is none of ours is not known."""
    return Origin(_SOURCES.get(source), known_rules(warnings))


def known_rules(words: Iterable[object]) -> tuple[str, ...]:
    """Those of the words that a rule may be named by."""
    rules = (word for word in words if isinstance(word, str) and _RULE.fullmatch(word))
    return tuple(islice(rules, RULES_MAX))


_SOURCES: Final[Mapping[object, Source]] = {name: name for name in get_args(Source)}
RULES_MAX = 1000
"""Of one row; no suite has as many."""

RULE_PATTERN = "[a-z][a-z0-9_]{0,63}"

_RULE = re.compile(RULE_PATTERN)


class Sourced(Struct, Generic[Row], frozen=True):
    """A stored record and where it is from."""

    record: Row
    origin: Origin
    epoch: int = 0
    """In which its trade id is unique."""


SAME_MOMENT_US = 2
"""Of one trade: some exchanges tell its time here as text and there as a float that has lost digits."""


def same_number(mine: str | int, other: str | int) -> bool:
    """Whether two texts are of one number: an exchange may write zeros at its end here, and not there."""
    if mine == other:
        return True
    try:
        return Decimal(mine) == Decimal(other)
    except InvalidOperation:
        # One of them is no number.
        return False


def same_moment(mine: Trade, other: Trade) -> bool:
    """Whether two copies of a trade tell one time, as far as both tell it."""
    if mine.time_ms == other.time_ms or mine.sub_ms_us is None or other.sub_ms_us is None:
        return mine.time_ms == other.time_ms
    return abs((mine.time_ms - other.time_ms) * 1000 + mine.sub_ms_us - other.sub_ms_us) <= SAME_MOMENT_US
