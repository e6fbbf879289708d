"""For every shipped rule a record that breaks it, made from a good one. Where the decoder or Python's types make that
impossible for a decoded record (`presence`), the row that a user sends to the validation service breaks it.
"""

from __future__ import annotations

from msgspec import structs

from data_collector.model.records import Kline, Quote, Ticker, Trade
from data_collector.validation.rules.columns import Kind
from tests.market import MINUTE_MS, NOON_MS, kline, quote, ticker, trade

TIME_MAX = 4_102_444_800_000

TRADES: dict[str, dict[str, object]] = {
    "price_positive": {"price": "0.00000000"},
    "quantity_positive": {"quantity": "-0.1"},
    "trade_id_range": {"trade_id": -1},
    "buyer_order_id_range": {"buyer_order_id": -1, "seller_order_id": 1},
    "seller_order_id_range": {"buyer_order_id": 1, "seller_order_id": 2**53},
    "time_range": {"time_ms": 1_000, "event_ms": 1_000},
    "time_plausible": {"event_ms": NOON_MS + 123 - 60_001},
}

KLINES: dict[str, dict[str, object]] = {
    "interval_known": {"interval": "7m"},
    "price_not_negative": {"low": "-1"},
    "high_not_below_low": {"high": "45150", "low": "45160"},
    "open_not_above_high": {"open": "45200.01"},
    "open_not_below_low": {"open": "45099.99"},
    "close_not_above_high": {"close": "45200.01"},
    "close_not_below_low": {"close": "45099.99"},
    "volume_not_negative": {"volume": "-1"},
    "quote_volume_not_negative": {"quote_volume": "-1"},
    "taker_volume_not_negative": {"taker_buy_base_volume": "-1"},
    "taker_quote_volume_not_negative": {"taker_buy_quote_volume": "-1"},
    "trades_range": {"trades": -1},
    "taker_volume": {"taker_buy_base_volume": "123.457"},
    "taker_quote_volume": {"taker_buy_quote_volume": "5567890.13"},
    "open_time_range": {"open_ms": 0},
    "close_time_range": {"close_ms": TIME_MAX + 1},
    "event_time_range": {"event_ms": TIME_MAX + 1},
    "close_after_open": {"close_ms": NOON_MS},
    "open_time_grid": {"open_ms": NOON_MS + 1, "close_ms": NOON_MS + MINUTE_MS},
    "close_time_fits": {"close_ms": NOON_MS + MINUTE_MS},
    "sent_after_open": {"is_closed": False, "event_ms": NOON_MS - 60_001},
    "closed_after_close": {"event_ms": NOON_MS - 2},
    "first_trade_id_range": {"first_trade_id": -2},
    "last_trade_id_range": {"last_trade_id": 2**53},
    "trade_ids_ordered": {"first_trade_id": 5, "last_trade_id": 4},
    "trades_match_ids": {"trades": 1233},
    "no_trades_no_volume": {"trades": 0},
    "no_trades_no_quote_volume": {"trades": 0},
    # Nothing else is wrong with it: a quiet minute whose prices differ.
    "no_trades_one_price": {
        "trades": 0, "first_trade_id": -1, "last_trade_id": -1, "volume": "0", "quote_volume": "0",
        "taker_buy_base_volume": "0", "taker_buy_quote_volume": "0",
    },
    "trades_have_volume": {"volume": "0", "taker_buy_base_volume": "0"},
    "quote_volume_at_least_low": {"quote_volume": "5567000.12", "taker_buy_quote_volume": "0"},
    "quote_volume_at_most_high": {"quote_volume": "5590000.12"},
    "taker_quote_at_least_low": {"taker_buy_quote_volume": "2000000.06"},
    "taker_quote_at_most_high": {"taker_buy_quote_volume": "2999999.06"},
    "price_swing": {"high": "451001"},
}  # fmt: skip

TICKERS: dict[str, dict[str, object]] = {
    **{
        f"{name}_not_negative": {name: "-0.1"}
        for name in (
            "weighted_avg_price", "prev_close_price", "last_price", "last_qty", "bid_price", "bid_qty", "ask_price",
            "ask_qty", "open_price", "high_price", "low_price", "volume", "quote_volume",
        )
    },
    "event_time_range": {"event_ms": TIME_MAX + 1},
    "first_id_range": {"first_id": -2},
    "last_id_range": {"last_id": 2**53},
    "count_range": {"count": -1},
    "trade_ids_ordered": {"first_id": 7, "last_id": 6},
    "window_ordered": {"open_time": NOON_MS + 1},
    "low_price_positive": {"low_price": "0.00000000"},
    "high_not_below_low": {"high_price": "44000", "low_price": "44001"},
    "last_not_above_high": {"last_price": "45900.01"},
    "last_not_below_low": {"last_price": "43999.99"},
    "open_not_above_high": {"open_price": "45900.01"},
    "open_not_below_low": {"open_price": "43999.99"},
    "average_not_above_high": {"weighted_avg_price": "45900.01"},
    "spread_not_negative": {"ask_price": "45180.48"},
    "change_matches_prices": {"price_change": "-94"},
    "average_matches_volumes": {"weighted_avg_price": "45000"},
    "change_percent_range": {"price_change_percent": "-100.1"},
}  # fmt: skip

QUOTES: dict[str, dict[str, object]] = {
    "update_id_range": {"update_id": 2**53},
    "bid_positive": {"bid": "0.00000000"},
    "ask_positive": {"ask": "0.00000000"},
    "bid_quantity_not_negative": {"bid_quantity": "-0.1"},
    "ask_quantity_not_negative": {"ask_quantity": "-0.1"},
    "ask_not_below_bid": {"ask": "25.35180000"},
}


PLANTED: dict[Kind, dict[str, Trade | Kline | Ticker | Quote]] = {
    "trade": {rule: structs.replace(trade(), **changes) for rule, changes in TRADES.items()},
    "kline": {rule: structs.replace(kline(), **changes) for rule, changes in KLINES.items()},
    "ticker": {rule: structs.replace(ticker(), **changes) for rule, changes in TICKERS.items()},
    "quote": {rule: structs.replace(quote(), **changes) for rule, changes in QUOTES.items()},
}
"""Kind and rule of the gate to a record that breaks it."""
