"""Recordings of the real exchange pass through the decoder and the intake: nothing lost, nothing refused."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from data_collector.model.batch import Batch
from data_collector.model.calendar import UtcCalendar
from data_collector.model.errors import BadFrame
from data_collector.model.protocols import UnknownEvent
from data_collector.model.records import AggregateTrade, Kline, Quote, Ticker, Trade
from data_collector.observe.counters import Counters
from data_collector.pipeline.intake import Intake
from data_collector.pipeline.outlet import Outlet
from data_collector.venues.binance.codec import BinanceCodec
from tests.judging import Notebook, shipped_gate

CODEC = BinanceCodec()
HFTBACKTEST = {
    "btcusdt": ("BTCUSDT", 41_248, 9_757, 28_040, 3_451),
    "ethusdt": ("ETHUSDT", 33_617, 6_106, 24_077, 3_434),
}
"""Symbol, frames, trades, book tickers and depth updates of each file; one line more is a REST answer."""


def hftbacktest_frames(recordings: Path, name: str) -> Iterator[tuple[int, bytes]]:
    """Receive time and frame of each line, without the REST answer."""
    with gzip.open(recordings / "hftbacktest" / f"{name}_20240808.txt.gz") as lines:
        for line in lines:
            received_ns, _, frame = line.rstrip(b"\n").partition(b" ")
            if frame.startswith(b'{"stream"'):
                yield int(received_ns), frame


def cryptofeed_frames(recordings: Path) -> Iterator[bytes]:
    for line in (recordings / "cryptofeed" / "BINANCE.ws.1.0.txt").read_bytes().splitlines():
        _, separator, frame = line.partition(b": ")
        if separator and frame.startswith(b"{"):
            yield frame


def kinds(decoded: Iterator[object]) -> Counter[str]:
    return Counter(one.kind if isinstance(one, UnknownEvent) else type(one).__name__ for one in decoded)


@pytest.mark.parametrize("name", HFTBACKTEST)
def test_five_minutes_of_trades_are_decoded_without_a_gap(recordings: Path, name: str) -> None:
    symbol, frames, trades, quotes, depths = HFTBACKTEST[name]
    decoded = [CODEC.decode(frame, received_ns) for received_ns, frame in hftbacktest_frames(recordings, name)]

    assert len(decoded) == frames
    assert kinds(iter(decoded)) == {"Trade": trades, "Quote": quotes, "depthUpdate": depths}
    ids = [one.trade_id for one in decoded if isinstance(one, Trade)]
    assert ids == list(range(ids[0], ids[0] + trades))
    assert {one.symbol for one in decoded if isinstance(one, Trade | Quote)} == {symbol}


def test_recorded_trades_pass_the_intake_whole(recordings: Path) -> None:
    outlet = Outlet([symbol for symbol, *_ in HFTBACKTEST.values()])
    intake = Intake(CODEC, shipped_gate(), outlet, UtcCalendar(), ["1m"], Counters(), Notebook())
    batch = Batch()
    for name in HFTBACKTEST:
        for received_ns, frame in hftbacktest_frames(recordings, name):
            intake.receive(memoryview(frame), received_ns)
    while outlet.waiting.is_set():
        batch.trades += outlet.take().trades

    assert intake.errors == 0
    assert sum(run.count for run in batch.trades) == 15_863
    for symbol, _, trades, *_ in HFTBACKTEST.values():
        runs = [run for run in batch.trades if run.symbol == symbol]
        assert sum(run.count for run in runs) == trades
        assert all(run.first_id + run.count == after.first_id for run, after in pairwise(runs))


@pytest.mark.parametrize("name", HFTBACKTEST)
def test_stored_digits_are_those_of_the_recording(recordings: Path, name: str) -> None:
    symbol, _, trades, *_ = HFTBACKTEST[name]
    outlet = Outlet([symbol])
    intake = Intake(CODEC, shipped_gate(), outlet, UtcCalendar(), ["1m"], Counters(), Notebook())
    sent: list[tuple[int, str, str]] = []
    for received_ns, frame in hftbacktest_frames(recordings, name):
        intake.receive(memoryview(frame), received_ns)
        if b"@trade" in frame:
            payload = msgspec.json.decode(frame)["data"]
            sent.append((payload["t"], payload["p"], payload["q"]))

    stored = [
        msgspec.json.decode(str(text), type=dict[str, msgspec.Raw])
        for run in outlet.take().trades
        for text in run.entries[1::2]
    ]
    assert len(stored) == trades
    assert [
        (int(bytes(one["trade_id"])), Decimal(bytes(one["price"]).decode()), Decimal(bytes(one["quantity"]).decode()))
        for one in stored
    ] == [(trade_id, Decimal(price), Decimal(quantity)) for trade_id, price, quantity in sent]


@pytest.mark.parametrize("name", HFTBACKTEST)
def test_recorded_trade_frames_are_what_encode_makes(recordings: Path, name: str) -> None:
    for received_ns, frame in hftbacktest_frames(recordings, name):
        decoded = CODEC.decode(frame, received_ns)
        if isinstance(decoded, Trade | Quote):
            assert msgspec.json.decode(CODEC.encode(decoded)) == msgspec.json.decode(frame)


def test_half_a_minute_of_four_quiet_symbols_is_decoded(recordings: Path) -> None:
    decoded = [CODEC.decode(frame, 1) for frame in cryptofeed_frames(recordings)]

    assert kinds(iter(decoded)) == {"depthUpdate": 177, "Quote": 84, "AggregateTrade": 2, "Kline": 2}
    assert all(shipped_gate().check(one) is None for one in decoded if isinstance(one, Kline | AggregateTrade))
    assert [one.is_closed for one in decoded if isinstance(one, Kline)] == [False, False]


def test_single_frames_of_several_years_are_decoded(recordings: Path) -> None:
    lines = (recordings / "crypto-msg-parser" / "binance_spot_ws_messages.jsonl").read_bytes().splitlines()

    decoded: list[object] = []
    for line in lines:
        try:
            found = CODEC.decode(line, 1)
        except BadFrame as error:  # pragma: no cover - shown by the assertion
            found = UnknownEvent(f"{error}: {line[:80]!r}")
        decoded += found if isinstance(found, list) else [found]

    counted = kinds(iter(decoded))
    assert counted["AggregateTrade"] == counted["Quote"] == counted["Kline"] == counted["depthUpdate"] == 1
    assert counted["Ticker"] >= 2
    assert counted["no event kind"] == 1
    assert sum(counted.values()) == len(decoded)
    assert all(shipped_gate().check(one) is None for one in decoded if isinstance(one, Kline | Ticker))
