"""Records and frames to test with: good ones, in which a test changes what it is about."""

from __future__ import annotations

import os

from msgspec import structs

from data_collector.model.calendar import LENGTHS_MS
from data_collector.model.records import AggregateTrade, Kline, MiniTicker, Quote, Ticker, Trade
from data_collector.venues.discovery import find_venue

EXCHANGE = os.environ.get("TESTED_EXCHANGE", "binance")
"""What tests of readers are about; another one where they run once more (tests.contract.test_other_exchanges)."""

SYMBOL, PREFIX = find_venue(EXCHANGE).default_symbols[0], find_venue(EXCHANGE).key_prefix
"""And what the keys of the store begin with."""

NOON_MS = 1_704_110_400_000
"""2024-01-01T12:00:00Z, as in the contract's examples."""

MINUTE_MS = 60_000


def trade(trade_id: int = 123_456_789, /, **changes: object) -> Trade:
    """The contract's example, without order ids."""
    made = Trade(
        SYMBOL, trade_id, "45180.50", "0.123", NOON_MS + 123, NOON_MS + 124, is_buyer_maker=True, received_ns=1
    )
    return structs.replace(made, **changes)


def kline(minute: int = 0, /, **changes: object) -> Kline:
    """The contract's example, `minute` minutes later; `closed=False` is the one in its middle."""
    closed = bool(changes.pop("closed", True))
    open_ms = NOON_MS + minute * MINUTE_MS
    interval = str(changes.get("interval", "1m"))
    # An interval that nobody has is still the length of a minute.
    length_ms = LENGTHS_MS.get(interval, MINUTE_MS)
    made = Kline(
        symbol=SYMBOL,
        interval="1m",
        open_ms=open_ms,
        close_ms=open_ms + length_ms - 1,
        open="45123.45",
        high="45200.00",
        low="45100.00",
        close="45180.50",
        volume="123.456",
        quote_volume="5567890.12",
        taker_buy_base_volume="61.728",
        taker_buy_quote_volume="2783945.06",
        trades=1234,
        is_closed=closed,
        event_ms=open_ms + (length_ms if closed else length_ms // 2),
        first_trade_id=100,
        last_trade_id=1333,
        received_ns=1,
    )
    return structs.replace(made, **changes)


def ticker(event_ms: int = NOON_MS, /, **changes: object) -> Ticker:
    """24 hours until `event_ms`."""
    made = Ticker(
        symbol=SYMBOL,
        price_change="-94.99999800",
        price_change_percent="-0.210",
        weighted_avg_price="45150.29628",
        prev_close_price="45100.00",
        last_price="45180.50",
        last_qty="0.5",
        bid_price="45180.49",
        bid_qty="1.1",
        ask_price="45180.51",
        ask_qty="2.2",
        open_price="45275.50",
        high_price="45900.00",
        low_price="44000.00",
        volume="8913.30000000",
        quote_volume="402421053.12",
        open_time=event_ms - 86_400_000,
        close_time=event_ms,
        first_id=1,
        last_id=500,
        count=500,
        event_ms=event_ms,
        received_ns=1,
    )
    return structs.replace(made, **changes)


def untraded_ticker(event_ms: int = NOON_MS, /, **changes: object) -> Ticker:
    """24 hours without a trade: an exchange sends zeros, and the price before them."""
    zeros = dict.fromkeys(
        (
            "price_change", "weighted_avg_price", "last_price", "last_qty", "open_price", "high_price", "low_price",
            "volume", "quote_volume",
        ),
        "0.00000000",
    )  # fmt: skip
    window = {"price_change_percent": "0.000", "prev_close_price": "0.00467300", "first_id": -1, "last_id": -1}
    return structs.replace(ticker(event_ms), **{**zeros, **window, "count": 0, **changes})


def sparse_ticker(event_ms: int = NOON_MS, /, **changes: object) -> Ticker:
    """24 hours of an exchange that names no trades, and has neither an open price nor quote volumes."""
    made = Ticker(
        symbol=SYMBOL, price_change="-94.99", price_change_percent="-0.21", weighted_avg_price="45150.29",
        last_price="45180.50", bid_price="45180.49", bid_qty="1.1", ask_price="45180.51", ask_qty="2.2",
        high_price="45900.00", low_price="44000.00", volume="8913.30000000", event_ms=event_ms, received_ns=1,
    )  # fmt: skip
    return structs.replace(made, **changes)


def aggregate_trade(**changes: object) -> AggregateTrade:
    """Six trades of one taker."""
    made = AggregateTrade(
        SYMBOL, 77, "45180.50", "0.6", 100, 105, NOON_MS, NOON_MS + 1, is_buyer_maker=False, received_ns=1
    )
    return structs.replace(made, **changes)


def mini_ticker(**changes: object) -> MiniTicker:
    """The short 24 hours."""
    made = MiniTicker(SYMBOL, "0.0025", "0.0010", "0.0025", "0.0010", "10000", "18", NOON_MS, received_ns=1)
    return structs.replace(made, **changes)


def quote(**changes: object) -> Quote:
    """Best bid and offer."""
    made = Quote(SYMBOL, 400_900_217, "25.35190000", "31.21000000", "25.36520000", "40.66000000", received_ns=1)
    return structs.replace(made, **changes)
