"""The JSON that users read: exact text, keys, order, digits."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from data_collector.model import wire
from data_collector.model.calendar import UtcCalendar
from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.wire import (
    TICKER_FIELDS,
    gap_json,
    json_text,
    kline_json,
    kline_object,
    newest_price,
    open_time_text,
    quote_fields,
    quote_json,
    second_text,
    ticker_fields,
    ticker_object,
    trade_json,
    trade_object,
    trade_time_text,
)
from data_collector.sinks.redis.stored_records import stored_kline, stored_trade
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline, quote, sparse_ticker, ticker, trade, untraded_ticker

SYMBOL_JSON = json_text(SYMBOL)

TRADE_KEYS = [
    "symbol", "timestamp", "trade_id", "price", "quantity", "buyer_order_id", "seller_order_id", "is_buyer_maker",
]  # fmt: skip
KLINE_KEYS = [
    "symbol", "timestamp", "interval", "open", "high", "low", "close", "volume", "trades", "is_closed",
    "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume",
]  # fmt: skip

KLINE_NUMBERS = (
    "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume",
)  # fmt: skip


def test_trade_is_the_contracts_example() -> None:
    written = trade_json(trade(buyer_order_id=987654321, seller_order_id=123456789), SYMBOL_JSON)

    assert items(written) == items(
        '{"symbol": "BTCUSDT", "timestamp": "2024-01-01T12:00:00.123+00:00", "trade_id": 123456789, '
        '"price": 45180.50, "quantity": 0.123, "buyer_order_id": 987654321, "seller_order_id": 123456789, '
        '"is_buyer_maker": true}'
    )


def test_what_an_exchange_does_not_tell_is_null() -> None:
    lacking = ("trades", "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume")
    bare_kline, bare_trade = kline(**dict.fromkeys(lacking)), trade(is_buyer_maker=None)

    written, made = json.loads(kline_json(bare_kline, SYMBOL_JSON)), kline_object(bare_kline)

    assert [*written] == KLINE_KEYS
    assert {name: written[name] for name in lacking} == {name: made[name] for name in lacking} == dict.fromkeys(lacking)
    written = json.loads(trade_json(bare_trade, SYMBOL_JSON))
    assert [*written] == TRADE_KEYS
    assert written["is_buyer_maker"] is trade_object(bare_trade)["is_buyer_maker"] is None
    assert stored_kline(kline_json(bare_kline, SYMBOL_JSON), UtcCalendar()).trades is None
    assert stored_trade(trade_json(bare_trade, SYMBOL_JSON)).is_buyer_maker is None


def test_kline_is_the_contracts_example() -> None:
    written = kline_json(kline(), SYMBOL_JSON)

    assert items(written) == items(
        '{"symbol": "BTCUSDT", "timestamp": "2024-01-01T12:00:00+00:00", "interval": "1m", '
        '"open": 45123.45, "high": 45200.00, "low": 45100.00, "close": 45180.50, "volume": 123.456, '
        '"trades": 1234, "is_closed": true, "quote_volume": 5567890.12, '
        '"taker_buy_base_volume": 61.728, "taker_buy_quote_volume": 2783945.06}'
    )


def test_keys_are_exactly_the_contracts_and_in_its_order() -> None:
    assert list(json.loads(trade_json(trade(), SYMBOL_JSON))) == TRADE_KEYS
    assert list(json.loads(kline_json(kline(), SYMBOL_JSON))) == KLINE_KEYS


def test_missing_order_ids_are_null() -> None:
    record = json.loads(trade_json(trade(), SYMBOL_JSON))

    assert record["buyer_order_id"] is None
    assert record["seller_order_id"] is None


def test_order_id_zero_is_no_null() -> None:
    record = json.loads(trade_json(trade(buyer_order_id=0, seller_order_id=0), SYMBOL_JSON))

    assert (record["buyer_order_id"], record["seller_order_id"]) == (0, 0)


@pytest.mark.parametrize("digits", ["123456789012.12345678", "0.12300000", "0.00000001", "1", "99999999999999999999"])
def test_digits_are_those_that_came(digits: str) -> None:
    written = trade_json(trade(price=digits, quantity=digits), SYMBOL_JSON)
    record = json.loads(written, parse_float=str, parse_int=str)

    assert (record["price"], record["quantity"]) == (digits, digits)
    assert json.loads(written, parse_float=Decimal)["price"] == Decimal(digits)


def test_kline_digits_are_those_that_came() -> None:
    digits = "123456789012.12345678"
    numbers = dict.fromkeys(KLINE_NUMBERS, digits)

    record = json.loads(kline_json(kline(**numbers), SYMBOL_JSON), parse_float=str)

    assert {name: record[name] for name in numbers} == numbers


@pytest.mark.parametrize(
    ("time_ms", "sub_ms_us", "text"),
    [
        (NOON_MS, None, "2024-01-01T12:00:00.000+00:00"),
        (NOON_MS + 7, None, "2024-01-01T12:00:00.007+00:00"),
        (NOON_MS + 999, None, "2024-01-01T12:00:00.999+00:00"),
        (NOON_MS + 7, 0, "2024-01-01T12:00:00.007000+00:00"),
        (NOON_MS + 7, 45, "2024-01-01T12:00:00.007045+00:00"),
    ],
)
def test_trade_time_has_three_fractional_digits_and_six_for_microseconds(
    time_ms: int, sub_ms_us: int | None, text: str
) -> None:
    assert trade_time_text(time_ms, sub_ms_us) == text
    record = json.loads(trade_json(trade(time_ms=time_ms, sub_ms_us=sub_ms_us), SYMBOL_JSON))
    assert record["timestamp"] == text


def test_kline_time_has_no_fraction() -> None:
    assert open_time_text(NOON_MS) == "2024-01-01T12:00:00+00:00"


@pytest.mark.parametrize("symbol", ["BTC/USD", 'A"B', "A\\B", "币安人生USDT", "A\nB", "😀USDT"])
def test_any_symbol_is_escaped_to_ascii_json(symbol: str) -> None:
    written = trade_json(trade(symbol=symbol), json_text(symbol))

    assert written.isascii()
    assert "\n" not in written
    assert json.loads(written)["symbol"] == symbol


def test_second_texts_are_right_after_the_memory_was_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "SECONDS_KEPT", 2)
    monkeypatch.setattr(wire, "_second_texts", {})

    texts = [second_text(NOON_MS // 1000 + offset) for offset in (0, 1, 2, 3, 0)]

    assert texts == [f"2024-01-01T12:00:0{offset}" for offset in (0, 1, 2, 3, 0)]
    assert len(wire._second_texts) <= 2


def test_objects_have_the_records_keys_and_decimals() -> None:
    a_trade, a_kline = trade_object(trade()), kline_object(kline())

    assert list(a_trade) == TRADE_KEYS
    assert list(a_kline) == KLINE_KEYS
    assert a_trade["price"] == Decimal("45180.50")
    assert str(a_trade["price"]) == "45180.50"
    assert {type(a_kline[name]) for name in ("open", "high", "low", "close", "volume", "quote_volume")} == {Decimal}
    assert type(a_kline["trades"]) is int
    assert a_kline["is_closed"] is True


@pytest.mark.parametrize("sub_ms_us", [None, 45])
def test_object_and_json_are_the_same_record(sub_ms_us: int | None) -> None:
    record = trade(sub_ms_us=sub_ms_us)

    assert json.loads(trade_json(record, SYMBOL_JSON), parse_float=Decimal) == trade_object(record)
    assert json.loads(kline_json(kline(), SYMBOL_JSON), parse_float=Decimal) == kline_object(kline())


def test_ticker_fields_are_the_rest_names_with_the_exchanges_digits() -> None:
    names_and_values = ticker_fields(ticker())
    fields = dict(zip(names_and_values[::2], names_and_values[1::2], strict=True))

    assert tuple(fields) == TICKER_FIELDS
    assert fields["volume"] == "8913.30000000"
    assert fields["price_change"] == "-94.99999800"
    assert fields["count"] == "500"


def test_ticker_object_shows_price_time_and_statistics() -> None:
    shown = ticker_object(ticker())

    assert shown["price"] == shown["last_price"] == Decimal("45180.50")
    assert shown["timestamp"] == "2024-01-01T12:00:00.000+00:00"
    assert shown["volume"] == Decimal("8913.30000000")
    assert shown["count"] == 500
    assert set(shown) == {*TICKER_FIELDS, "price", "timestamp"}


def test_ticker_object_of_a_day_without_a_trade_has_no_prices_but_the_one_before() -> None:
    shown = ticker_object(untraded_ticker())

    assert shown["price"] == shown["prev_close_price"] == Decimal("0.00467300")
    assert {shown[name] for name in ("last_price", "open_price", "price_change", "weighted_avg_price")} == {None}
    assert (shown["volume"], shown["count"]) == (0, 0)
    assert newest_price(untraded_ticker()) == ("0.00467300", untraded_ticker().open_time)
    assert newest_price(untraded_ticker(last_price="0.00467300"))[0] == "0.00467300"


def test_what_a_ticker_does_not_tell_is_neither_zero_nor_made_up() -> None:
    names_and_values = ticker_fields(sparse_ticker())
    fields = dict(zip(names_and_values[::2], names_and_values[1::2], strict=True))
    shown = ticker_object(sparse_ticker())
    untold = {
        "prev_close_price", "last_qty", "open_price", "quote_volume", "open_time", "close_time", "first_id", "last_id",
        "count",
    }  # fmt: skip

    assert {name for name, text in fields.items() if text == ""} == untold
    assert {name for name, value in shown.items() if value is None} == untold
    assert shown["price_change"] == Decimal("-94.99")
    assert newest_price(sparse_ticker()) == ("45180.50", NOON_MS)
    assert newest_price(sparse_ticker(last_price=None)) == (None, NOON_MS)


def test_quote_keeps_its_digits_and_tells_when_it_came() -> None:
    record = quote(received_ns=NOON_MS * 1_000_000 + 123_999_999)

    assert items(quote_json(record)) == [
        ("symbol", "BTCUSDT"),
        ("timestamp", "2024-01-01T12:00:00.123+00:00"),
        ("update_id", 400_900_217),
        ("bid", ("number", "25.35190000")),
        ("bid_quantity", ("number", "31.21000000")),
        ("ask", ("number", "25.36520000")),
        ("ask_quantity", ("number", "40.66000000")),
    ]
    assert quote_fields(record) == {
        "bid": "25.35190000",
        "bid_quantity": "31.21000000",
        "ask": "25.36520000",
        "ask_quantity": "40.66000000",
        "update_id": "400900217",
        "timestamp": "2024-01-01T12:00:00.123+00:00",
    }


def items(text: str) -> list[tuple[str, object]]:
    """Keys in order, numbers as the digits that stand there."""
    return list(json.loads(text, parse_float=lambda digits: ("number", digits)).items())


def test_gap_of_trades_is_the_contracts_shape() -> None:
    gap = Gap(1201, 1219, 19, "refused", ("price_positive", "time_range"))

    text = gap_json(Key("trade", "BTCUSDT"), gap, "2024-01-01T12:00:00.000+00:00")

    assert list(json.loads(text).items()) == [
        ("symbol", "BTCUSDT"),
        ("channel", "trade"),
        ("interval", None),
        ("first", 1201),
        ("last", 1219),
        ("count", 19),
        ("reason", "refused"),
        ("rules", ["price_positive", "time_range"]),
        ("recorded_at", "2024-01-01T12:00:00.000+00:00"),
    ]


def test_gap_of_klines_names_the_interval_and_open_times() -> None:
    gap = Gap(NOON_MS, NOON_MS + MINUTE_MS, 2, "lost")

    shown = json.loads(gap_json(Key("kline", "BTCUSDT", "1m"), gap, "2024-01-01T12:05:00.000+00:00"))

    assert (shown["channel"], shown["interval"]) == ("kline", "1m")
    assert (shown["first"], shown["last"]) == ("2024-01-01T12:00:00+00:00", "2024-01-01T12:01:00+00:00")
    assert shown["rules"] == []
