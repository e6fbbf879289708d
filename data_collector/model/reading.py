"""Records out of the JSON that `wire` has made: the digits of a number are the digits that stand there."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Raw, Struct

from data_collector.model.calendar import UtcCalendar
from data_collector.model.records import Kline, Trade

_CALENDAR = UtcCalendar()
_OFFSET = "+00:00"
_MICROSECONDS = len("2024-01-01T12:00:00.123456+00:00")
"""Characters of a time of a source that speaks microseconds."""

_NO_RECORD = (msgspec.DecodeError, ValueError, KeyError, IndexError, OverflowError, OSError)
"""What our parsers and the calendar raise of things that nobody of ours has written."""


class _StoredTrade(Struct):
    symbol: str
    timestamp: str
    trade_id: int
    price: Raw
    quantity: Raw
    is_buyer_maker: bool
    buyer_order_id: int | None = None
    seller_order_id: int | None = None


class _StoredKline(Struct):
    symbol: str
    timestamp: str
    interval: str
    open: Raw
    high: Raw
    low: Raw
    close: Raw
    volume: Raw
    trades: int
    is_closed: bool
    quote_volume: Raw
    taker_buy_base_volume: Raw
    taker_buy_quote_volume: Raw


_decode_trade = msgspec.json.Decoder(_StoredTrade).decode
_decode_kline = msgspec.json.Decoder(_StoredKline).decode


def trade_of_json(text: str) -> Trade | None:
    """None for a text that is no trade record. `event_ms` is not in it: it is the time of the trade."""
    try:
        stored = _decode_trade(text)
        time_ms, sub_ms_us = _time_of(stored.timestamp)
        return Trade(
            stored.symbol, stored.trade_id, _number(stored.price), _number(stored.quantity), time_ms, time_ms,
            stored.is_buyer_maker, buyer_order_id=stored.buyer_order_id, seller_order_id=stored.seller_order_id,
            sub_ms_us=sub_ms_us if len(stored.timestamp) == _MICROSECONDS else None,
        )  # fmt: skip
    except _NO_RECORD:
        return None


def kline_of_json(text: str) -> Kline | None:
    """None for a text that is no kline record. `event_ms` is not in it: it is the end of the kline."""
    try:
        stored = _decode_kline(text)
        open_ms, _ = _time_of(stored.timestamp)
        next_open_ms = _CALENDAR.next_open_ms(stored.interval, open_ms)
        return Kline(
            stored.symbol, stored.interval, open_ms, next_open_ms - 1, _number(stored.open), _number(stored.high),
            _number(stored.low), _number(stored.close), _number(stored.volume), _number(stored.quote_volume),
            _number(stored.taker_buy_base_volume), _number(stored.taker_buy_quote_volume), stored.trades,
            stored.is_closed, next_open_ms,
        )  # fmt: skip
    except _NO_RECORD:
        return None


def _time_of(text: str) -> tuple[int, int]:
    """Milliseconds, and the microseconds after them. A float of seconds would round some of them."""
    if not text.endswith(_OFFSET):
        raise ValueError("times of records are UTC")
    time = datetime.fromisoformat(text)
    ms, us = divmod(time.microsecond, 1000)
    return int(time.timestamp()) * 1000 + ms, us


def _number(raw: Raw) -> str:
    text = bytes(raw).decode()
    # What is JSON and begins like this is a number.
    if text[0] not in "-0123456789":
        raise ValueError("a number was expected")
    return text
