"""The gate of the shipped suites: every rule on a record that breaks it, and both sides of the borders."""

from __future__ import annotations

import pytest
from msgspec import structs

from data_collector.validation.gate.compiler import NUMBER_CHARACTERS_MAX
from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.rules.suite import shipped_suite
from tests.judging import refusing, shipped_gate
from tests.market import (
    MINUTE_MS,
    NOON_MS,
    aggregate_trade,
    kline,
    mini_ticker,
    quote,
    sparse_ticker,
    ticker,
    trade,
    untraded_ticker,
)
from tests.planted import PLANTED, TIME_MAX

GATE = shipped_gate()

LONGEST = "1" * NUMBER_CHARACTERS_MAX
NO_NUMBERS = [
    "", " ", "x", "1,2", "1 2", "1_000", "1.", ".5", "+1", "01", "0x1", "NaN", "Infinity", "-Infinity", "1e400", "١٢",
    "true", "null", '"1"', "[1]", "{}", "1]", "[", "1//", "\ud800", "1\x00", "1.5\n", " 1.5", "1.5\t", "1.5\r", "1e308",
    "1E2", "-1.5e-3", "5e+0",
]  # fmt: skip
"""Texts that Python's float, Decimal or int may take, or JSON, and that are no plain decimals."""

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
        assert GATE.check(record) is None


def test_trade_is_checked_alone_as_it_is_among_others() -> None:
    for record in (trade(), trade(price="0"), trade(-1)):
        assert GATE.check_trade(record) == GATE.check(record)


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize("field", ["price", "quantity"])
def test_trade_number_must_be_a_json_number(field: str, text: str) -> None:
    assert "number_text" in refusing(trade(**{field: text}))


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_kline_number_must_be_a_json_number(text: str) -> None:
    for field in KLINE_NUMBERS:
        assert "number_text" in refusing(kline(**{field: text}))


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_ticker_number_must_be_a_json_number(text: str) -> None:
    for field in TICKER_UNSIGNED + TICKER_SIGNED:
        assert "number_text" in refusing(ticker(**{field: text}))


def test_texts_that_are_whole_only_together_do_not_pass() -> None:
    assert "number_text" in refusing(trade(price="1,2", quantity=""))
    assert "number_text" in refusing(trade(price="[1", quantity="2]"))
    assert "number_text" in refusing(kline(open="1,2", high=""))
    assert "number_text" in refusing(ticker(last_qty="1,2"))


@pytest.mark.parametrize(("kind", "rule"), [(kind, rule) for kind in KINDS for rule in PLANTED[kind]])
def test_planted_record_breaks_its_rule_and_is_refused_or_marked(kind: Kind, rule: str) -> None:
    (found,) = [known for known in shipped_suite(kind).rules if known.id == rule]

    verdict = GATE.check(PLANTED[kind][rule])

    assert verdict is not None
    assert rule in {"critical": verdict.critical, "warning": verdict.warnings, "info": verdict.infos}[found.severity]
    assert {"rule": rule, "message": found.sentence} in GATE.sentences(PLANTED[kind][rule], verdict.rules)


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_of_the_gate_has_a_planted_record(kind: Kind) -> None:
    gated = {rule.id for rule in shipped_suite(kind).rules if rule.gated}
    guaranteed = {rule.id for rule in shipped_suite(kind).rules if rule.id.endswith("_present")}

    assert gated - guaranteed - PLANTED[kind].keys() == set()
    assert PLANTED[kind].keys() - gated == set()


@pytest.mark.parametrize("kind", KINDS)
def test_suites_are_as_large_as_promised(kind: Kind) -> None:
    least: dict[Kind, int] = {"kline": 30, "trade": 20, "ticker": 15, "quote": 12}

    assert len(shipped_suite(kind).rules) >= least[kind]


@pytest.mark.parametrize(
    "changes",
    [
        {"price": "0.00000001"},
        {"price": LONGEST, "quantity": LONGEST},
        {"trade_id": 0},
        {"trade_id": 2**53 - 1},
        {"time_ms": 10**12, "event_ms": 10**12},
        {"time_ms": TIME_MAX, "event_ms": TIME_MAX},
        {"event_ms": NOON_MS + 123 - 60_000},
        {"event_ms": NOON_MS + 123 + 86_400_000},
        {"buyer_order_id": 0, "seller_order_id": 2**53 - 1},
    ],
)
def test_trade_at_the_border_passes(changes: dict[str, object]) -> None:
    assert GATE.check(structs.replace(trade(), **changes)) is None


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"trade_id": 2**53}, "trade_id_range"),
        ({"trade_id": 2**70}, "trade_id_range"),
        ({"time_ms": 10**12 - 1, "event_ms": 10**12 - 1}, "time_range"),
        ({"time_ms": TIME_MAX + 1, "event_ms": TIME_MAX + 1}, "time_range"),
        ({"time_ms": -(2**70), "event_ms": -(2**70)}, "time_range"),
        ({"event_ms": NOON_MS + 123 + 86_400_001}, "time_plausible"),
        ({"event_ms": 2**70}, "time_plausible"),
        ({"seller_order_id": -1}, "seller_order_id_range"),
    ],
)
def test_trade_beyond_the_border_is_refused_for_it(changes: dict[str, object], rule: str) -> None:
    assert refusing(structs.replace(trade(), **changes)) == (rule,)


@pytest.mark.parametrize("field", ["price", "quantity"])
def test_number_that_is_too_long_is_refused(field: str) -> None:
    text = "0." + "0" * NUMBER_CHARACTERS_MAX + "1"

    verdict = GATE.check(trade(**{field: text}))

    assert verdict is not None
    assert "number_length" in verdict.critical
    assert not verdict.readable


def test_all_broken_rules_are_named_at_once() -> None:
    assert refusing(trade(-1, price="0", quantity="-1", time_ms=1, event_ms=1)) == (
        "price_positive",
        "quantity_positive",
        "trade_id_range",
        "time_range",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"open": "45100.00", "close": "45100.00"},
        {"open": "45200.00", "close": "45200.00"},
        {
            "open": "0", "high": "0", "low": "0", "close": "0", "volume": "0", "quote_volume": "0", "trades": 0,
            "taker_buy_base_volume": "0", "taker_buy_quote_volume": "0", "first_trade_id": -1, "last_trade_id": -1,
        },
        {"first_trade_id": -1, "last_trade_id": -1},
        {"taker_buy_base_volume": "123.456", "taker_buy_quote_volume": "5567890.12"},
        {"event_ms": NOON_MS + MINUTE_MS - 1 - 60_000},
        {"is_closed": False, "event_ms": NOON_MS - 60_000},
    ],
)  # fmt: skip
def test_kline_at_the_border_passes(changes: dict[str, object]) -> None:
    assert GATE.check(kline(**changes)) is None


def test_truncated_quote_volumes_of_many_small_trades_pass() -> None:
    # Each trade's quote quantity is cut to eight digits, so a thousand of them may lack 1e-5.
    small = kline(
        volume="1000", quote_volume="0.00000000", low="0.00000001", open="0.00000001", high="0.00000001",
        close="0.00000001", taker_buy_base_volume="0", taker_buy_quote_volume="0",
    )  # fmt: skip

    assert GATE.check(small) is None


def test_months_open_on_the_first() -> None:
    january_ms = 1_704_067_200_000
    month = {"interval": "1M", "event_ms": 1_706_745_600_000, "close_ms": 1_706_745_600_000 - 1}

    assert GATE.check(kline(**month, open_ms=january_ms)) is None
    assert "open_time_grid" in refusing(kline(**month, open_ms=january_ms + 86_400_000))


def test_ticker_changes_may_be_negative() -> None:
    assert refusing(ticker(price_change="-1", price_change_percent="-99.9")) == ()


def test_ticker_of_a_window_without_trades_passes() -> None:
    assert GATE.check(untraded_ticker()) is None
    assert refusing(untraded_ticker(last_price="0.00467300", open_price="0.00467300")) == ()


def test_what_an_exchange_does_not_tell_breaks_no_rule() -> None:
    assert GATE.check(sparse_ticker()) is None
    assert GATE.check(sparse_ticker(last_price=None, high_price=None, low_price=None, bid_qty=None)) is None
    assert refusing(sparse_ticker(last_price="46000.00")) == ("last_not_above_high",)
    unknown = dict.fromkeys(("quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume", "trades"))
    for closed in (True, False):
        assert GATE.check(kline(closed=closed, **unknown, first_trade_id=-1, last_trade_id=-1)) is None


def test_prices_of_zero_are_refused_where_there_were_trades() -> None:
    assert refusing(untraded_ticker(first_id=7, last_id=8, count=2)) == ("low_price_positive",)


@pytest.mark.parametrize("side", ["bid", "ask"])
def test_quote_of_an_empty_side_of_the_book_passes(side: str) -> None:
    assert GATE.check(quote(**{side: "0.00000000", f"{side}_quantity": "0.00000000"})) is None


def test_sentences_are_of_all_rules() -> None:
    for rules in (["price_positive"], ["number_text"], ["trade_id_jump"]):
        (told,) = GATE.sentences(trade(), rules)

        assert told["rule"] == rules[0]
        assert told["message"].endswith(".")
