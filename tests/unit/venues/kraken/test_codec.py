"""Kraken's frames: what is asked for, read and refused. Whole samples: tests/conformance."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from data_collector.model.errors import BadFrame
from data_collector.model.keys import Key
from data_collector.model.records import Quote
from data_collector.model.venue import Acknowledged, Pulse, Refused, UnknownEvent
from data_collector.venues.kraken.codec import KrakenCodec

CODEC = KrakenCodec()
TRADE = {
    "symbol": "BTC/USD", "side": "buy", "price": 84000.1, "qty": 0.5, "ord_type": "limit", "trade_id": 7,
    "timestamp": "2026-05-26T09:00:00.000001Z",
}  # fmt: skip


def trades(*bodies: object) -> bytes:
    return msgspec.json.encode({"channel": "trade", "type": "update", "data": bodies})


def book(kind: str, bids: str, asks: str, checksum: int, symbol: str = "BTC/USD") -> bytes:
    time = "2026-05-26T09:00:00.000001Z"
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}","bids":[{bids}],"asks":[{asks}],'
        f'"checksum":{checksum},"timestamp":"{time}"}}]}}'
    ).encode()


SNAPSHOT = book("snapshot", '{"price":10.0,"qty":1.50}', '{"price":10.5,"qty":2.00}', 1089292685)


def test_one_request_a_channel_names_its_streams_and_symbols() -> None:
    names = [
        CODEC.stream_name(Key(channel, symbol)) for symbol in ("BTC/USD", "ETH/USD") for channel in ("trade", "quote")
    ]

    first, second = CODEC.requests(names, 7, adds=True)

    assert (first.number, first.streams, first.symbols) == (
        7,
        ("trade:BTC/USD", "trade:ETH/USD"),
        ("BTC/USD", "ETH/USD"),
    )
    assert (second.number, second.streams) == (8, ("book:BTC/USD", "book:ETH/USD"))
    assert json.loads(first.frame) == {
        "method": "subscribe",
        "params": {"channel": "trade", "symbol": ["BTC/USD", "ETH/USD"], "snapshot": True},
        "req_id": 7,
    }


def test_a_book_is_given_up_with_the_depth_that_it_was_asked_for_with() -> None:
    (request,) = CODEC.requests(["book:BTC/USD"], 1, adds=False)

    assert json.loads(request.frame)["params"] == {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}
    assert not request.adds


def test_nothing_is_asked_for_a_snapshot_of_trades_that_end() -> None:
    (request,) = CODEC.requests(["trade:BTC/USD"], 1, adds=False)

    assert json.loads(request.frame)["params"] == {"channel": "trade", "symbol": ["BTC/USD"]}


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        ({"method": "subscribe", "success": True, "req_id": 3, "result": {"channel": "ticker", "symbol": "A/B"}},
         Acknowledged(3, ("ticker:A/B",))),
        ({"method": "subscribe", "success": True, "req_id": 3}, Acknowledged(3)),
        ({"method": "subscribe", "success": False, "error": "no", "symbol": "A/B"}, Refused(None, "no", symbol="A/B")),
        ({"error": "Malformed request", "success": False}, Refused(None, "Malformed request", passes=True)),
        ({"method": "pong"}, Pulse()),
        ({"method": "somethingNew", "x": 1}, UnknownEvent("somethingNew")),
        ({"channel": "instrument", "type": "snapshot", "data": {"pairs": []}}, UnknownEvent("instrument")),
        ({"channel": "x" * 100}, UnknownEvent("x" * 64)),
        ({"channel": "trade", "type": "update", "data": []}, Pulse()),
    ],
)  # fmt: skip
def test_answers_and_what_is_not_asked_for(frame: object, event: object) -> None:
    assert CODEC.decode(msgspec.json.encode(frame), 7) == event


@pytest.mark.parametrize(
    "change",
    [{"price": "84000.1"}, {"price": None}, {"qty": True}, {"trade_id": 1.5}, {"trade_id": "7"}, {"side": "bid"},
     {"timestamp": 1779786000}, {"timestamp": "yesterday"}, {"price": 1e300}],
)  # fmt: skip
def test_a_bad_trade_is_told_with_its_symbol(change: dict[str, object]) -> None:
    with pytest.raises(BadFrame) as caught:
        CODEC.decode(trades(TRADE | change), 7)

    assert (caught.value.reason, caught.value.symbol) == ("wrong_shape", "BTC/USD")


def test_of_trades_of_two_symbols_none_is_blamed() -> None:
    with pytest.raises(BadFrame) as caught:
        CODEC.decode(trades(TRADE, TRADE | {"symbol": "ETH/USD", "qty": "x"}), 7)

    assert caught.value.symbol is None


@pytest.mark.parametrize(
    "frame", [b"", b"[]", b"7", b"{}", b"\xff", b'{"channel":"trade"}', b'{"data":[]}', b"[" * 5000]
)
def test_what_is_no_frame_is_told(frame: bytes) -> None:
    with pytest.raises(BadFrame):
        CODEC.decode(frame, 7)


def test_a_quote_is_told_when_the_top_changes_and_not_else() -> None:
    codec = CODEC.session()

    first = codec.decode(SNAPSHOT, 7)
    below = codec.decode(book("update", '{"price":9.9,"qty":3.00}', "", 3333138485), 8)
    gone = codec.decode(book("update", '{"price":10.0,"qty":0.00}', "", 459793440), 9)

    assert first == Quote("BTC/USD", 1779786000000001, "10.0", "1.50", "10.5", "2.00", 7)
    assert below == Pulse()
    assert gone == Quote("BTC/USD", 1779786000000002, "9.9", "3.00", "10.5", "2.00", 9)


def test_a_wrong_checksum_ends_the_quotes_until_a_snapshot() -> None:
    codec = CODEC.session()
    codec.decode(SNAPSHOT, 7)

    for change in (book("update", '{"price":9.9,"qty":3.00}', "", 1), book("update", "", "", 1089292685)):
        with pytest.raises(BadFrame, match=r"checksum|snapshot") as caught:
            codec.decode(change, 8)
        assert caught.value.symbol == "BTC/USD"

    assert isinstance(codec.decode(SNAPSHOT, 9), Quote)


def test_books_are_of_a_connection() -> None:
    CODEC.session().decode(SNAPSHOT, 7)

    with pytest.raises(BadFrame, match="snapshot"):
        CODEC.session().decode(book("update", "", "", 1089292685), 8)


def test_recorded_book_has_the_checksums_of_the_exchange(recordings: Path) -> None:
    frames = (recordings / "python-kraken-sdk" / "book_BTC-USD_depth10_first256.jsonl").read_bytes().splitlines()
    codec = CODEC.session()

    decoded = [codec.decode(frame, 1_690_730_998_000_000_000) for frame in frames]

    quotes = [one for one in decoded if isinstance(one, Quote)]
    assert (len(decoded), len(quotes)) == (256, 121)
    assert [one.update_id for one in quotes] == sorted({one.update_id for one in quotes})
    assert all(float(one.bid) < float(one.ask) for one in quotes)
