"""The functions for klines, `latest:` and side entries, on every server that is found."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from data_collector.model.calendar import DAY_MS
from data_collector.model.keys import Key
from data_collector.model.records import Origin, Sourced
from data_collector.model.sink import Batch, Behind, NewestUpdate, SideEntry
from data_collector.model.store_url import StoreAddress
from data_collector.model.wire import quote_fields
from data_collector.sinks.redis.sink import RedisSink
from tests.contract.stores import WEEK_S, Reader, klines, limits, minutes, opened, redis_sink, run_of, trades
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline, quote, sparse_ticker, ticker, trade, untraded_ticker

TRADES = f"trades:{SYMBOL}"
STREAM = f"stream:{SYMBOL}"
QUOTES = f"quotes:{SYMBOL}"
ORIGIN = f"collector:origin:{SYMBOL}:1m:2024-01-01T{{}}:00+00:00"
REST = Origin("rest")


def origins(reader: Reader) -> dict[str, object]:
    """Minute to what stands beside its key."""
    found = {f"12:0{minute}": reader.client.get(ORIGIN.format(f"12:0{minute}")) for minute in range(3)}
    return {minute: text for minute, text in found.items() if text is not None}


async def test_closed_klines_are_appended_once_and_in_order(sink: RedisSink, other: RedisSink, reader: Reader) -> None:
    for writer in (sink, other, sink):
        await writer.write(klines(kline(0), kline(1)))
    await other.write(klines(kline(1), kline(2)))

    assert reader.minutes() == [("12:00", True), ("12:01", True), ("12:02", True)]


async def test_open_updates_pass_when_newer_and_end_with_the_close(sink: RedisSink, reader: Reader) -> None:
    early, later = (kline(0, closed=False, event_ms=NOON_MS + offset) for offset in (2_000, 4_000))
    for record in (early, later, early, later, kline(0), later):
        await sink.write(klines(record))

    assert reader.minutes() == [("12:00", False), ("12:00", False), ("12:00", True)]


async def test_hole_between_closed_klines_is_told_and_passed_over(sink: RedisSink, reader: Reader) -> None:
    await sink.write(klines(kline(0)))
    for _ in range(2):
        gaps = [minutes(1, 1, "lost"), minutes(2, 2, "refused", "price_order"), minutes(3, 3, "absent")]
        assert await sink.write(klines(kline(4), gaps=gaps)) == []

    assert reader.minutes() == [("12:00", True), ("12:04", True)]
    minute = "2024-01-01T12:0{}:00+00:00"
    assert reader.gaps() == [
        (minute.format(1), minute.format(1), 1, "lost"),
        (minute.format(2), minute.format(2), 1, "refused"),
        (minute.format(3), minute.format(3), 1, "absent"),
    ]


async def test_gaps_are_told_as_far_as_another_collector_has_not_filled_them(
    sink: RedisSink, other: RedisSink, reader: Reader
) -> None:
    await other.write(klines(kline(0), kline(1), kline(2)))

    assert await sink.write(klines(kline(5), gaps=[minutes(1, 3, "lost"), minutes(4, 4, "absent")])) == []

    assert [gap[2:] for gap in reader.gaps()] == [(1, "lost"), (1, "absent")]
    assert reader.minutes()[-1] == ("12:05", True)


async def test_hole_that_nothing_explains_is_told_and_nothing_is_stored(sink: RedisSink, reader: Reader) -> None:
    await sink.write(klines(kline(0)))

    behind = await sink.write(klines(kline(2), kline(3), kline(4, closed=False)))

    assert behind == [Behind(Key("kline", SYMBOL, "1m"), NOON_MS + MINUTE_MS)]
    assert reader.minutes() == [("12:00", True)]
    assert reader.gaps() == []
    assert await sink.write(klines(kline(1), kline(2))) == []
    assert reader.minutes()[-1] == ("12:02", True)


async def test_gaps_that_begin_after_the_hole_do_not_explain_it(sink: RedisSink, reader: Reader) -> None:
    await sink.write(klines(kline(0)))

    assert await sink.write(klines(kline(4), gaps=[minutes(2, 3, "lost")])) == [
        Behind(Key("kline", SYMBOL, "1m"), NOON_MS + MINUTE_MS)
    ]
    assert reader.gaps() == []


async def test_store_without_the_series_is_behind_unless_it_may_begin(sink: RedisSink, reader: Reader) -> None:
    assert await sink.write(klines(kline(5), begins=False)) == [Behind(Key("kline", SYMBOL, "1m"), None)]
    assert reader.minutes() == []

    assert await sink.write(klines(kline(3), begins=True)) == []
    assert reader.minutes() == [("12:03", True)]


async def test_hole_of_one_interval_does_not_touch_another(sink: RedisSink, reader: Reader) -> None:
    hour = kline(0, interval="1h", close_ms=NOON_MS + 3_599_999)
    await sink.write(klines(kline(0), hour))
    behind = await sink.write(klines(kline(2), kline(60, interval="1h", close_ms=NOON_MS + 7_199_999)))

    assert [each.key.interval for each in behind] == ["1m"]
    assert len(reader.records(STREAM)) == 3


async def test_open_update_before_any_close_opens_no_gap(sink: RedisSink, reader: Reader) -> None:
    await sink.write(klines(kline(0, closed=False)))
    await sink.write(klines(kline(0), kline(1, closed=False)))
    await sink.write(klines(kline(1)))

    assert reader.gaps() == []
    assert len(reader.minutes()) == 4


async def test_open_kline_after_a_hole_waits_for_no_one(sink: RedisSink, reader: Reader) -> None:
    await sink.write(klines(kline(0)))
    await sink.write(klines(kline(3, closed=False)))

    assert reader.minutes() == [("12:00", True), ("12:03", False)]
    assert reader.gaps() == []


async def test_open_updates_do_not_go_back_after_a_late_close(sink: RedisSink, reader: Reader) -> None:
    newest = kline(1, closed=False, event_ms=NOON_MS + 90_000)
    await sink.write(klines(newest))
    await sink.write(klines(kline(0)))
    await sink.write(klines(newest))
    await sink.write(klines(kline(1, closed=False, event_ms=NOON_MS + 80_000)))

    assert reader.minutes() == [("12:01", False), ("12:00", True)]


async def test_stream_that_was_lost_is_told_to_every_interval(sink: RedisSink, reader: Reader) -> None:
    hour = kline(0, interval="1h", close_ms=NOON_MS + 3_599_999)
    await sink.write(klines(kline(0), kline(1), hour))
    reader.client.delete(STREAM)

    # The open update begins a stream anew, which must not hide that the old one is lost.
    await sink.write(klines(kline(2, closed=False)))
    behind = await sink.write(klines(kline(2), kline(60, interval="1h", close_ms=NOON_MS + 7_199_999), begins=False))

    assert behind == [Behind(Key("kline", SYMBOL, "1m"), None), Behind(Key("kline", SYMBOL, "1h"), None)]
    assert await sink.write(klines(kline(0), kline(1), kline(2))) == []
    assert reader.minutes() == [("12:02", False), ("12:00", True), ("12:01", True), ("12:02", True)]


async def test_cursors_are_what_each_interval_must_get_next(sink: RedisSink, reader: Reader) -> None:
    await sink.write(klines(kline(0), kline(1), kline(0, interval="1h", close_ms=NOON_MS + 3_599_999)))
    await sink.write(klines(kline(0, interval="5m", close_ms=NOON_MS + 299_999, closed=False)))

    assert await sink.kline_cursors([SYMBOL, "ETHUSDT"], ["1m", "5m", "15m", "1h"], NOON_MS + 3_600_000) == {
        Key("kline", SYMBOL, "1m"): NOON_MS + 2 * MINUTE_MS,
        Key("kline", SYMBOL, "1h"): NOON_MS + 60 * MINUTE_MS,
    }


async def test_source_and_check_stand_beside_the_record(sink: RedisSink, reader: Reader) -> None:
    batch = klines(kline(0), kline(1), kline(2))
    batch.klines[0][1].source, batch.klines[0][2].check = "built", "ok"
    await sink.write(batch)

    assert [fields.keys() - {"data"} for _, fields in reader.entries(STREAM)] == [set(), {"src"}, {"check"}]
    assert origins(reader) == {"12:01": "built "}


async def test_where_a_kline_is_from_stands_beside_its_key_for_as_long(sink: RedisSink, reader: Reader) -> None:
    batch = klines(kline(0, closed=False), kline(0), kline(1))
    batch.klines[0][0].warnings, batch.klines[0][2].source = ("price_swing",), "rest"
    await sink.write(Batch(klines=[batch.klines[0][:1]]))
    assert origins(reader) == {"12:00": "ws price_swing"}

    await sink.write(Batch(klines=[batch.klines[0][1:]]))
    assert origins(reader) == {"12:01": "rest "}
    assert WEEK_S - 60 < int(str(reader.client.ttl(ORIGIN.format("12:01")))) <= WEEK_S

    await sink.write(Batch(revisions=[Sourced(kline(0), Origin("rest", ("a", "b"))), Sourced(kline(1), Origin("ws"))]))
    assert origins(reader) == {"12:00": "rest a,b"}


async def test_kline_of_before_the_beginning_goes_into_its_key_alone(sink: RedisSink, reader: Reader) -> None:
    await sink.write(klines(kline(1)))
    await sink.write(Batch(past=[Sourced(kline(0), REST), Sourced(kline(1, close="45150.00"), REST)]))

    assert reader.minutes() == [("12:01", True)]
    key = f"kline:{SYMBOL}:1m:2024-01-01T12:0{{}}:00+00:00"
    closes = [json.loads(str(reader.client.get(key.format(minute))))["close"] for minute in (0, 1)]
    assert closes == [45180.50, 45180.50]
    assert origins(reader) == {"12:00": "rest "}


async def test_older_ticker_changes_nothing(sink: RedisSink, reader: Reader) -> None:
    await sink.write(Batch(newest=[NewestUpdate(ticker(NOON_MS, last_price="2"))]))
    await sink.write(Batch(newest=[NewestUpdate(ticker(NOON_MS - 1, last_price="1", volume="1"))]))

    assert (reader.latest()["price"], reader.latest()["volume"]) == ("2", "8913.30000000")


async def test_newer_trade_moves_the_price_and_an_older_ticker_does_not_move_it_back(
    sink: RedisSink, reader: Reader
) -> None:
    await sink.write(Batch(newest=[NewestUpdate(ticker(NOON_MS, last_price="1", last_id=10))]))
    await sink.write(Batch(trades=[run_of([trade(11, price="2"), trade(12, price="3")])]))
    assert reader.latest()["price"] == "3"

    await sink.write(Batch(newest=[NewestUpdate(ticker(NOON_MS + 1_000, last_price="2", last_id=11, volume="9"))]))
    assert (reader.latest()["price"], reader.latest()["volume"]) == ("3", "9")
    assert reader.latest()["timestamp"] == "2024-01-01T12:00:00.123+00:00"

    await sink.write(Batch(newest=[NewestUpdate(ticker(NOON_MS + 2_000, last_price="4", last_id=13))]))
    assert reader.latest()["price"] == "4"


async def test_trade_older_than_the_ticker_does_not_move_the_price_back(sink: RedisSink, reader: Reader) -> None:
    await sink.write(Batch(newest=[NewestUpdate(ticker(NOON_MS, last_price="9", last_id=20))]))
    await sink.write(trades(15, 18))

    assert reader.latest()["price"] == "9"


async def test_ticker_that_names_no_trade_is_compared_by_time(sink: RedisSink, reader: Reader) -> None:
    """An exchange that is asked for statistics while trades of the time before still come."""

    def shown() -> tuple[str | None, ...]:
        return tuple(reader.latest().get(name) for name in ("price", "trade_id", "last_id", "quote_volume"))

    await sink.write(Batch(newest=[NewestUpdate(sparse_ticker(NOON_MS + 500, last_price="2"))]))
    assert shown() == ("2", None, None, None)
    await sink.write(Batch(trades=[run_of([trade(11, price="1", time_ms=NOON_MS + 400)])]))
    assert shown() == ("2", None, None, None)
    await sink.write(Batch(trades=[run_of([trade(12, price="3", time_ms=NOON_MS + 600)])]))
    # Of two trades the id decides.
    await sink.write(Batch(trades=[run_of([trade(13, price="4", time_ms=NOON_MS + 550)])]))
    assert shown() == ("4", "13", None, None)

    await sink.write(Batch(newest=[NewestUpdate(sparse_ticker(NOON_MS + 540, last_price="5", volume="7"))]))
    assert (reader.latest()["volume"], *shown()) == ("7", "4", "13", None, None)
    await sink.write(Batch(newest=[NewestUpdate(sparse_ticker(NOON_MS + 700, last_price="6"))]))
    assert (reader.latest()["timestamp"], *shown()) == ("2024-01-01T12:00:00.700+00:00", "6", None, None, None)


async def test_day_without_a_trade_leaves_out_its_prices_and_shows_the_one_before(
    sink: RedisSink, reader: Reader
) -> None:
    """`c`, `o`, `h`, `l` = "0.00000000", `x` = "0.00467300", `F` = `L` = -1, `n` = 0, and nobody bids."""
    await sink.write(Batch(newest=[NewestUpdate(ticker(NOON_MS - 2 * DAY_MS, last_price="1", last_id=10))]))
    await sink.write(Batch(newest=[NewestUpdate(untraded_ticker(bid_price="0.00000000", bid_qty="0.00000000"))]))

    latest = reader.latest()
    assert (latest["price"], latest["timestamp"]) == ("0.00467300", "2023-12-31T12:00:00.000+00:00")
    assert (latest["trade_id"], latest["count"], latest["volume"], latest["warnings"]) == ("10", "0", "0.00000000", "")
    gone = {"last_price", "open_price", "high_price", "low_price", "weighted_avg_price", "last_qty", "bid_price"}
    assert not {*gone, "price_change", "price_change_percent"} & latest.keys()

    await sink.write(Batch(newest=[NewestUpdate(ticker(NOON_MS + 1_000, last_price="2", last_id=11))]))
    assert (reader.latest()["price"], reader.latest()["last_price"]) == ("2", "2")


async def test_price_of_a_trade_stays_when_a_day_without_one_is_told_late(sink: RedisSink, reader: Reader) -> None:
    await sink.write(Batch(newest=[NewestUpdate(untraded_ticker())]))
    assert reader.latest()["price"] == "0.00467300"
    await sink.write(Batch(trades=[run_of([trade(11, price="2")])]))

    await sink.write(Batch(newest=[NewestUpdate(untraded_ticker(NOON_MS + 1_000))]))

    assert (reader.latest()["price"], reader.latest()["trade_id"]) == ("2", "11")


async def test_what_was_never_traded_has_no_price(sink: RedisSink, reader: Reader) -> None:
    await sink.write(Batch(newest=[NewestUpdate(untraded_ticker(prev_close_price="0.00000000"))]))

    assert reader.latest().keys() & {"price", "prev_close_price", "volume"} == {"volume"}


async def test_quote_of_an_empty_side_of_the_book_has_no_price_there(sink: RedisSink, reader: Reader) -> None:
    for record in (quote(update_id=7), quote(update_id=8, bid="0.00000000", bid_quantity="0.00000000")):
        await sink.write(Batch(newest=[NewestUpdate(record)]))

    stored = reader.client.hgetall(f"quote:{SYMBOL}")
    assert "bid" not in stored
    assert (stored["bid_quantity"], stored["ask"]) == ("0.00000000", "25.36520000")
    newest = reader.records(QUOTES)[-1]
    assert (newest["bid"], newest["bid_quantity"], newest["ask"]) == (None, 0, Decimal("25.3652"))


async def test_trades_alone_make_no_half_filled_latest(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(15, 18))

    assert reader.latest() == {}


async def test_older_quote_never_replaces_a_newer_one(sink: RedisSink, other: RedisSink, reader: Reader) -> None:
    await sink.write(Batch(newest=[NewestUpdate(quote(update_id=7, bid="25.10"))]))
    await other.write(Batch(newest=[NewestUpdate(quote(update_id=6, bid="25.00"))]))
    await sink.write(Batch(newest=[NewestUpdate(quote(update_id=7, bid="25.10"))]))
    await other.write(Batch(newest=[NewestUpdate(quote(update_id=10, bid="25.20"), ("bid_tick_size",))]))

    assert [record["update_id"] for record in reader.records(QUOTES)] == [7, 10]
    assert [fields.get("warnings") for _, fields in reader.entries(QUOTES)] == [None, "bid_tick_size"]
    assert reader.client.hgetall(f"quote:{SYMBOL}") == quote_fields(quote(update_id=10, bid="25.20"))


async def test_quotes_are_trimmed_as_streams_are(store_address: StoreAddress, reader: Reader) -> None:
    async with opened(redis_sink(store_address, store_limits=limits(stream_maxlen=100))) as sink:
        for number in range(300):
            await sink.write(Batch(newest=[NewestUpdate(quote(update_id=number))]))

    assert 100 <= len(reader.entries(QUOTES)) <= 200


@pytest.mark.parametrize("key", [f"quote:{SYMBOL}", f"quotes:{SYMBOL}"])
async def test_quote_of_a_key_that_somebody_else_uses_is_dropped_and_told(
    sink: RedisSink, reader: Reader, key: str
) -> None:
    reader.client.set(key, "mine")
    await sink.write(Batch(newest=[NewestUpdate(quote()), NewestUpdate(ticker())]))

    assert list(sink.broken_keys) == [key]
    assert sorted(map(str, reader.client.keys("*quote*"))) == [key]
    assert reader.latest()["volume"] == "8913.30000000"


async def test_side_entry_that_is_sent_again_is_known(sink: RedisSink, reader: Reader) -> None:
    batch = Batch(side=[SideEntry("late", SYMBOL, ("data", "{}", "why", "recovered"), number) for number in (1, 2)])
    await sink.write(batch)
    await sink.write(batch)

    assert len(reader.entries("late:BTCUSDT")) == 2


async def test_each_collectors_side_entries_are_its_own(sink: RedisSink, other: RedisSink, reader: Reader) -> None:
    batch = Batch(side=[SideEntry("quarantine", SYMBOL, ("data", "{}", "why", "[]"), 1)])
    await sink.write(batch)
    await other.write(batch)

    assert len(reader.entries("quarantine:BTCUSDT")) == 2
