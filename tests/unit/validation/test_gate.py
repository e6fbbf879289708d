"""The rules that guard the store: each one on both sides of its border."""

from __future__ import annotations

import pytest
from msgspec import structs

from data_collector.validation.gate import (
    AGE_MS_MAX,
    AHEAD_MS_MAX,
    ID_MAX,
    NUMBER_CHARACTERS_MAX,
    RULES,
    TIME_MS_MAX,
    TIME_MS_MIN,
    SafetyGate,
    sentences,
)
from tests.market import MINUTE_MS, NOON_MS, aggregate_trade, kline, mini_ticker, quote, ticker, trade

GATE = SafetyGate()

LONGEST = "1" * NUMBER_CHARACTERS_MAX
NO_NUMBERS = [
    "", " ", "x", "1,2", "1 2", "1_000", "1.", ".5", "+1", "01", "0x1", "NaN", "Infinity", "-Infinity", "1e400", "١٢",
    "true", "null", '"1"', "[1]", "{}", "1]", "[", "1//", "\ud800", "1\x00",
]  # fmt: skip
"""Texts that Python's float, Decimal or int may take, and JSON must not."""

KLINE_NUMBERS = (
    "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume",
)  # fmt: skip
TICKER_UNSIGNED = (
    "weighted_avg_price", "prev_close_price", "last_price", "last_qty", "bid_price", "bid_qty", "ask_price", "ask_qty",
    "open_price", "high_price", "low_price", "volume", "quote_volume",
)  # fmt: skip
TICKER_SIGNED = ("price_change", "price_change_percent")


def test_good_records_pass() -> None:
    for record in (trade(), kline(), kline(closed=False), ticker(), aggregate_trade(), mini_ticker(), quote()):
        assert GATE.check(record) == ()


def test_trade_is_checked_alone_as_it_is_among_others() -> None:
    for record in (trade(), trade(price="0"), trade(-1)):
        assert GATE.check_trade(record) == GATE.check(record)


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize("field", ["price", "quantity"])
def test_trade_number_must_be_a_json_number(field: str, text: str) -> None:
    assert GATE.check(trade(**{field: text})) == ("number_text",)


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_kline_number_must_be_a_json_number(text: str) -> None:
    for field in KLINE_NUMBERS:
        assert GATE.check(kline(**{field: text})) == ("number_text",)


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_ticker_number_must_be_a_json_number(text: str) -> None:
    for field in TICKER_UNSIGNED + TICKER_SIGNED:
        assert "number_text" in GATE.check(ticker(**{field: text}))


def test_texts_that_are_whole_only_together_do_not_pass() -> None:
    assert GATE.check(trade(price="1,2", quantity="")) == ("number_text",)
    assert GATE.check(trade(price="[1", quantity="2]")) == ("number_text",)
    assert GATE.check(kline(open="1,2", high="")) == ("number_text",)
    assert GATE.check(ticker(last_qty="1,2")) == ("number_text",)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"price": "0"}, "price_positive"),
        ({"price": "0.00000000"}, "price_positive"),
        ({"price": "-1"}, "price_positive"),
        ({"quantity": "0.0"}, "quantity_positive"),
        ({"quantity": "-0.1"}, "quantity_positive"),
        ({"trade_id": -1}, "trade_id_range"),
        ({"trade_id": ID_MAX}, "trade_id_range"),
        ({"trade_id": 2**70}, "trade_id_range"),
        ({"time_ms": TIME_MS_MIN, "event_ms": TIME_MS_MIN}, "time_range"),
        ({"time_ms": TIME_MS_MAX, "event_ms": TIME_MS_MAX}, "time_range"),
        ({"time_ms": 0, "event_ms": 0}, "time_range"),
        ({"time_ms": NOON_MS // 1000, "event_ms": NOON_MS // 1000}, "time_range"),
        ({"time_ms": -(2**70), "event_ms": -(2**70)}, "time_range"),
        ({"event_ms": NOON_MS + 123 - AHEAD_MS_MAX - 1}, "time_plausible"),
        ({"event_ms": NOON_MS + 123 + AGE_MS_MAX + 1}, "time_plausible"),
        ({"event_ms": 2**70}, "time_plausible"),
        ({"price": "1" * (NUMBER_CHARACTERS_MAX + 1)}, "number_length"),
        ({"quantity": "0." + "0" * NUMBER_CHARACTERS_MAX + "1"}, "number_length"),
        ({"buyer_order_id": -1, "seller_order_id": 1}, "order_id_range"),
        ({"buyer_order_id": 1, "seller_order_id": 2**63}, "order_id_range"),
        ({"seller_order_id": -1}, "order_id_range"),
        ({"seller_order_id": 2**63}, "order_id_range"),
    ],
)
def test_trade_that_breaks_one_rule_is_refused_for_it(changes: dict[str, object], rule: str) -> None:
    assert GATE.check(structs.replace(trade(), **changes)) == (rule,)


@pytest.mark.parametrize(
    "changes",
    [
        {"price": "0.00000001"},
        {"price": LONGEST, "quantity": LONGEST},
        {"trade_id": 0},
        {"trade_id": ID_MAX - 1},
        {"time_ms": TIME_MS_MIN + 1, "event_ms": TIME_MS_MIN + 1},
        {"time_ms": TIME_MS_MAX - 1, "event_ms": TIME_MS_MAX - 1},
        {"event_ms": NOON_MS + 123 - AHEAD_MS_MAX},
        {"event_ms": NOON_MS + 123 + AGE_MS_MAX},
        {"buyer_order_id": 0, "seller_order_id": 2**63 - 1},
    ],
)
def test_trade_at_the_border_passes(changes: dict[str, object]) -> None:
    assert GATE.check(structs.replace(trade(), **changes)) == ()


def test_all_broken_rules_are_named_at_once() -> None:
    assert GATE.check(trade(-1, price="0", quantity="-1", time_ms=1, event_ms=1)) == (
        "price_positive",
        "quantity_positive",
        "trade_id_range",
        "time_range",
    )


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"low": "-1"}, "price_positive"),
        ({"high": "45150"}, "price_order"),
        ({"low": "45190"}, "price_order"),
        ({"open": "45200.01"}, "price_order"),
        ({"close": "45099.99"}, "price_order"),
        ({"taker_buy_base_volume": "-1"}, "volume_sign"),
        ({"taker_buy_quote_volume": "-1"}, "volume_sign"),
        ({"trades": -1}, "volume_sign"),
        ({"taker_buy_base_volume": "123.457"}, "taker_volume"),
        ({"taker_buy_quote_volume": "5567890.13"}, "taker_volume"),
        ({"event_ms": TIME_MS_MAX}, "time_range"),
        ({"open_ms": TIME_MS_MIN}, "time_range"),
        ({"close_ms": NOON_MS}, "close_after_open"),
        ({"event_ms": NOON_MS + MINUTE_MS - 1 - AHEAD_MS_MAX - 1}, "kline_time_plausible"),
        ({"close_ms": NOON_MS + MINUTE_MS + AHEAD_MS_MAX + 1}, "kline_time_plausible"),
        ({"is_closed": False, "event_ms": NOON_MS - AHEAD_MS_MAX - 1}, "kline_time_plausible"),
        ({"first_trade_id": -2}, "trade_id_range"),
        ({"last_trade_id": ID_MAX}, "trade_id_range"),
        ({"volume": "1" * (NUMBER_CHARACTERS_MAX + 1)}, "number_length"),
    ],
)
def test_kline_that_breaks_one_rule_is_refused_for_it(changes: dict[str, object], rule: str) -> None:
    assert GATE.check(kline(**changes)) == (rule,)


def test_negative_volume_is_also_below_the_takers() -> None:
    assert GATE.check(kline(volume="-1")) == ("volume_sign", "taker_volume")


@pytest.mark.parametrize(
    "changes",
    [
        {"open": "45200.00", "high": "45200.00", "low": "45200.00", "close": "45200.00"},
        {"open": "0", "high": "0", "low": "0", "close": "0"},
        {"volume": "0", "quote_volume": "0", "taker_buy_base_volume": "0", "taker_buy_quote_volume": "0", "trades": 0},
        {"first_trade_id": -1, "last_trade_id": -1},
        {"taker_buy_base_volume": "123.456", "taker_buy_quote_volume": "5567890.12"},
        {"volume": LONGEST},
        {"event_ms": NOON_MS + MINUTE_MS - 1 - AHEAD_MS_MAX},
        {"is_closed": False, "event_ms": NOON_MS - AHEAD_MS_MAX},
    ],
)
def test_kline_at_the_border_passes(changes: dict[str, object]) -> None:
    assert GATE.check(kline(**changes)) == ()


def test_ticker_prices_and_volumes_may_not_be_negative() -> None:
    for field in TICKER_UNSIGNED:
        assert GATE.check(ticker(**{field: "-0.1"})) == ("volume_sign",)


def test_ticker_changes_may_be_negative() -> None:
    assert GATE.check(ticker(price_change="-1", price_change_percent="-99.9")) == ()


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"count": -1}, "volume_sign"),
        ({"event_ms": TIME_MS_MIN}, "time_range"),
        ({"event_ms": TIME_MS_MAX}, "time_range"),
        ({"first_id": -2}, "trade_id_range"),
        ({"last_id": ID_MAX}, "trade_id_range"),
        ({"volume": "1" * (NUMBER_CHARACTERS_MAX + 1)}, "number_length"),
    ],
)
def test_ticker_that_breaks_one_rule_is_refused_for_it(changes: dict[str, object], rule: str) -> None:
    assert GATE.check(structs.replace(ticker(), **changes)) == (rule,)


def test_ticker_of_a_window_without_trades_passes() -> None:
    assert GATE.check(ticker(first_id=-1, last_id=-1, count=0, volume="0", quote_volume="0")) == ()


def test_every_rule_has_a_sentence_for_people() -> None:
    assert sentences(["price_positive", "time_range"]) == [
        {"rule": "price_positive", "message": RULES["price_positive"]},
        {"rule": "time_range", "message": RULES["time_range"]},
    ]
    assert all(message.endswith(".") for message in RULES.values())
