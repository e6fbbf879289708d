"""Records read back from the store's streams: `data_collector.model.wire` undone, digits as they stand there.

Anybody with a login can write into a stream. What no database could hold is no record either: one such entry would
keep all that come after it from being stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from data_collector.model.calendar import LATEST_MS, TIMES_END_MS, Calendar
from data_collector.model.gaps import Gap, GapReason
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Ticker, Trade, known_rules

NO_RECORD = (msgspec.MsgspecError, ValueError, KeyError, IndexError, OverflowError, RecursionError)
"""What parsers and the calendar raise of things that nobody of ours has written."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LENGTH_WITH_MS = len("2024-01-01T12:00:00.123+00:00")
_INTERVAL = re.compile("[1-9][0-9]{0,3}[smhdwM]")

CLOSED = '"is_closed":true'
OPEN = '"is_closed":false'
"""So the records of klines have it."""

EPOCH_DIGITS_MAX = 9
"""PostgreSQL's integer holds them."""

NUMBER_CHARACTERS_MAX = 64
"""As the gate has it."""

_Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Name = Annotated[str, Meta(max_length=64, pattern="^[^\\x00-\\x1f]*$")]

AHEAD_MS = 60_000
"""By so much a clock may be behind the one that the collector goes by."""

EARLIEST_MS = 946_684_800_000
"""The year 2000: no exchange tells of klines from before."""

_KLINE_STATE = re.compile(r"(-?\d{1,15}) -?\d{1,15} -?\d{1,15}", re.ASCII)
"""See append_klines in functions.lua."""

_DECIMAL = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,3})?", re.ASCII)
_TIMES = ("event_ms", "open_time", "close_time")
_INTEGER_MAX = 2**63 - 1


class _StoredKline(Struct):
    symbol: _Name
    timestamp: str
    interval: str
    open: Raw
    high: Raw
    low: Raw
    close: Raw
    volume: Raw
    trades: _Integer | None
    is_closed: bool
    quote_volume: Raw
    taker_buy_base_volume: Raw
    taker_buy_quote_volume: Raw


class _StoredTrade(Struct):
    symbol: _Name
    timestamp: str
    trade_id: _Integer
    price: Raw
    quantity: Raw
    is_buyer_maker: bool | None
    buyer_order_id: _Integer | None = None
    seller_order_id: _Integer | None = None


class _StoredGap(Struct):
    symbol: _Name
    channel: Literal["trade", "kline"]
    interval: _Name | None
    first: _Id | str
    """A trade id, or an open time as ISO text."""
    last: _Id | str
    count: _Id
    reason: GapReason
    rules: tuple[str, ...] = ()
    recorded_at: str = ""


class DeclaredGap(Struct, frozen=True):
    """An entry of `gaps:`."""

    key: Key
    gap: Gap
    recorded_at: str
    """ISO-8601 UTC."""
    epoch: int = 0
    """Of trade ids."""


_kline_decoder = msgspec.json.Decoder(_StoredKline)
_trade_decoder = msgspec.json.Decoder(_StoredTrade)
_gap_decoder = msgspec.json.Decoder(_StoredGap)


def stored_kline(text: str, calendar: Calendar) -> Kline:
    """The kline of a `stream:` entry. Raises `msgspec.MsgspecError` or `ValueError` for anything else."""
    k = _kline_decoder.decode(text)
    _check_interval(k.interval)
    open_ms = _microseconds(k.timestamp) // 1000
    close_ms = calendar.next_open_ms(k.interval, open_ms) - 1
    return Kline(
        symbol=k.symbol, interval=k.interval, open_ms=open_ms, close_ms=close_ms, open=_digits(k.open),
        high=_digits(k.high), low=_digits(k.low), close=_digits(k.close), volume=_digits(k.volume),
        quote_volume=_told(k.quote_volume), taker_buy_base_volume=_told(k.taker_buy_base_volume),
        taker_buy_quote_volume=_told(k.taker_buy_quote_volume), trades=k.trades, is_closed=k.is_closed,
        event_ms=close_ms,
    )  # fmt: skip


def due_open_ms(state: object, now_ms: int) -> int | None:
    """What `collector:klines:` says of a series must close next; below 0 before its first.

    None for what nobody of ours has written, such as a kline that does not open before long.
    """
    told = _KLINE_STATE.fullmatch(state) if isinstance(state, str) else None
    due_ms = -1 if told is None else int(told[1])
    return None if told is None or 0 <= due_ms < EARLIEST_MS or due_ms > now_ms + AHEAD_MS else due_ms


def stored_trade(text: str) -> Trade:
    """The trade of a `trades:` entry. Raises `msgspec.MsgspecError` or `ValueError` for anything else."""
    t = _trade_decoder.decode(text)
    time_ms, sub_ms_us = divmod(_microseconds(t.timestamp), 1000)
    return Trade(
        symbol=t.symbol, trade_id=t.trade_id, price=_digits(t.price), quantity=_digits(t.quantity), time_ms=time_ms,
        event_ms=time_ms, is_buyer_maker=t.is_buyer_maker, buyer_order_id=t.buyer_order_id,
        seller_order_id=t.seller_order_id, sub_ms_us=sub_ms_us if len(t.timestamp) > _LENGTH_WITH_MS else None,
    )  # fmt: skip


def stored_ticker(symbol: str, fields: Mapping[str, str]) -> Ticker:
    """The newest ticker in the hash `latest:`. Raises `msgspec.MsgspecError` or `ValueError` for anything else."""
    ticker = msgspec.convert({**fields, "symbol": symbol}, Ticker, strict=False)
    for name in Ticker.__struct_fields__[1:]:
        value = getattr(ticker, name)
        if value is None:
            continue
        if isinstance(value, int):
            is_good = 0 <= value <= LATEST_MS if name in _TIMES else -1 <= value <= _INTEGER_MAX
        else:
            is_good = _DECIMAL.fullmatch(value) is not None
        if not is_good:
            raise ValueError(f"{name} is no number that a ticker has")
    return ticker


def kline_or_none(text: str, calendar: Calendar) -> Kline | None:
    """None for a text that is no kline record."""
    try:
        return stored_kline(text, calendar)
    except NO_RECORD:
        return None


def trade_or_none(text: str) -> Trade | None:
    """None for a text that is no trade record."""
    try:
        return stored_trade(text)
    except NO_RECORD:
        return None


def gap_or_none(fields: Mapping[str, str]) -> DeclaredGap | None:
    """None for an entry that declares no gap."""
    try:
        return stored_gap(fields)
    except NO_RECORD:
        return None


def stored_epoch(fields: Mapping[str, str]) -> int:
    """The epoch that an entry is of. Raises `ValueError` for what is none."""
    text = fields.get("epoch", "0")
    epoch = epoch_number(text)
    if epoch is None:
        raise ValueError("an epoch is a number")
    return epoch


def epoch_number(text: object) -> int | None:
    """Of a key or field; None for what is no epoch."""
    is_number = isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= EPOCH_DIGITS_MAX
    return int(text) if isinstance(text, str) and is_number else None


def epoch_or_first(fields: Mapping[str, str]) -> int:
    """0 also for an entry that nobody of ours has written."""
    try:
        return stored_epoch(fields)
    except ValueError:
        return 0


def stored_gap(fields: Mapping[str, str]) -> DeclaredGap:
    """A `gaps:` entry. Raises `msgspec.MsgspecError` or `ValueError` for anything else."""
    found = _gap_decoder.decode(fields.get("data", ""))
    if (found.channel == "kline") != (found.interval is not None):
        raise ValueError("klines have an interval, and nothing else has")
    if found.interval is not None:
        _check_interval(found.interval)
    if any(isinstance(end, str) != (found.channel == "kline") for end in (found.first, found.last)):
        raise ValueError("a gap of klines is told by times, and one of trades by ids")
    gap = Gap(_number(found.first), _number(found.last), found.count, found.reason, known_rules(found.rules))
    if gap.last < gap.first:
        raise ValueError("a gap ends where it begins, or later")
    numbers = gap.last - gap.first + 1
    if gap.count != numbers if found.channel == "trade" else not 1 <= gap.count <= numbers:
        raise ValueError("a gap counts what lies between its ends")
    key, epoch = Key(found.channel, found.symbol, found.interval), stored_epoch(fields)
    if epoch and found.channel == "kline":
        raise ValueError("klines have no epoch")
    return DeclaredGap(key, gap, found.recorded_at, epoch)


def _check_interval(interval: str) -> None:
    if _INTERVAL.fullmatch(interval) is None:
        raise ValueError("an interval is a number and s, m, h, d, w or M")


def _number(value: int | str) -> int:
    return value if isinstance(value, int) else _microseconds(value) // 1000


def _microseconds(text: str) -> int:
    if not text.endswith("+00:00"):
        raise ValueError("times of records are UTC")
    microseconds = (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    if not 0 <= microseconds < 1000 * TIMES_END_MS:
        raise ValueError("nothing was traded at such a time")
    return microseconds


def _told(raw: Raw) -> str | None:
    return None if bytes(raw) == b"null" else _digits(raw)


def _digits(raw: Raw) -> str:
    text = bytes(raw).decode()
    # What is JSON and begins like this is a number.
    if text[0] not in "-0123456789":
        raise ValueError("a number was expected")
    if len(text) > NUMBER_CHARACTERS_MAX or not isfinite(float(text)):
        raise ValueError("a number is longer or larger than any price")
    return text
