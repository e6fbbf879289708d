"""What every record must satisfy before it may be stored: a plain gate of rules that guard the store itself.

A record that breaks one could not be written as JSON, would wedge a stream (ids and times of 2^53 and more) or is no
market data at all. Prices become floats here, to compare, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from data_collector.model.records import Kline, Record, Ticker, Trade

RULES: Final[dict[str, str]] = {
    "number_text": "A price or quantity is not a decimal number.",
    "number_length": "A price or quantity has more than 64 characters.",
    "price_positive": "The price is not above zero.",
    "quantity_positive": "The quantity is not above zero.",
    "trade_id_range": "The trade id is not between 0 and 2^53.",
    "trade_id_jump": "The trade id is more than 2,000,000 ahead of the one before, and no second trade confirms it.",
    "event_time_jump": "The message was sent more than a day after the one before, and no second message confirms it.",
    "order_id_range": "An order id is not between 0 and 2^63.",
    "time_range": "A time is not between the years 2001 and 2100.",
    "time_plausible": "The trade time is more than a minute after or a day before the time it was sent.",
    "close_after_open": "The kline does not close after it opens.",
    "open_time_grid": "The open time is none of its interval.",
    "kline_time_plausible": "The kline opens or closes more than a minute after the time it was sent.",
    "price_order": "Low, open, close and high are not in order.",
    "volume_sign": "A volume or count is negative.",
    "taker_volume": "The taker's volume is more than the whole volume.",
}
"""Rule ids with the sentence that people see."""

TIME_MS_MIN: Final = 10**12
TIME_MS_MAX: Final = 4_102_444_800_000
"""Microseconds taken for milliseconds, 1970 and 2286 all fall outside."""

AHEAD_MS_MAX: Final = 60_000
AGE_MS_MAX: Final = 86_400_000
"""Trade time against event time of the same message: a time years off would move the stream's entry ids for good."""

_EARLIEST_MS: Final = -AHEAD_MS_MAX

ID_MAX: Final = 2**53
"""The store's functions count in doubles."""

NUMBER_CHARACTERS_MAX: Final = 64

_pair = msgspec.json.Decoder(tuple[float, float]).decode
_eight = msgspec.json.Decoder(tuple[float, float, float, float, float, float, float, float]).decode
_list = msgspec.json.Decoder(list[float]).decode


class SafetyGate:
    """The `Gate` that is always on."""

    def check(self, record: Record) -> tuple[str, ...]:
        """Ids of the broken rules; see the protocol."""
        match record:
            case Trade():
                return self.check_trade(record)
            case Kline():
                return self.check_kline(record)
            case Ticker():
                return self.check_ticker(record)
            case _:
                return ()

    def check_trade(self, trade: Trade) -> tuple[str, ...]:
        """One comparison chain for the good ones; the reasons are found only for the others."""
        # Decoding "[p,q]" as two JSON numbers costs 0.2 µs; it proves the grammar and gives the floats at once.
        try:
            price, quantity = _pair(f"[{trade.price},{trade.quantity}]")
        except (msgspec.DecodeError, UnicodeEncodeError):
            return ("number_text",)
        if (
            price > 0.0
            and quantity > 0.0
            and 0 <= trade.trade_id < ID_MAX
            and TIME_MS_MIN < trade.time_ms < TIME_MS_MAX
            and _EARLIEST_MS <= trade.event_ms - trade.time_ms <= AGE_MS_MAX
            and len(trade.price) <= NUMBER_CHARACTERS_MAX
            and len(trade.quantity) <= NUMBER_CHARACTERS_MAX
            and trade.buyer_order_id is None
            and trade.seller_order_id is None
        ):
            return ()
        return _broken(
            ("price_positive", price > 0.0),
            ("quantity_positive", quantity > 0.0),
            ("trade_id_range", 0 <= trade.trade_id < ID_MAX),
            ("order_id_range", _order_id(trade.buyer_order_id) and _order_id(trade.seller_order_id)),
            ("time_range", TIME_MS_MIN < trade.time_ms < TIME_MS_MAX),
            ("time_plausible", _EARLIEST_MS <= trade.event_ms - trade.time_ms <= AGE_MS_MAX),
            ("number_length", _short((trade.price, trade.quantity))),
        )

    def check_kline(self, kline: Kline) -> tuple[str, ...]:
        """Prices may be zero only where nothing was ever traded, so zero passes and negative does not."""
        texts = (
            kline.open, kline.high, kline.low, kline.close, kline.volume, kline.quote_volume,
            kline.taker_buy_base_volume, kline.taker_buy_quote_volume,
        )  # fmt: skip
        try:
            opening, high, low, close, volume, quote, taker, taker_quote = _eight(f"[{','.join(texts)}]")
        except (msgspec.DecodeError, UnicodeEncodeError):
            return ("number_text",)
        if (
            0.0 <= low <= opening <= high
            and low <= close <= high
            and 0.0 <= taker <= volume
            and 0.0 <= taker_quote <= quote
            and kline.trades >= 0
            and TIME_MS_MIN < kline.open_ms < kline.close_ms < TIME_MS_MAX
            and TIME_MS_MIN < kline.event_ms < TIME_MS_MAX
            and _has_begun(kline)
            and -1 <= kline.first_trade_id < ID_MAX
            and -1 <= kline.last_trade_id < ID_MAX
            and max(map(len, texts)) <= NUMBER_CHARACTERS_MAX
        ):
            return ()
        return _broken(
            ("price_positive", low >= 0.0),
            ("price_order", low <= opening <= high and low <= close <= high),
            ("volume_sign", volume >= 0.0 and quote >= 0.0 and taker >= 0.0 and taker_quote >= 0.0 <= kline.trades),
            ("taker_volume", taker <= volume and taker_quote <= quote),
            ("time_range", TIME_MS_MIN < kline.open_ms < TIME_MS_MAX and TIME_MS_MIN < kline.event_ms < TIME_MS_MAX),
            ("close_after_open", kline.open_ms < kline.close_ms < TIME_MS_MAX),
            ("kline_time_plausible", _has_begun(kline)),
            ("trade_id_range", -1 <= kline.first_trade_id < ID_MAX and -1 <= kline.last_trade_id < ID_MAX),
            ("number_length", _short(texts)),
        )

    def check_ticker(self, ticker: Ticker) -> tuple[str, ...]:
        """Changes may be negative; prices and volumes may not."""
        signed = (ticker.price_change, ticker.price_change_percent)
        unsigned = (
            ticker.weighted_avg_price, ticker.prev_close_price, ticker.last_price, ticker.last_qty, ticker.bid_price,
            ticker.bid_qty, ticker.ask_price, ticker.ask_qty, ticker.open_price, ticker.high_price, ticker.low_price,
            ticker.volume, ticker.quote_volume,
        )  # fmt: skip
        texts = signed + unsigned
        try:
            numbers = _list(f"[{','.join(texts)}]")
        except (msgspec.DecodeError, UnicodeEncodeError):
            return ("number_text",)
        return _broken(
            ("number_text", len(numbers) == len(texts)),
            ("volume_sign", min(numbers[len(signed) :]) >= 0.0 and ticker.count >= 0),
            ("time_range", TIME_MS_MIN < ticker.event_ms < TIME_MS_MAX),
            ("trade_id_range", -1 <= ticker.first_id < ID_MAX and -1 <= ticker.last_id < ID_MAX),
            ("number_length", _short(texts)),
        )


def sentences(rules: Sequence[str]) -> list[dict[str, str]]:
    """The rules as users read them in quarantine: [{"rule", "message"}]."""
    return [{"rule": rule, "message": RULES[rule]} for rule in rules]


def _broken(*checks: tuple[str, bool]) -> tuple[str, ...]:
    return tuple(rule for rule, held in checks if not held)


def _order_id(order_id: int | None) -> bool:
    return order_id is None or 0 <= order_id < 2**63


def _short(texts: Sequence[str]) -> bool:
    return all(len(text) <= NUMBER_CHARACTERS_MAX for text in texts)


def _has_begun(kline: Kline) -> bool:
    due_ms = kline.close_ms if kline.is_closed else kline.open_ms
    return due_ms <= kline.event_ms + AHEAD_MS_MAX
