"""Coinbase Exchange's frames: what is asked for, read and refused. Whole samples: tests/conformance."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from data_collector.model.errors import BadFrame
from data_collector.model.keys import Key
from data_collector.model.records import Ticker, Trade
from data_collector.model.venue import Head, Listed, Pulse, Refused, UnknownEvent
from data_collector.venues.coinbase.codec import CoinbaseCodec
from data_collector.venues.coinbase.venue import VENUE
from tests.judging import shipped_gate

CODEC = CoinbaseCodec()
MATCH = {
    "type": "match", "trade_id": 7, "side": "sell", "size": "0.5", "price": "84000.1", "product_id": "BTC-USD",
    "sequence": 50, "time": "2026-05-26T09:00:00.000001Z",
}  # fmt: skip


def test_one_request_names_the_channels_and_heartbeats_beside_trades() -> None:
    names = [
        CODEC.stream_name(Key(channel, symbol)) for symbol in ("BTC-USD", "ETH-USD") for channel in ("trade", "ticker")
    ]

    (request,) = CODEC.requests(names, 7, adds=True)

    assert request.streams == ("matches:BTC-USD", "ticker:BTC-USD", "matches:ETH-USD", "ticker:ETH-USD")
    assert (request.number, request.symbols) == (7, ("BTC-USD", "BTC-USD", "ETH-USD", "ETH-USD"))
    both = ["BTC-USD", "ETH-USD"]
    assert json.loads(request.frame) == {
        "type": "subscribe",
        "channels": [{"name": name, "product_ids": both} for name in ("matches", "heartbeat", "ticker")],
    }


def test_heartbeats_end_with_the_trades_and_not_with_the_ticker() -> None:
    trades, ticker = (CODEC.requests([f"{name}:BTC-USD"], 1, adds=False)[0] for name in ("matches", "ticker"))

    assert [each["name"] for each in json.loads(trades.frame)["channels"]] == ["matches", "heartbeat"]
    assert [each["name"] for each in json.loads(ticker.frame)["channels"]] == ["ticker"]
    assert json.loads(trades.frame)["type"] == "unsubscribe"
    assert not trades.adds


def test_many_streams_are_several_requests() -> None:
    requests = CODEC.requests([f"matches:A{number}-USD" for number in range(250)], 3, adds=True)

    assert [(request.number, len(request.streams)) for request in requests] == [(3, 100), (4, 100), (5, 50)]


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        ({"type": "subscriptions", "channels": [{"name": "matches", "product_ids": ["A-B", "C-D"]}, {"name": "x"}]},
         Listed(None, ("matches:A-B", "matches:C-D"))),
        ({"type": "error", "message": "Failed to subscribe", "reason": "user requires authentication"},
         Refused(None, "Failed to subscribe: user requires authentication")),
        ({"type": "error", "message": "ErrSlowConsume"}, Refused(None, "ErrSlowConsume", passes=True)),
        ({"type": "error"}, Refused(None, "no reason given")),
        ({"type": "heartbeat", "sequence": 9, "last_trade_id": 12, "product_id": "A-B"}, Head("A-B", 12)),
        ({"type": "heartbeat", "sequence": 9, "last_trade_id": 0, "product_id": "A-B"}, Pulse()),
        ({"type": "snapshot", "product_id": "A-B", "bids": [], "asks": []}, UnknownEvent("snapshot")),
        ({"type": "x" * 100}, UnknownEvent("x" * 64)),
    ],
)  # fmt: skip
def test_answers_and_what_is_not_asked_for(frame: object, event: object) -> None:
    assert CODEC.decode(msgspec.json.encode(frame), 7) == event


@pytest.mark.parametrize("kind", ["match", "last_match"])
@pytest.mark.parametrize(
    "change",
    [{"price": 84000.1}, {"price": None}, {"size": True}, {"trade_id": 1.5}, {"trade_id": "7"}, {"side": "BUY"},
     {"time": 1779786000}, {"time": "yesterday"}],
)  # fmt: skip
def test_a_bad_trade_is_told_with_its_symbol(kind: str, change: dict[str, object]) -> None:
    with pytest.raises(BadFrame) as caught:
        CODEC.decode(msgspec.json.encode(MATCH | {"type": kind} | change), 7)

    assert (caught.value.reason, caught.value.symbol) == ("wrong_shape", "BTC-USD")


@pytest.mark.parametrize(
    "frame",
    [b"", b"[]", b"7", b"{}", b"\xff", b'{"type":"match"}', b'{"type":7}', b'{"channel":"trade"}', b"[" * 5000,
     b'{"type":"subscriptions","channels":7}'],
)  # fmt: skip
def test_what_is_no_frame_is_told(frame: bytes) -> None:
    with pytest.raises(BadFrame):
        CODEC.decode(frame, 7)


@pytest.mark.parametrize(("text", "symbol"), [("btc-usd", "BTC-USD"), ("BTCUSD", None), ("BTC/USD", None)])
def test_symbols_have_a_hyphen(text: str, symbol: str | None) -> None:
    assert VENUE.read_symbol(text) == symbol


def recorded(recordings: Path) -> Iterator[bytes]:
    """What the exchange sent in 16 seconds."""
    with gzip.open(recordings / "cryptofeed" / "COINBASE.ws.28.0.lines_1-5000.txt.gz") as lines:
        for line in lines:
            _, separator, frame = line.rstrip(b"\n").partition(b": ")
            if separator and frame.startswith(b"{") and b" <- " not in line:
                yield frame


def test_recorded_frames_are_read_and_pass_the_gate(recordings: Path) -> None:
    decoded = [CODEC.decode(frame, 1) for frame in recorded(recordings)]

    kinds = Counter(one.kind if isinstance(one, UnknownEvent) else type(one).__name__ for one in decoded)
    assert kinds == {"Trade": 41, "Ticker": 41, "Listed": 3, "l2update": 4901, "snapshot": 10}
    gate = shipped_gate()
    assert [gate.check(one) for one in decoded if isinstance(one, Trade | Ticker)] == [None] * 82
    trades = [one for one in decoded if isinstance(one, Trade)]
    for symbol in {one.symbol for one in trades}:
        ids = [one.trade_id for one in trades if one.symbol == symbol]
        assert all(after == before + 1 for before, after in pairwise(ids))


def test_recorded_tickers_name_the_trade_of_the_other_side(recordings: Path) -> None:
    """`side` is the maker's where trades are told and the taker's in the ticker."""
    bodies = [msgspec.json.decode(frame, type=dict[str, object]) for frame in recorded(recordings)]
    takers = {(one["product_id"], one["trade_id"]): one["side"] for one in bodies if one["type"] == "ticker"}
    matches = [one for one in bodies if one["type"] in ("match", "last_match")]

    compared = [(one["side"], takers.get((one["product_id"], one["trade_id"]))) for one in matches]
    assert Counter(compared) <= Counter({("sell", "buy"): 41, ("buy", "sell"): 41})
    assert len(compared) == 41
