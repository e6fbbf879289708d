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

from data_collector.model.calendar import UtcCalendar
from data_collector.model.errors import BadFrame
from data_collector.model.records import AggregateTrade, Kline, Quote, Ticker, Trade
from data_collector.model.sink import Batch
from data_collector.model.venue import UnknownEvent
from data_collector.observe.counters import Counters
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.sequence.intake import Intake
from data_collector.pipeline.sequence.wanted_klines import WantedKlines
from data_collector.validation.auditing.auditor import Auditor
from data_collector.validation.auditing.ports import EmbeddedPort
from data_collector.validation.rules.columns import Checked
from data_collector.venues.binance.codec import BinanceCodec
from data_collector.venues.binance.rest_pages import (
    ExchangeInfo,
    KlineRow,
    TickerRow,
    TradeRow,
    klines_of,
    symbols_of,
    tickers_of,
    trades_of,
)
from data_collector.venues.binance.speaker.frames import encode
from tests.judging import Notebook, shipped_gate
from tests.receiving import receive
from tests.retaining import in_memory

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
    symbols = [symbol for symbol, *_ in HFTBACKTEST.values()]
    outlet = Outlet(symbols, in_memory(*symbols))
    intake = Intake(shipped_gate(), outlet, WantedKlines(UtcCalendar(), ["1m"]), Counters(), Notebook())
    batch = Batch()
    for name in HFTBACKTEST:
        for received_ns, frame in hftbacktest_frames(recordings, name):
            receive(intake, frame, received_ns)
    intake.release_held(everything=True)
    while outlet.waiting.is_set():
        batch.trades += outlet.take().trades

    assert intake.tally.errors == 0
    assert sum(run.count for run in batch.trades) == 15_863
    for symbol, _, trades, *_ in HFTBACKTEST.values():
        runs = [run for run in batch.trades if run.symbol == symbol]
        assert sum(run.count for run in runs) == trades
        assert all(run.first_id + run.count == after.first_id for run, after in pairwise(runs))


@pytest.mark.parametrize("name", HFTBACKTEST)
def test_stored_digits_are_those_of_the_recording(recordings: Path, name: str) -> None:
    symbol, _, trades, *_ = HFTBACKTEST[name]
    outlet = Outlet([symbol], in_memory(symbol))
    intake = Intake(shipped_gate(), outlet, WantedKlines(UtcCalendar(), ["1m"]), Counters(), Notebook())
    sent: list[tuple[int, str, str]] = []
    for received_ns, frame in hftbacktest_frames(recordings, name):
        receive(intake, frame, received_ns)
        if b"@trade" in frame:
            payload = msgspec.json.decode(frame)["data"]
            sent.append((payload["t"], payload["p"], payload["q"]))
    intake.release_held(everything=True)

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
            assert msgspec.json.decode(encode(decoded)) == msgspec.json.decode(frame)


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


def rest_klines(path: Path, symbol: str, interval: str) -> list[Kline]:
    """Rows of `/api/v3/klines`, or of a daily file, which has the same columns."""
    if path.suffix == ".csv":
        rows = [line.split(",") for line in path.read_text().splitlines()]
    else:
        rows = [
            [str(value) for value in row] for row in msgspec.json.decode(path.read_bytes(), type=list[list[object]])
        ]
    return [
        Kline(
            symbol, interval, int(row[0]), int(row[6]), row[1], row[2], row[3], row[4], row[5], row[7], row[9], row[10],
            int(row[8]), is_closed=True, event_ms=int(row[6]) + 1,
        )
        for row in rows
    ]  # fmt: skip


class RestTrade(msgspec.Struct, rename="camel"):
    id: int
    price: str
    qty: str
    time: int
    is_buyer_maker: bool


def recorded(recordings: Path) -> dict[str, list[Checked]]:
    """Every recorded message of a kind that has a suite, by where it comes from."""
    rest = recordings / "gocryptotrader"
    trades = msgspec.json.decode((rest / "trades_ETHBTC_2023_1000rows.json").read_bytes(), type=list[RestTrade])
    tickers = msgspec.json.decode(
        (rest / "ticker24hr_BTCUSDT_ETHUSDT_2024-11-01.json").read_bytes(), type=list[TickerRow]
    )
    frames = [CODEC.decode(frame, 1) for frame in cryptofeed_frames(recordings)]
    lines = (recordings / "crypto-msg-parser" / "binance_spot_ws_messages.jsonl").read_bytes().splitlines()
    singles = [CODEC.decode(line, 1) for line in lines]
    flat = [one for found in singles for one in (found if isinstance(found, list) else [found])]
    return {
        "1m klines by REST": list(rest_klines(rest / "klines_BTCUSDT_1m_2020-05-06_60rows.json", "BTCUSDT", "1m")),
        "1h klines by REST": list(rest_klines(rest / "klines_BTCUSDT_1h_2020-05-01_1000rows.json", "BTCUSDT", "1h")),
        "daily file": list(rest_klines(recordings / "nautilus_trader" / "ADABTC-1m-2021-11-27.csv", "ADABTC", "1m")),
        "trades by REST": [
            Trade("ETHBTC", one.id, one.price, one.qty, one.time, one.time, one.is_buyer_maker) for one in trades
        ],
        "tickers by REST": [*tickers_of({row.symbol for row in tickers}, tickers)],
        "trades of the stream": [
            one
            for name in HFTBACKTEST
            for received_ns, frame in hftbacktest_frames(recordings, name)
            if isinstance(one := CODEC.decode(frame, received_ns), Trade)
        ],
        "other frames": [one for one in (*frames, *flat) if isinstance(one, Kline | Ticker)],
    }


COUNTS = {
    "1m klines by REST": 60, "1h klines by REST": 1_000, "daily file": 10, "trades by REST": 1_000,
    "tickers by REST": 2, "trades of the stream": 15_863,
}  # fmt: skip


def test_shipped_suites_refuse_and_mark_nothing_that_was_recorded(recordings: Path) -> None:
    found = recorded(recordings)

    assert {name: len(records) for name, records in found.items() if name in COUNTS} == COUNTS
    assert len(found["other frames"]) >= 5
    odd = [
        (name, verdict) for name, records in found.items() for one in records if (verdict := shipped_gate().check(one))
    ]
    assert odd == []


def test_recorded_rest_pages_contradict_nothing(recordings: Path) -> None:
    rest = recordings / "gocryptotrader"
    trades = msgspec.json.decode((rest / "trades_ETHBTC_2023_1000rows.json").read_bytes(), type=list[TradeRow])
    assert len(trades_of("ETHBTC", trades[0].id, 1_000, trades)) == 1_000
    for interval, rest_of_name in (("1m", "2020-05-06_60rows"), ("1h", "2020-05-01_1000rows")):
        path = rest / f"klines_BTCUSDT_{interval}_{rest_of_name}.json"
        rows = msgspec.json.decode(path.read_bytes(), type=list[KlineRow])
        span = (rows[0][0], rows[-1][0])
        assert len(klines_of("BTCUSDT", interval, span, rows[-1][6] + 5_000, rows).klines) == len(rows)


async def test_great_expectations_finds_nothing_in_what_was_recorded(recordings: Path) -> None:
    """The whole audit, with its batch rules; the symbol list is the one that was recorded."""
    info = (recordings / "gocryptotrader" / "exchangeInfo_2025-08-07_25symbols.json").read_bytes()
    listed = symbols_of(msgspec.json.decode(info, type=ExchangeInfo))
    port = EmbeddedPort()
    auditor = Auditor(shipped_gate(), port, every_s=0.0)
    auditor.learn(listed)
    try:
        for name, records in recorded(recordings).items():
            # What was recorded elsewhere is another collector's.
            port._source = name
            for record in records:
                auditor.note(record, shipped_gate().check(record))
            await auditor.drain(60)
    finally:
        await port.close()

    assert auditor.coverage == 1.0
    assert auditor.checked.total() > 17_900
    assert not auditor.disagreements
    assert not auditor.failures
    assert set(auditor.broken) <= EXPLAINED.keys()


EXPLAINED = {
    ("trade", "tick_size"): "ETHBTC traded in steps of 0.000001 in 2023; the recorded list of 2025 says 0.00001",
    ("ticker", "last_price_tick_size"): "the same list, held against tickers of 2022 and 2024",
    ("ticker", "ticker_order"): "single frames of several years, not in the order of their times",
    ("ticker", "last_id_order"): "the same frames",
    ("kline", "open_time_order"): "the same frames",
    ("trade", "clock_skew"): "the recorder's clock was wrong",
}
"""Findings of the audit, none of which refuses or marks a record, and why each is no fault of its rule."""
