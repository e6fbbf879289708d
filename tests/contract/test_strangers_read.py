"""What somebody else wrote into the store, read by all that read it: passed over, and nobody else's record with it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import redis

from data_collector.api.completeness.completeness import kline_counts, trade_counts
from data_collector.api.completeness.former_entries import FormerEntries
from data_collector.api.completeness.gap_lives import named_by, newest_gaps, story_of
from data_collector.api.live.events import Focus
from data_collector.api.live.market import FocusReader
from data_collector.api.quarantine import newest_refusals
from data_collector.api.series.redis_klines import Keeping, RedisKlines
from data_collector.api.series.redis_trades import RedisTrades
from data_collector.api.series.window import Window
from data_collector.api.store_reading import StoreReading
from data_collector.client.reading import entries as client_entries
from data_collector.model.calendar import UtcCalendar
from data_collector.model.keys import Key, StoreKeys
from data_collector.model.sink import Batch
from data_collector.model.status import GapsStatus
from data_collector.model.store_url import StoreAddress
from data_collector.model.wire import json_text, kline_json, trade_json
from data_collector.service.history_writer.messages import Orders
from data_collector.service.history_writer.reading import StreamReader
from data_collector.service.live_rows import RedisRows
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.sink import RedisSink
from tests.contract.stores import Reader, klines, run_of, trades
from tests.market import MINUTE_MS, NOON_MS, PREFIX, SYMBOL, kline, trade

KEYS = StoreKeys(PREFIX)
CALENDAR = UtcCalendar()
TRADES, STREAM, GAPS, LATE = (f"{kind}:{SYMBOL}" for kind in ("trades", "stream", "gaps", "late"))
DEEP = "[" * 100_000 + "]" * 100_000


def gap(**changes: object) -> str:
    told = {"symbol": SYMBOL, "channel": "kline", "interval": "1m", "reason": "lost", "count": 1}
    ends = {"first": "2024-01-01T12:01:00+00:00", "last": "2024-01-01T12:01:00+00:00"}
    return json.dumps(told | ends | changes)


def closed(**changes: object) -> str:
    return json.dumps(json.loads(kline_json(kline(5), json_text(SYMBOL))) | changes, separators=(",", ":"))


def sold(**changes: object) -> str:
    return json.dumps(json.loads(trade_json(trade(99), json_text(SYMBOL))) | changes, separators=(",", ":"))


def with_deep(text: str) -> str:
    return f'{text[:-1]},"more":{DEEP}}}'


FOREIGN_GAPS = {
    "deep": DEEP,
    "deep within": with_deep(gap()),
    "far past": gap(first="0001-01-01T00:00:00+00:00", last="0001-01-01T00:00:00+00:00"),
    "far future": gap(first="9999-12-31T23:59:00+00:00", last="9999-12-31T23:59:00+00:00", interval="1M"),
    "a time as a number": gap(first=10**18, last=10**18),
    "odd interval": gap(interval="zz"),
    "of no time": gap(first="whenever", last="whenever"),
    "negative ids": gap(channel="trade", interval=None, first=-5, last=-5),
    "miscounted ids": gap(channel="trade", interval=None, first=5, last=9, count=10**18),
    "of another symbol": gap(symbol="OTHERUSDT"),
    "no JSON": "mine",
}

FOREIGN_KLINES = {
    "deep": DEEP,
    "deep within": with_deep(closed()),
    "odd interval": closed(interval="zz"),
    "of no length": closed(interval="0m"),
    "odd timestamp": closed(timestamp="whenever"),
    "far future": closed(timestamp="9999-12-31T23:59:00+00:00"),
    "far past": closed(timestamp="0001-01-01T00:00:00+00:00"),
    "off the grid": closed(timestamp="2024-01-01T12:00:07+00:00", symbol="OTHERUSDT"),
    "of another symbol": closed(symbol="OTHERUSDT"),
    "no JSON": '"is_closed":true',
}

FOREIGN_TRADES = {
    "deep": DEEP,
    "deep within": with_deep(sold()),
    "of another number": sold(trade_id=7),
    "far future": sold(timestamp="9999-12-31T23:59:00.000+00:00"),
    "odd timestamp": sold(timestamp="whenever"),
    "of another symbol": sold(symbol="OTHERUSDT"),
    "no JSON": '"trade_id":99,',
}


@pytest.fixture
async def connection(store_address: StoreAddress, reader: Reader) -> AsyncIterator[StoreConnection]:
    made = await StoreConnection.connect(store_address)
    yield made
    made.close()


@pytest.fixture
async def filled(sink: RedisSink) -> RedisSink:
    """Trades 10 to 14 and 20, three closed candles, and the gaps between."""
    batch = klines(kline(0), kline(1), kline(2))
    batch.trades = [*trades(10, 14).trades, run_of([trade(20)], after=14)]
    await sink.write(batch)
    return sink


def orders(store_address: StoreAddress) -> Orders:
    return Orders("", f"unix://{store_address.unix_path}", PREFIX, "binance", (SYMBOL,), klines=True, trades=True)


@pytest.mark.parametrize("record", FOREIGN_GAPS.values(), ids=FOREIGN_GAPS)
async def test_entry_of_gaps_that_is_none_is_passed_over(
    filled: RedisSink, reader: Reader, connection: StoreConnection, store_address: StoreAddress, record: str
) -> None:
    reader.client.xadd(GAPS, {"data": record})
    url = f"unix://{store_address.unix_path}"

    store = StoreReading()
    found = await newest_gaps(store, url, KEYS, [SYMBOL], GapsStatus(), 10)
    assert [each.first for each in found] == [15]
    named = named_by(found[0].id)
    assert named is not None
    assert await story_of(store, url, KEYS, named, GapsStatus()) is not None
    store.close()
    trade_count = (await trade_counts(connection, KEYS, [SYMBOL], FormerEntries(), {}))[SYMBOL]
    assert (trade_count.is_proven, trade_count.held, trade_count.declared) == (True, 6, {"absent": 5})
    kline_count = (await kline_counts(connection, KEYS, SYMBOL, CALENDAR, {}))["1m"]
    assert (kline_count.is_proven, kline_count.held) == (True, 3)

    batch = await StreamReader(connection, orders(store_address), {}).read()
    assert [each.gap.first for each in batch.whole().gaps] == [15]
    assert (batch.unreadable, len(batch.whole().trades), len(batch.whole().klines)) == (1, 6, 3)
    assert batch.unreadable_reason is not None
    assert batch.unreadable_reason.startswith(f"{PREFIX}{GAPS}: ")


@pytest.mark.parametrize("record", FOREIGN_KLINES.values(), ids=FOREIGN_KLINES)
async def test_entry_of_stream_that_is_no_kline_is_passed_over(
    filled: RedisSink, reader: Reader, connection: StoreConnection, store_address: StoreAddress, record: str
) -> None:
    reader.client.xadd(STREAM, {"data": record})
    reader.client.xadd(LATE, {"data": record, "why": "revision"})

    count = (await kline_counts(connection, KEYS, SYMBOL, CALENDAR, {}))["1m"]
    assert (count.is_proven, count.held) == (True, 3)
    focus = FocusReader(Focus(SYMBOL, "1m"), KEYS, CALENDAR, None)
    await focus.read(connection)
    assert sorted(focus._recent_candles)[:3] == [NOON_MS + minute * MINUTE_MS for minute in range(3)]
    store = StoreReading()
    series = RedisKlines(
        store, f"unix://{store_address.unix_path}", KEYS, Window(SYMBOL, "1m"), Keeping(1, 1), with_origin=True
    )
    assert {place for place, _ in await series.newest(10)} >= {NOON_MS + minute * MINUTE_MS for minute in range(3)}
    store.close()

    batch = await StreamReader(connection, orders(store_address), {}).read()
    assert (batch.unreadable, len(batch.whole().klines), len(batch.whole().trades)) == (2, 3, 6)


@pytest.mark.parametrize("record", FOREIGN_TRADES.values(), ids=FOREIGN_TRADES)
async def test_entry_of_trades_that_is_none_is_passed_over(
    filled: RedisSink, reader: Reader, connection: StoreConnection, store_address: StoreAddress, record: str
) -> None:
    entry = reader.client.xadd(TRADES, {"data": record}, id=f"{NOON_MS + 200}-99")

    store = StoreReading()
    series = RedisTrades(store, f"unix://{store_address.unix_path}", KEYS, Window(SYMBOL))
    ids = [10, 11, 12, 13, 14, 20]
    assert [place for place, _ in (await series.page(0, 100)).rows] == ids
    assert [place for place, _ in (await series.page(12, 100)).rows] == ids[2:]
    assert [place for place, _ in await series.newest(100)] == ids
    store.close()
    focus = FocusReader(Focus(SYMBOL, "1m"), KEYS, CALENDAR, None)
    await focus.read(connection)
    assert [each.trade_id for each in focus._recent_trades] == ids
    rows = await RedisRows(connection, KEYS, CALENDAR).kept_trades(SYMBOL)
    assert (list(rows.trades), rows.foreign) == (ids, 1)

    batch = await StreamReader(connection, orders(store_address), {}).read()
    assert (batch.unreadable, [each.record.trade_id for each in batch.whole().trades]) == (1, ids)
    assert client_entries.trade_of((str(entry), record, None), SYMBOL) is None


@pytest.mark.parametrize("entry", ["*", f"{NOON_MS + 200}-21"])
async def test_completeness_counts_no_trade_of_somebody_else(
    filled: RedisSink, reader: Reader, connection: StoreConnection, entry: str
) -> None:
    """At exactly tail + 1 it would be the one that is missing: 100 %, proven."""
    reader.client.xadd(TRADES, {"data": "{}"}, id=entry)

    count = (await trade_counts(connection, KEYS, [SYMBOL], FormerEntries(), {}))[SYMBOL]
    assert (count.first, count.last, count.held, count.expected) == (10, 20, 6, 11)
    assert not count.is_proven
    assert "somebody else" in count.explanation("trade")


async def test_completeness_proves_nothing_behind_a_key_that_is_told_to_be_foreign(
    filled: RedisSink, reader: Reader, connection: StoreConnection
) -> None:
    """An entry in our form tells nothing by itself: the collector, which compares it with its own trade, does."""
    record = trade_json(trade(21, price="1"), json_text(SYMBOL))
    reader.client.xadd(TRADES, {"data": record}, id=f"{NOON_MS + 200}-21")
    await filled.write(Batch(trades=[run_of([trade(21)])]))
    reader.client.hset(f"collector:klines:{SYMBOL}", "1m", "abc")
    await filled.kline_cursors([SYMBOL], ["1m"], NOON_MS)

    foreign = dict(filled.broken_keys)
    assert not (await trade_counts(connection, KEYS, [SYMBOL], FormerEntries(), foreign))[SYMBOL].is_proven
    assert not (await kline_counts(connection, KEYS, SYMBOL, CALENDAR, foreign))["1m"].is_proven


@pytest.mark.parametrize("state", ["abc", "9" * 5000, f"{10**14} {10**14} {10**14}"])
async def test_state_of_a_series_that_is_none_is_no_open_time(
    filled: RedisSink, reader: Reader, store_address: StoreAddress, state: str
) -> None:
    reader.client.hset(f"collector:klines:{SYMBOL}", "1m", state)
    store = StoreReading()
    keeping = Keeping(10**9, 1)
    series = RedisKlines(
        store, f"unix://{store_address.unix_path}", KEYS, Window(SYMBOL, "1m"), keeping, with_origin=False
    )

    assert len((await series.page(NOON_MS, 10)).rows) == 3
    store.close()


@pytest.mark.parametrize("text", ["9" * 5000, "soon", "٣"])
async def test_epoch_that_is_no_number_is_not_believed(
    filled: RedisSink, reader: Reader, store_address: StoreAddress, text: str
) -> None:
    reader.client.set(f"collector:epoch:{SYMBOL}", text)
    store = StoreReading()
    series = RedisTrades(store, f"unix://{store_address.unix_path}", KEYS, Window(SYMBOL))

    assert len((await series.page(0, 100)).rows) == 6
    store.close()
    reader.client.set(KEYS.epoch_order(SYMBOL), text)
    assert await filled.epoch_orders([SYMBOL]) == {}


@pytest.mark.parametrize("fields", [{"why": DEEP}, {"why": "mine"}, {"columns": DEEP}, {"data": DEEP}])
async def test_entry_of_quarantine_that_is_none_hides_no_other(
    reader: Reader, store_address: StoreAddress, fields: dict[str, str]
) -> None:
    good = {"data": "x", "why": '[{"rule":"price_positive","message":"It is wrong."}]', "columns": "{}"}
    good["at"] = "2024-01-01T12:00:00.000+00:00"
    for entry in (good, good | fields):
        reader.client.xadd(f"quarantine:{SYMBOL}", dict(entry.items()))

    store = StoreReading()
    page = await newest_refusals(store, f"unix://{store_address.unix_path}", KEYS, [SYMBOL], 10)
    store.close()
    assert page.errors[-1].reasons[0].rule == "price_positive"
    assert len(page.errors) == 2


async def test_stream_of_another_type_keeps_no_other_from_the_history(
    filled: RedisSink, reader: Reader, connection: StoreConnection, store_address: StoreAddress
) -> None:
    """`SET gaps:BTCUSDT mine` refused the answer about all streams of all symbols."""
    reader.client.delete(GAPS)
    reader.client.set(GAPS, "mine")
    streams = StreamReader(connection, orders(store_address), {})
    await streams.leave_out_foreign()

    batch = await streams.read()
    assert streams.foreign == {f"{PREFIX}{GAPS}"}
    assert (len(batch.whole().trades), len(batch.whole().klines)) == (6, 3)
    assert await streams.waiting() == await streams.lag_s() == 0
    assert await streams.go_back_where_the_store_lost() == []

    reader.client.delete(GAPS)
    reader.client.xadd(GAPS, {"data": gap()})
    await streams.leave_out_foreign()
    assert [each.key for each in (await streams.read()).whole().gaps] == [Key("kline", SYMBOL, "1m")]


def test_client_takes_no_entry_that_is_none(store: redis.Redis) -> None:
    for record in FOREIGN_GAPS.values():
        if "OTHERUSDT" not in record:
            assert client_entries.gap_of(("1-1", record, None)) is None
    for record in (DEEP, with_deep(closed()), with_deep(sold()), "mine"):
        assert client_entries.kline_of(("1-1", record, None)) is None
        assert client_entries.revision_of(("1-1", record, {"why": "revision"})) is None
