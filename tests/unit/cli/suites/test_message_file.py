"""Recorded messages: every form is read, and what is none of them is counted with the reason."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from data_collector.cli.suites import message_file
from data_collector.cli.suites.message_file import MessageFile, Recorded
from data_collector.model.errors import Misconfigured
from data_collector.validation.rules.columns import GATE_COLUMNS
from data_collector.venues.binance.codec import BinanceCodec

PAYLOAD = {"e": "trade", "E": 1704110400124, "s": "BTCUSDT", "t": 7, "p": "45180.500", "q": "0.1", "T": 1704110400123,
           "m": True, "M": True}  # fmt: skip
RAW = json.dumps(PAYLOAD)
COMBINED = json.dumps({"stream": "btcusdt@trade", "data": PAYLOAD})
TRADE = {"symbol": "BTCUSDT", "timestamp": "2024-01-01T12:00:00.123+00:00", "trade_id": 7, "price": 45180.500,
         "quantity": 0.1, "buyer_order_id": None, "seller_order_id": None, "is_buyer_maker": True}  # fmt: skip
KLINE = {"symbol": "BTCUSDT", "timestamp": "2024-01-01T12:00:00+00:00", "interval": "1m", "open": 1, "close": 2}
COLUMNS = {"kind": "trade", "time_ms": 1704110400123, "event_ms": 1704110400124, "received_ms": 1704110400130}


def read(path: Path, *lines: str | bytes) -> tuple[list[Recorded], MessageFile]:
    path.write_bytes(b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines))
    found = MessageFile(path, BinanceCodec())
    return list(found), found


def value(recorded: Recorded, column: str) -> object:
    return recorded.values[GATE_COLUMNS[recorded.kind].index(column)]


def reasons(found: MessageFile) -> Counter[str]:
    return Counter({skipped.reason: skipped.count for skipped in found.skipped()})


@pytest.mark.parametrize(
    ("line", "received_ms"),
    [
        (RAW, None),
        (COMBINED, None),
        (f"1704110400130999999 {COMBINED}", 1704110400130),
        (f"1704110400.130999: {RAW}", 1704110400130),
        (f"1704110400: {COMBINED}\r", 1704110400000),
        (f"  [{RAW}]  ", None),
        (json.dumps(TRADE), None),
        (json.dumps({"data": json.dumps(TRADE)}), None),
        (json.dumps({"data": json.dumps(TRADE), "warnings": "a,b"}), None),
        (json.dumps({"data": json.dumps(TRADE), "why": "[]", "columns": json.dumps(COLUMNS)}), 1704110400130),
        (json.dumps({"data": RAW, "why": "[]", "at": ""}), None),
        (json.dumps({"symbol": "BTCUSDT", "id": "1-1", "reasons": [], "record": TRADE, "frame": None}), None),
        (json.dumps({"symbol": "BTCUSDT", "id": "1-1", "reasons": [], "record": None, "frame": RAW}), None),
    ],
)
def test_each_form_of_a_trade_is_read(line: str, received_ms: int | None, tmp_path: Path) -> None:
    records, found = read(tmp_path / "recorded.jsonl", line)

    assert [recorded.kind for recorded in records] == ["trade"]
    assert found.skipped() == []
    names = ("symbol", "trade_id", "price", "quantity", "is_buyer_maker", "time_ms", "received_ms")
    assert [value(records[0], name) for name in names] == [
        "BTCUSDT", 7, 45180.5, 0.1, True, 1704110400123, received_ms,
    ]  # fmt: skip


def test_columns_of_quarantine_complete_the_record(tmp_path: Path) -> None:
    entry = {"data": json.dumps(TRADE), "columns": json.dumps(COLUMNS)}

    records, _ = read(tmp_path / "recorded.jsonl", json.dumps(entry))

    assert value(records[0], "event_ms") == 1704110400124


def test_record_that_quarantine_could_not_write_as_json_is_read(tmp_path: Path) -> None:
    content = {"symbol": "BTCUSDT", "trade_id": 7, "price": "1.2.3", "quantity": "1", "time_ms": 5, "event_ms": 6,
               "is_buyer_maker": True}  # fmt: skip

    records, _ = read(tmp_path / "recorded.jsonl", json.dumps({"data": json.dumps(content), "why": "[]"}))

    assert records[0].reading == ["number_text"]
    assert records[0].value("price") == "1.2.3"
    assert value(records[0], "price") is None


def test_kind_is_told_by_the_keys(tmp_path: Path) -> None:
    ticker = {"symbol": "BTCUSDT", "last_price": 1.5}

    records, _ = read(tmp_path / "recorded.jsonl", *map(json.dumps, (KLINE, ticker, TRADE)))

    assert [recorded.kind for recorded in records] == ["kline", "ticker", "trade"]
    assert value(records[0], "close_ms") == 1704110459999


def test_examples_keep_the_exchanges_digits(tmp_path: Path) -> None:
    records, _ = read(tmp_path / "recorded.jsonl", RAW)

    assert records[0].value("price") == "45180.500"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "empty"),
        ("nonsense", "not JSON"),
        ('"text"', "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        ("{" * 5_000, "not JSON"),
        ("[" * 5_000, "a bad frame (not_json)"),
        ("[]", "an empty array"),
        ("{}", "a bad frame (wrong_shape)"),
        ('{"e": "trade", "s": "BTCUSDT"}', "a bad frame (wrong_shape)"),
        ('{"e": "depthUpdate"}', "an event of another kind (depthUpdate)"),
        ('{"result": null, "id": 1}', "a message without rules (Acknowledged)"),
        ('{"symbol": "BTCUSDT"}', "an object that is no record"),
        ('{"symbol": "BTCUSDT", "trade_id": "seven"}', "a trade record with a wrong type"),
        ('{"data": "no JSON", "why": ""}', "a bad frame (not_json)"),
        ('{"data": "{\\"symbol\\"", "why": ""}', "not JSON"),
        ('{"data": "{\\"symbol\\": 1}", "columns": "5"}', "not JSON"),
        ('{"reasons": [], "record": 5}', "a bad frame (not_json)"),
    ],
)
def test_what_is_no_record_is_counted_with_the_reason(line: str | bytes, reason: str, tmp_path: Path) -> None:
    records, found = read(tmp_path / "recorded.jsonl", line, RAW, line)

    assert len(records) == 1
    assert reasons(found) == {reason: 2}
    assert found.skipped()[0].line == 1


def test_kinds_of_events_do_not_grow_without_bound(tmp_path: Path) -> None:
    _, found = read(tmp_path / "recorded.jsonl", *(f'{{"e": "event{number}"}}' for number in range(200)))

    assert len(found.skipped()) == message_file.REASONS_MAX + 1
    assert reasons(found).total() == 200


def test_line_that_is_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_file, "LINE_BYTES_MAX", 300)

    records, found = read(tmp_path / "recorded.jsonl", RAW, "x" * 5_000, RAW)

    assert [recorded.line for recorded in records] == [1, 3]
    assert reasons(found) == {"longer than 300 bytes": 1}


def test_compressed_recording_is_read(tmp_path: Path) -> None:
    path = tmp_path / "recorded.jsonl.gz"
    path.write_bytes(gzip.compress(RAW.encode()))

    assert len(list(MessageFile(path, BinanceCodec()))) == 1


@pytest.mark.parametrize(
    "content", [None, b"no gzip", gzip.compress(b"x" * 100_000)[:-9], b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xff\xff\xff"]
)
def test_what_cannot_be_read_is_a_sentence(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "recorded.gz"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(Misconfigured, match=r"recorded\.gz cannot be read \(.+\)\."):
        list(MessageFile(path, BinanceCodec()))


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("hftbacktest/btcusdt_20240808.txt.gz", {"trade": 9757, "quote": 28_040}),
        ("cryptofeed/BINANCE.ws.1.0.txt", {"kline": 2, "quote": 84}),
        ("crypto-msg-parser/binance_spot_ws_messages.jsonl", {"ticker": 2, "kline": 1, "quote": 1}),
    ],
)
def test_recordings_of_others_are_read(name: str, kinds: dict[str, int], recordings: Path) -> None:
    found = MessageFile(recordings / name, BinanceCodec())

    assert Counter(recorded.kind for recorded in found) == kinds
    assert sum(kinds.values()) + reasons(found).total() == found.lines
