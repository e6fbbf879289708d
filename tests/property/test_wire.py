"""What passed the gate is JSON with the digits that came."""

from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from data_collector.model.wire import json_text, kline_json, kline_object, trade_json, trade_object
from tests.judging import refusing, shipped_gate
from tests.market import kline, trade
from tests.property.strategies import DIGITS, TEXTS, TIMES_MS

GATE = shipped_gate()
NUMBER_LIKE = st.text("0123456789.eE+-_ \n\tNaInfity,[]\"'{}", max_size=12)
KLINE_NUMBERS = (
    "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume",
)  # fmt: skip


@given(price=DIGITS, quantity=DIGITS, time_ms=TIMES_MS, sub_ms_us=st.none() | st.integers(0, 999), symbol=TEXTS)
def test_trade_keeps_every_digit(price: str, quantity: str, time_ms: int, sub_ms_us: int | None, symbol: str) -> None:
    record = trade(price=price, quantity=quantity, time_ms=time_ms, sub_ms_us=sub_ms_us, symbol=symbol)

    read = json.loads(trade_json(record, json_text(symbol)), parse_float=Decimal, parse_int=Decimal)

    assert (read["price"], read["quantity"]) == (Decimal(price), Decimal(quantity))
    assert read == trade_object(record)


@given(numbers=st.lists(DIGITS, min_size=8, max_size=8))
def test_kline_keeps_every_digit(numbers: list[str]) -> None:
    record = structs.replace(kline(), **dict(zip(KLINE_NUMBERS, numbers, strict=True)))

    read = json.loads(kline_json(record, json_text(record.symbol)), parse_float=Decimal, parse_int=Decimal)

    assert [read[name] for name in KLINE_NUMBERS] == [Decimal(number) for number in numbers]
    assert read == kline_object(record)


@given(price=NUMBER_LIKE | DIGITS | TEXTS, quantity=NUMBER_LIKE | DIGITS | TEXTS)
def test_trade_that_passes_the_gate_is_json_of_finite_positive_numbers(price: str, quantity: str) -> None:
    record = trade(price=price, quantity=quantity)
    if GATE.check_trade(record):
        return

    read = json.loads(trade_json(record, json_text(record.symbol)), parse_float=Decimal, parse_int=Decimal)

    assert read["price"] > 0
    assert read["quantity"] > 0
    assert len(read) == 8
    assert (read["price"], read["quantity"]) == (Decimal(price), Decimal(quantity))


@given(numbers=st.lists(NUMBER_LIKE | DIGITS, min_size=8, max_size=8))
def test_kline_that_passes_the_gate_is_json(numbers: list[str]) -> None:
    record = structs.replace(kline(), **dict(zip(KLINE_NUMBERS, numbers, strict=True)))
    if GATE.check(record):
        return

    read = json.loads(kline_json(record, json_text(record.symbol)), parse_float=Decimal, parse_int=Decimal)

    assert len(read) == 13
    assert read["low"] <= read["open"] <= read["high"]


@given(texts=st.lists(DIGITS, min_size=2, max_size=2))
def test_decimal_texts_of_an_exchange_are_never_refused_for_their_form(texts: list[str]) -> None:
    price, quantity = texts

    assert "number_text" not in refusing(trade(price=price, quantity=quantity))
