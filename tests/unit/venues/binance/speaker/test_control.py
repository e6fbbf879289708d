"""Control messages: every error of the documents, and what is not one."""

from __future__ import annotations

import json

import pytest

from data_collector.venues.binance.speaker.control import ControlError, ControlMessage, error, is_stream_name, parse


def message(**fields: object) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize("request_id", [1, -9, 2**63 - 1, "a", "c71f8a3e-55d1-4a7c-9d3e-0d8f2f6f7c11", None])
def test_every_documented_kind_of_id_is_kept_as_it_is(request_id: int | str | None) -> None:
    request = parse(message(method="SUBSCRIBE", params=["btcusdt@trade"], id=request_id))

    assert request == ControlMessage("SUBSCRIBE", request_id, ("btcusdt@trade",))


@pytest.mark.parametrize("request_id", [True, 1.5, [1], 2**63, "with blank", "x" * 37])
def test_other_ids_are_refused(request_id: object) -> None:
    refusal = parse(message(method="LIST_SUBSCRIPTIONS", id=request_id))

    assert isinstance(refusal, ControlError)
    assert refusal.code == 2
    assert "request ID must be an unsigned integer" in refusal.message


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        (b"not json", 3, "Invalid JSON"),
        (b"\xff", 3, "Invalid JSON"),
        (message(params=[], id=1), 2, "missing field `method`"),
        (message(method="SUBSCRIBE", params=[]), 2, "request ID"),
        (message(method="BUY", id=1), 2, "unknown variant BUY, expected one of `SUBSCRIBE`"),
        (message(method="LIST_SUBSCRIPTIONS", params=["x"], id=1), 2, "too many parameters"),
        (message(method="GET_PROPERTY", params=["combined", 1], id=1), 2, "too many parameters"),
        (message(method="GET_PROPERTY", params=["nothing"], id=1), 0, "Unknown property"),
        (message(method="SET_PROPERTY", params=["combined", "yes"], id=1), 1, "expected Boolean"),
        (message(method="SET_PROPERTY", params=[7, True], id=1), 2, "property name must be a string"),
        (message(method="SET_PROPERTY", id=1), 2, "property name must be a string"),
    ],
)
def test_each_documented_error_has_its_code(text: bytes, code: int, part: str) -> None:
    refusal = parse(text)

    assert isinstance(refusal, ControlError)
    assert refusal.code == code
    assert part in refusal.message
    assert not refusal.closes


@pytest.mark.parametrize("name", ["@@@x", "btcusdt", "", "btcusdt@", "btc usdt@trade", "btcusdt@trade@x", 7])
def test_malformed_stream_closes_the_connection(name: object) -> None:
    refusal = parse(message(method="SUBSCRIBE", params=[name], id=4))

    assert isinstance(refusal, ControlError)
    assert (refusal.code, refusal.request_id, refusal.closes) == (2, 4, True)


@pytest.mark.parametrize(
    "name",
    ["nosuchcoin@trade", "BTCUSDT@trade", "btcusdt@kline_1M", "btcusdt@kline_1d@+08:00", "!miniTicker@arr",
     "btcusdt@depth20@100ms", "币安人生usdt@trade"],
)  # fmt: skip
def test_only_the_form_of_a_stream_name_is_checked(name: str) -> None:
    assert is_stream_name(name)


def test_errors_come_nested_or_flat() -> None:
    refusal = ControlError(2, "text", 1)

    assert json.loads(error(refusal, "nested")) == {"error": {"code": 2, "msg": "text"}, "id": 1}
    assert json.loads(error(refusal, "flat")) == {"code": 2, "msg": "text", "id": 1}
