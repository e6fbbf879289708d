"""Sections 2 and 3 of the contract, line by line: what users find in the store, read as they read it."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from itertools import pairwise

import pytest

from data_collector.model.calendar import UtcCalendar
from data_collector.model.sink import Batch, NewestUpdate
from data_collector.model.store_url import StoreAddress
from data_collector.observe.counters import Counters
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.sequence.intake import Intake
from data_collector.pipeline.sequence.wanted_klines import WantedKlines
from data_collector.sinks.redis.sink import RedisSink
from data_collector.venues.binance.codec import BinanceCodec
from data_collector.venues.binance.speaker.frames import encode
from tests.contract.stores import WEEK_S, Reader, klines, minutes, opened, redis_sink, run_of, trades
from tests.judging import Notebook, shipped_gate
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline, ticker, trade
from tests.receiving import receive
from tests.retaining import in_memory

TRADE_KEYS = [
    "symbol", "timestamp", "trade_id", "price", "quantity", "buyer_order_id", "seller_order_id", "is_buyer_maker",
]  # fmt: skip
KLINE_KEYS = [
    "symbol", "timestamp", "interval", "open", "high", "low", "close", "volume", "trades", "is_closed",
    "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume",
]  # fmt: skip
STATISTICS = [
    "price_change", "price_change_percent", "weighted_avg_price", "prev_close_price", "last_price", "last_qty",
    "bid_price", "bid_qty", "ask_price", "ask_qty", "open_price", "high_price", "low_price", "volume", "quote_volume",
    "open_time", "close_time", "first_id", "last_id", "count",
]  # fmt: skip
ISO_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00"


class Frames:
    """The way from the exchange's frames to the store, without sockets."""

    def __init__(self, sink: RedisSink) -> None:
        self.codec = BinanceCodec()
        self.now_s = 0.0
        self.outlet = Outlet([SYMBOL], in_memory(SYMBOL), clock=lambda: self.now_s)
        self.sink = sink
        self.intake = Intake(
            shipped_gate(),
            self.outlet,
            WantedKlines(UtcCalendar(), ["1m", "1h"]),
            Counters(),
            Notebook(),
            lambda: self.now_s,
        )

    async def send(self, *frames: bytes) -> None:
        """Receive frames, then write out what they came to."""
        for frame in frames:
            receive(self.intake, frame)
        self.now_s += 1.0
        self.intake.release_held()
        await self.sink.write(self.outlet.take())

    def give_up(self, last_id: int) -> None:
        """As the repair does when nobody can give what is missing."""
        sequence = self.intake.trades.sequences[SYMBOL]
        self.intake.trades.pass_over(sequence, last_id, "lost")
        self.intake.trades.release(sequence)


@pytest.fixture
def frames(sink: RedisSink) -> Frames:
    return Frames(sink)


def text_of(reader: Reader, stream: str) -> str:
    return reader.entries(stream)[-1][1]["data"]


async def test_trade_record(sink: RedisSink, reader: Reader) -> None:
    await sink.write(Batch(trades=[run_of([trade(buyer_order_id=987654321, seller_order_id=123456789)])]))

    text = text_of(reader, "trades:BTCUSDT")
    record = json.loads(text, parse_float=Decimal)
    assert list(record) == TRADE_KEYS
    assert record == {
        "symbol": "BTCUSDT",
        "timestamp": "2024-01-01T12:00:00.123+00:00",
        "trade_id": 123456789,
        "price": Decimal("45180.50"),
        "quantity": Decimal("0.123"),
        "buyer_order_id": 987654321,
        "seller_order_id": 123456789,
        "is_buyer_maker": True,
    }


async def test_order_ids_that_the_source_does_not_send_are_null(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(1, 1))

    (record,) = reader.records("trades:BTCUSDT")
    assert (record["buyer_order_id"], record["seller_order_id"]) == (None, None)


async def test_kline_record(sink: RedisSink, reader: Reader) -> None:
    await sink.write(klines(kline()))

    record = json.loads(text_of(reader, "stream:BTCUSDT"), parse_float=Decimal)
    assert list(record) == KLINE_KEYS
    assert record == {
        "symbol": "BTCUSDT",
        "timestamp": "2024-01-01T12:00:00+00:00",
        "interval": "1m",
        "open": Decimal("45123.45"),
        "high": Decimal("45200.00"),
        "low": Decimal("45100.00"),
        "close": Decimal("45180.50"),
        "volume": Decimal("123.456"),
        "trades": 1234,
        "is_closed": True,
        "quote_volume": Decimal("5567890.12"),
        "taker_buy_base_volume": Decimal("61.728"),
        "taker_buy_quote_volume": Decimal("2783945.06"),
    }


@pytest.mark.parametrize("digits", ["123456789012.12345678", "0.12300000", "45180.50", "0.00000001"])
async def test_no_digit_is_lost_from_frame_to_store(frames: Frames, reader: Reader, digits: str) -> None:
    # A candle without trades: what it says of prices then holds for any price.
    nothing = {"volume": "0", "quote_volume": "0", "taker_buy_base_volume": "0", "taker_buy_quote_volume": "0"}
    numbers = {"open": digits, "high": digits, "low": digits, "close": digits, "trades": 0, **nothing}
    numbers |= {"first_trade_id": -1, "last_trade_id": -1}
    await frames.send(
        encode(trade(1, price=digits, quantity=digits)),
        encode(trade(2)),
        encode(kline(**numbers)),
    )

    first, _ = reader.entries("trades:BTCUSDT")
    as_text = json.loads(first[1]["data"], parse_float=str)
    assert (Decimal(as_text["price"]), Decimal(as_text["quantity"])) == (Decimal(digits), Decimal(digits))
    assert reader.records("stream:BTCUSDT")[0]["close"] == Decimal(digits)
    assert all(type(number) is Decimal for number in (reader.records("trades:BTCUSDT")[0]["price"],))


async def test_numbers_are_json_numbers(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(1, 1))
    await sink.write(klines(kline()))

    assert re.search(r'"price":\s*45180\.50', text_of(reader, "trades:BTCUSDT"))
    assert re.search(r'"close":\s*45180\.50', text_of(reader, "stream:BTCUSDT"))


@pytest.mark.parametrize(
    ("sub_ms_us", "timestamp"),
    [(None, "2024-01-01T12:00:00.123+00:00"), (45, "2024-01-01T12:00:00.123045+00:00")],
)
async def test_trade_time_has_three_digits_and_six_where_the_source_has_microseconds(
    frames: Frames, reader: Reader, sub_ms_us: int | None, timestamp: str
) -> None:
    records = [trade(number, sub_ms_us=sub_ms_us) for number in (1, 2)]
    await frames.send(*(encode(one, microseconds=sub_ms_us is not None) for one in records))

    assert [record["timestamp"] for record in reader.records("trades:BTCUSDT")] == [timestamp] * 2


async def test_kline_key_ends_with_the_records_own_timestamp(sink: RedisSink, reader: Reader) -> None:
    await sink.write(klines(kline()))

    key = "kline:BTCUSDT:1m:2024-01-01T12:00:00+00:00"
    assert reader.client.type(key) == "string"
    assert reader.client.get(key) == text_of(reader, "stream:BTCUSDT")
    assert key.endswith(str(reader.records("stream:BTCUSDT")[0]["timestamp"]))


async def test_kline_key_shows_the_newest_state(sink: RedisSink, reader: Reader) -> None:
    await sink.write(klines(kline(closed=False, close="45150.00")))
    await sink.write(klines(kline(closed=False, close="45160.00", event_ms=NOON_MS + 40_000)))
    await sink.write(klines(kline(closed=False, close="45140.00", event_ms=NOON_MS + 20_000)))

    record = json.loads(str(reader.client.get("kline:BTCUSDT:1m:2024-01-01T12:00:00+00:00")), parse_float=str)
    assert record["close"] == "45160.00"


async def test_kline_key_expires_counted_from_its_last_write(sink: RedisSink, reader: Reader) -> None:
    key = "kline:BTCUSDT:1m:2024-01-01T12:00:00+00:00"
    await sink.write(klines(kline(closed=False)))
    reader.client.expire(key, 5)
    await sink.write(klines(kline()))

    left = reader.client.ttl(key)
    assert isinstance(left, int)
    assert WEEK_S - 60 < left <= WEEK_S


async def test_second_klines_expire_sooner(sink: RedisSink, reader: Reader) -> None:
    await sink.write(klines(kline(interval="1s", close_ms=NOON_MS + 999)))

    left = reader.client.ttl("kline:BTCUSDT:1s:2024-01-01T12:00:00+00:00")
    assert isinstance(left, int)
    assert 3_540 < left <= 3_600


async def test_stream_holds_klines_of_every_interval_each_closed_one_once_and_in_order(
    sink: RedisSink, reader: Reader
) -> None:
    hour = kline(interval="1h", close_ms=NOON_MS + 3_599_999)
    for _ in range(2):
        await sink.write(klines(kline(0), kline(1), kline(2, closed=False)))
        await sink.write(klines(hour, kline(2)))

    entries = reader.entries("stream:BTCUSDT")
    assert all(set(fields) >= {"data"} for _, fields in entries)
    states = [
        (record["interval"], str(record["timestamp"])[11:16], record["is_closed"])
        for record in reader.records("stream:BTCUSDT")
    ]
    assert states == [
        ("1m", "12:00", True), ("1m", "12:01", True), ("1m", "12:02", False), ("1h", "12:00", True),
        ("1m", "12:02", True),
    ]  # fmt: skip


async def test_trades_stream_holds_every_trade_with_its_id_in_the_entry_id(sink: RedisSink, reader: Reader) -> None:
    records = [trade(100 + index, time_ms=NOON_MS + late) for index, late in enumerate([0, 7, 3, 3, 9])]
    await sink.write(Batch(trades=[run_of(records)]))

    entries = reader.entries("trades:BTCUSDT")
    halves = [tuple(map(int, entry_id.split("-"))) for entry_id, _ in entries]
    assert [trade_id for _, trade_id in halves] == [100, 101, 102, 103, 104]
    assert [ms - NOON_MS for ms, _ in halves] == [0, 7, 7, 7, 9]
    assert all(earlier <= later for earlier, later in pairwise(halves))
    assert [json.loads(fields["data"])["trade_id"] for _, fields in entries] == [100, 101, 102, 103, 104]


async def test_latest_is_a_hash_with_symbol_price_volume_timestamp_and_the_rest_names(
    sink: RedisSink, reader: Reader
) -> None:
    await sink.write(Batch(newest=[NewestUpdate(ticker())]))

    latest = reader.latest()
    assert set(latest) >= {"symbol", "price", "volume", "timestamp", *STATISTICS}
    assert (latest["symbol"], latest["price"], latest["volume"]) == ("BTCUSDT", "45180.50", "8913.30000000")
    assert latest["timestamp"] == "2024-01-01T12:00:00.000+00:00"
    assert float(latest["price"]) == 45180.50


async def test_latest_price_is_the_newest_of_trade_and_ticker(frames: Frames, reader: Reader) -> None:
    await frames.send(encode(ticker(last_id=10, count=10)))
    await frames.send(encode(trade(11, price="2.0")))
    assert reader.latest()["price"] == "2.0"

    await frames.send(encode(ticker(NOON_MS + 1_000, last_id=12, count=12, last_price="3.0", low_price="1")))
    assert reader.latest()["price"] == "3.0"

    await frames.send(encode(trade(12, price="9.0")))
    assert reader.latest()["price"] == "3.0"


async def test_refused_trade_is_quarantined_with_the_reason_and_told_in_gaps(frames: Frames, reader: Reader) -> None:
    await frames.send(encode(trade(10)), encode(trade(11)))
    await frames.send(encode(trade(12, price="-1")), encode(trade(13)))
    frames.intake.release_held(everything=True)
    await frames.send()

    ((_, entry),) = reader.entries("quarantine:BTCUSDT")
    assert json.loads(entry["data"])["trade_id"] == 12
    assert json.loads(entry["why"]) == [{"rule": "price_positive", "message": "The price must be above zero."}]
    assert re.fullmatch(ISO_TIME, entry["at"])
    assert reader.gaps() == [(12, 12, 1, "refused")]
    assert reader.ids() == [10, 11, 13]


async def test_raw_frame_that_cannot_be_read_is_quarantined_as_it_came(frames: Frames, reader: Reader) -> None:
    frame = encode(trade()).replace(b"123456789", b"1.5")
    await frames.send(frame, b"\xff no JSON")

    assert reader.entries("quarantine:BTCUSDT")[0][1]["data"] == frame.decode()
    assert "no JSON" in reader.entries("quarantine:unknown")[0][1]["data"]


async def test_symbol_that_was_not_subscribed_goes_to_the_unknown(frames: Frames, reader: Reader) -> None:
    await frames.send(encode(trade(symbol="XRPUSDT")))

    assert len(reader.entries("quarantine:unknown")) == 1
    assert reader.client.exists("quarantine:XRPUSDT", "trades:XRPUSDT") == 0


async def test_gap_of_trades_has_exactly_the_contracts_keys(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(1, 2))
    await sink.write(trades(5, 5, after=2, reason="lost"))

    ((_, fields),) = reader.entries("gaps:BTCUSDT")
    gap = json.loads(fields["data"])
    assert re.fullmatch(ISO_TIME, gap.pop("recorded_at"))
    assert list(gap.items()) == [
        ("symbol", "BTCUSDT"), ("channel", "trade"), ("interval", None), ("first", 3), ("last", 4), ("count", 2),
        ("reason", "lost"), ("rules", []),
    ]  # fmt: skip


async def test_gap_of_klines_names_interval_and_open_times(sink: RedisSink, reader: Reader) -> None:
    await sink.write(klines(kline(0)))
    await sink.write(klines(kline(3), gaps=[minutes(1, 1, "refused", "price_order"), minutes(2, 2, "lost")]))

    refused, lost = reader.records("gaps:BTCUSDT")
    assert (refused["channel"], refused["interval"], refused["reason"]) == ("kline", "1m", "refused")
    assert refused["first"] == refused["last"] == "2024-01-01T12:01:00+00:00"
    assert refused["rules"] == ["price_order"]
    assert (lost["first"], lost["count"], lost["reason"]) == ("2024-01-01T12:02:00+00:00", 1, "lost")


async def test_nothing_from_before_the_first_record_is_a_gap(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(5_000, 5_001))
    await sink.write(klines(kline(3)))

    assert reader.client.exists("gaps:BTCUSDT") == 0


async def test_trade_that_comes_after_its_place_was_passed_goes_to_late(frames: Frames, reader: Reader) -> None:
    await frames.send(encode(trade(10)), encode(trade(11)), encode(trade(14)))
    frames.give_up(13)
    await frames.send(encode(trade(12)))

    ((_, fields),) = reader.entries("late:BTCUSDT")
    assert list(json.loads(fields["data"])) == TRADE_KEYS
    assert json.loads(fields["data"])["trade_id"] == 12
    assert fields["why"] == "recovered"
    assert reader.ids() == [10, 11, 14]


async def test_revision_of_a_closed_kline_goes_to_late_and_the_key_shows_it(frames: Frames, reader: Reader) -> None:
    await frames.send(encode(kline()))
    await frames.send(encode(kline(close="45180.51", event_ms=NOON_MS + MINUTE_MS + 500)))

    ((_, fields),) = reader.entries("late:BTCUSDT")
    assert list(json.loads(fields["data"])) == KLINE_KEYS
    assert fields["why"] == "revision"
    newest = json.loads(str(reader.client.get("kline:BTCUSDT:1m:2024-01-01T12:00:00+00:00")), parse_float=str)
    assert newest["close"] == "45180.51"
    assert len(reader.entries("stream:BTCUSDT")) == 1


async def test_keys_are_those_of_the_table_and_nothing_else(frames: Frames, reader: Reader) -> None:
    await frames.send(encode(trade(10)), encode(trade(11)), encode(trade(14)))
    frames.give_up(13)
    await frames.send(
        encode(trade(12)),
        encode(trade(15, price="0")), encode(trade(16)), encode(kline()), encode(ticker()),
        b"garbage",
    )  # fmt: skip

    kinds = {str(key).partition(":")[0]: reader.client.type(str(key)) for key in reader.client.scan_iter()}
    assert kinds.pop("collector")
    assert kinds == {
        "kline": "string",
        "stream": "stream",
        "trades": "stream",
        "latest": "hash",
        "quarantine": "stream",
        "gaps": "stream",
        "late": "stream",
    }


async def test_symbol_stands_in_keys_as_the_exchange_writes_it(store_address: StoreAddress, reader: Reader) -> None:
    async with opened(redis_sink(store_address, prefix="kraken:")) as sink:
        await sink.write(Batch(trades=[run_of([trade(1, symbol="BTC/USD")])]))

    assert reader.records("kraken:trades:BTC/USD")[0]["symbol"] == "BTC/USD"


async def test_reader_of_the_contract_gets_latest_and_klines(sink: RedisSink, reader: Reader) -> None:
    await sink.write(Batch(newest=[NewestUpdate(ticker())]))
    latest = reader.client.hgetall("latest:BTCUSDT")
    assert isinstance(latest, dict)
    assert float(latest["price"]) == 45180.5

    last = "0"
    await sink.write(klines(kline(0), kline(1)))
    seen = []
    answer = reader.client.xread({"stream:BTCUSDT": last}, block=1000)
    assert isinstance(answer, list)
    for _, messages in answer:
        for last, data in messages:  # noqa: B007 - the contract's program goes on after the last entry
            seen.append(json.loads(data["data"])["timestamp"])
    assert seen == ["2024-01-01T12:00:00+00:00", "2024-01-01T12:01:00+00:00"]
    assert reader.client.xlen("stream:BTCUSDT") == 2
