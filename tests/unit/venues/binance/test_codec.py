"""Binance's frames: what is read, what is skipped, what is refused. Whole samples: tests/conformance."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from data_collector.model.errors import BadFrame
from data_collector.model.keys import Key
from data_collector.model.records import Kline, MiniTicker, Quote, Trade
from data_collector.model.venue import Acknowledged, Closing, Event, Listed, Refused, UnknownEvent
from data_collector.venues.binance.codec import BinanceCodec
from tests.unit.venues.binance.frames import BOOK_TICKER, KLINE, KLINE_BODY, MINI_TICKER, SHUTDOWN, TRADE, combined, raw

CODEC = BinanceCodec()
Wrap = Callable[[object], bytes]


def decode(frame: bytes) -> object:
    return CODEC.decode(frame, 7)


def decode_trade(frame: bytes) -> Trade:
    decoded = decode(frame)
    assert isinstance(decoded, Trade)
    return decoded


@pytest.mark.parametrize("wrap", [raw, combined])
def test_trade_is_read_raw_and_combined(wrap: Wrap) -> None:
    assert decode(wrap(TRADE)) == Trade(
        "BNBBTC", 12345, "0.001", "100", 1672515782136, 1672515782136, is_buyer_maker=True, received_ns=7
    )


def test_memoryview_is_read_like_bytes() -> None:
    assert CODEC.decode(memoryview(combined(TRADE)), 7) == decode(combined(TRADE))


def test_order_ids_are_kept_where_they_are_sent() -> None:
    record = decode_trade(combined(TRADE | {"b": 88, "a": 50}))

    assert (record.buyer_order_id, record.seller_order_id) == (88, 50)


def test_trade_in_microseconds_keeps_all_six_digits() -> None:
    record = decode_trade(combined(TRADE | {"T": 1672515782136045, "E": 1672515782137999}))

    assert (record.time_ms, record.sub_ms_us, record.event_ms) == (1672515782136, 45, 1672515782137)


def test_trade_in_milliseconds_has_no_microseconds() -> None:
    assert decode_trade(combined(TRADE)).sub_ms_us is None


def test_kline_in_microseconds_has_the_same_times() -> None:
    body = KLINE_BODY | {"t": 1672515780000000, "T": 1672515839999999}

    record = decode(combined(KLINE | {"E": 1672515782136000, "k": body}))

    assert record == decode(combined(KLINE))


def test_unknown_fields_are_ignored() -> None:
    assert decode(combined(TRADE | {"Z": {"new": [1]}})) == decode(combined(TRADE))


def test_field_order_and_white_space_do_not_matter() -> None:
    backwards = {"data": dict(reversed(TRADE.items())), "stream": "bnbbtc@trade"}

    assert decode(json.dumps(backwards, indent=2).encode()) == decode(combined(TRADE))


@pytest.mark.parametrize("wrap", [raw, combined])
def test_shutdown_notice_is_read_in_every_shape(wrap: Wrap) -> None:
    assert decode(wrap(SHUTDOWN)) == Closing(1770123456789)
    assert decode(combined(SHUTDOWN, "!serverShutdown")) == Closing(1770123456789)
    assert decode(wrap(SHUTDOWN | {"E": 1770123456789012})) == Closing(1770123456789)


@pytest.mark.parametrize("wrap", [raw, combined])
def test_book_ticker_is_told_by_its_keys(wrap: Wrap) -> None:
    expected = Quote("BNBUSDT", 400900217, "25.35190000", "31.21000000", "25.36520000", "40.66000000", 7)

    assert decode(wrap(BOOK_TICKER)) == expected


@pytest.mark.parametrize("wrap", [raw, lambda payload: combined(payload, "!miniTicker@arr")])
def test_array_is_a_list_of_records(wrap: Wrap) -> None:
    decoded = decode(wrap([MINI_TICKER, MINI_TICKER | {"s": "币安人生USDT"}]))

    assert isinstance(decoded, list)
    assert [type(record) for record in decoded] == [MiniTicker, MiniTicker]
    assert [record.symbol for record in decoded] == ["BNBBTC", "币安人生USDT"]


@pytest.mark.parametrize(
    "payload",
    [
        {"e": "avgPrice", "E": 1693907033000, "s": "BTCUSDT", "i": "5m", "w": "25776.86000000", "T": 1693907032213},
        {"e": "depthUpdate", "E": 1672515782136, "s": "BNBBTC", "U": 157, "u": 160, "b": [["0.0024", "10"]], "a": []},
        {"e": "referencePrice", "s": "BAZUSD", "r": None, "t": 1770313263917},
        {"e": "blockTrade", "E": 1772506983582, "s": "BNBBTC", "t": 582, "p": "0.052", "q": "5838",
         "T": 1772506983321, "m": True},
        {"e": "1hTicker", "E": 1672515782136, "s": "BNBBTC", "p": "0.0015"},
        {"e": "somethingNew", "E": 1, "anything": {"at": ["all"]}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("wrap", [raw, combined])
def test_kinds_that_we_do_not_know_are_told_and_no_error(payload: object, wrap: Wrap) -> None:
    assert isinstance(payload, dict)

    assert decode(wrap(payload)) == UnknownEvent(payload["e"])


def test_partial_depth_has_no_kind() -> None:
    assert isinstance(decode(combined({"lastUpdateId": 160, "bids": [["0.0024", "10"]], "asks": []})), UnknownEvent)


def test_long_kind_is_cut() -> None:
    assert decode(combined({"e": "x" * 10_000})) == UnknownEvent("x" * 64)


@pytest.mark.parametrize(
    ("frame", "reply"),
    [
        ({"result": None, "id": 1}, Acknowledged(1)),
        ({"result": None, "id": None}, Acknowledged(None)),
        ({"result": None, "id": "a1"}, Acknowledged("a1")),
        ({"result": None, "id": -5}, Acknowledged(-5)),
        ({"result": ["btcusdt@aggTrade"], "id": 3}, Listed(3, ("btcusdt@aggTrade",))),
        ({"result": [], "id": 3}, Listed(3, ())),
        ({"result": True, "id": 2}, Acknowledged(2)),
        ({"code": 2, "msg": "Invalid request: x", "id": 1}, Refused(1, "Invalid request: x", 2)),
        ({"error": {"code": 2, "msg": "Invalid request: x"}, "id": 1}, Refused(1, "Invalid request: x", 2)),
        ({"error": {"code": 4, "msg": "Too many subscriptions", "data": {"x": 1}}, "id": 9},
         Refused(9, "Too many subscriptions", 4, passes=True)),
        ({"code": 0, "msg": "Unknown property", "id": None}, Refused(None, "Unknown property", 0, passes=True)),
        ({"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}},
         Refused(None, "Invalid JSON: expected value at line 1 column 1", 3, passes=True)),
    ],
)  # fmt: skip
def test_control_replies_and_both_shapes_of_errors(frame: object, reply: Event) -> None:
    assert decode(raw(frame)) == reply


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "not_json"),
        (b"hello", "not_json"),
        (b'{"stream":"bnbbtc@trade","data":{"e":"trade"', "not_json"),
        (b"\xef\xbb\xbf" + combined(TRADE), "not_json"),
        (combined(TRADE) + b"x", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"stream":"\xff","data":1}', "not_json"),
        (combined(TRADE).replace(b'"0.001"', b'"\xff"'), "not_json"),
        (combined(TRADE).replace(b'"0.001"', b'"\\ud800"'), "not_json"),
        (combined(TRADE).replace(b"12345", b"NaN"), "not_json"),
        (combined(TRADE).replace(b"12345", b"Infinity"), "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'{"a":' * 100_000, "not_json"),
        (b'{"stream":"x","data":' + b"[" * 500 + b"]" * 500 + b"}", None),
        (b'{"stream":"x","data":' + b"[" * 5_000 + b"]" * 5_000 + b"}", None),
        (b'{"stream":"x","data":{"e":"trade","x":' + b"[" * 100_000 + b"}}", "not_json"),
        (b"null", "wrong_shape"),
        (b"1", "wrong_shape"),
        (b'"text"', "wrong_shape"),
        (b"{}", "wrong_shape"),
        (b'{"stream":"x"}', "wrong_shape"),
        (b'{"result":{"a":1},"id":1}', "wrong_shape"),
        (b'{"error":"no","id":1}', "wrong_shape"),
        (raw([TRADE, SHUTDOWN]), "wrong_shape"),
        (raw([TRADE, [TRADE]]), "wrong_shape"),
        (raw([1]), "wrong_shape"),
    ],
)
def test_hostile_frame_is_a_bad_frame(frame: bytes, reason: str | None) -> None:
    with pytest.raises(BadFrame) as caught:
        decode(frame)

    assert caught.value.reason in ({reason} if reason else {"not_json", "wrong_shape"})
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    "change",
    [
        {"t": "12345"}, {"t": 12345.5}, {"t": 1.0}, {"t": True}, {"t": None}, {"p": 0.001}, {"p": None}, {"q": 100},
        {"T": "1672515782136"}, {"m": 1}, {"m": "true"}, {"b": "1"}, {"E": []},
    ],
)  # fmt: skip
@pytest.mark.parametrize("wrap", [raw, combined])
def test_wrong_type_is_a_bad_frame_that_names_its_symbol(change: dict[str, object], wrap: Wrap) -> None:
    with pytest.raises(BadFrame, match="trade message") as caught:
        decode(wrap(TRADE | change))

    assert caught.value.reason == "wrong_shape"
    assert caught.value.symbol == "BNBBTC"


@pytest.mark.parametrize("field", ["E", "s", "t", "p", "q", "T", "m"])
def test_missing_field_is_a_bad_frame(field: str) -> None:
    with pytest.raises(BadFrame, match="documented shape"):
        decode(combined({name: value for name, value in TRADE.items() if name != field}))


@pytest.mark.parametrize("field", ["M", "b", "a"])
def test_fields_that_old_or_new_data_lacks_may_be_missing(field: str) -> None:
    whole = TRADE | {"b": 1, "a": 2}

    assert isinstance(decode(combined({name: value for name, value in whole.items() if name != field})), Trade)


def test_number_of_five_thousand_digits_is_no_crash() -> None:
    with pytest.raises(BadFrame):
        decode(combined(TRADE).replace(b"12345", b"1" * 5_000))


def test_integer_beyond_64_bits_does_not_become_a_float() -> None:
    record = decode_trade(combined(TRADE).replace(b"12345", b"18446744073709551617"))

    assert record.trade_id == 18446744073709551617


def test_of_duplicate_keys_the_last_counts() -> None:
    frame = combined(TRADE).replace(b'"t":12345', b'"t":12345,"t":12346')

    assert decode_trade(frame).trade_id == 12346


@pytest.mark.parametrize(
    ("key", "stream"),
    [
        (Key("trade", "BTCUSDT"), "btcusdt@trade"),
        (Key("ticker", "BTCUSDT"), "btcusdt@ticker"),
        (Key("kline", "BTCUSDT", "1m"), "btcusdt@kline_1m"),
        (Key("kline", "BTCUSDT", "1M"), "btcusdt@kline_1M"),
        (Key("quote", "币安人生USDT"), "币安人生usdt@bookTicker"),
    ],
)
def test_stream_names_are_lower_case_but_for_the_channel_and_interval(key: Key, stream: str) -> None:
    assert CODEC.stream_name(key) == stream


def test_control_messages_are_as_documented() -> None:
    streams = ["btcusdt@aggTrade", "ethusdt@depth"]

    (asking,) = CODEC.requests(streams, 1, adds=True)
    (giving_up,) = CODEC.requests(streams, 2, adds=False)

    assert json.loads(asking.frame) == {"method": "SUBSCRIBE", "params": streams, "id": 1}
    assert json.loads(giving_up.frame) == {"method": "UNSUBSCRIBE", "params": streams, "id": 2}
    assert (asking.number, asking.streams, asking.adds) == (1, tuple(streams), True)
    assert asking.symbols == ("BTCUSDT", "ETHUSDT")
    assert json.loads(CODEC.survey(3)) == {"method": "LIST_SUBSCRIPTIONS", "id": 3}


def test_many_streams_are_asked_for_in_requests_of_200_numbered_on() -> None:
    streams = [f"s{number}usdt@trade" for number in range(401)]

    requests = CODEC.requests(streams, 7, adds=True)

    assert [(each.number, len(each.streams)) for each in requests] == [(7, 200), (8, 200), (9, 1)]
    assert [json.loads(each.frame)["id"] for each in requests] == [7, 8, 9]
    assert [stream for each in requests for stream in each.streams] == streams


def test_kline_is_read_field_by_field() -> None:
    assert decode(combined(KLINE)) == Kline(
        symbol="BNBBTC", interval="1m", open_ms=1672515780000, close_ms=1672515839999, open="0.0010", high="0.0025",
        low="0.0015", close="0.0020", volume="1000", quote_volume="1.0000", taker_buy_base_volume="500",
        taker_buy_quote_volume="0.500", trades=100, is_closed=False, event_ms=1672515782136, first_trade_id=100,
        last_trade_id=200, received_ns=7,
    )  # fmt: skip


def in_stream(payload: bytes) -> bytes:
    return b'{"stream":"x","data":' + payload + b"}"


@pytest.mark.parametrize("wrap", [bytes, in_stream])
def test_arrays_within_arrays_are_not_parsed_level_by_level(wrap: Callable[[bytes], bytes]) -> None:
    """450 levels around a megabyte held the loop for 0.3 s a frame."""
    frame = b"[" * 450 + b'"' + b"x" * 1_000_000 + b'"' + b"]" * 450

    with pytest.raises(BadFrame, match="An array holds an array"):
        decode(wrap(frame))


@pytest.mark.parametrize("depth", [2_000, 500_000])
def test_frame_without_a_bottom_is_refused(depth: int) -> None:
    with pytest.raises(BadFrame, match="nested too deep"):
        decode(b"[" * depth + b"]" * depth)
