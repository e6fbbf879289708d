"""The live client on a real store: each record once and in order, and what is missing in its place."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from threading import Timer

import pytest
import redis
from msgspec import structs

from data_collector.client import Client, Gap, GapFound, Item, Kline, Live, Revision, Trade, WrongQuestion
from data_collector.model.sink import Batch
from data_collector.model.wire import json_text, kline_json
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import MINUTES, TRADES, told, trades_from
from tests.contract.stores import Reader
from tests.contract.test_client_history import at
from tests.market import NOON_MS, SYMBOL, kline, trade


@pytest.fixture
def client(address: str, reader: Reader) -> Iterator[Client]:
    """Without an HTTP side: what the streams do not hold is missing."""
    with Client(address, api="", database="") as client:
        yield client


def taken(live: Live, count: int) -> list[Item]:
    """So many items."""
    with live:
        return list(itertools.islice(live, count))


async def test_trades_come_once_and_in_order(client: Client, sink: RedisSink) -> None:
    await sink.write(Batch(trades=[stores.run_of(trades_from(1, 5))]))

    assert told(taken(client.live(TRADES, start="earliest"), 5)) == [1, 2, 3, 4, 5]


async def test_symbol_may_be_asked_for_in_any_case(client: Client, sink: RedisSink, reader: Reader) -> None:
    """Keys of the store have capitals."""
    await sink.write(Batch(trades=[stores.run_of(trades_from(1, 5))]))
    small = SYMBOL.lower()
    reader.client.hset(f"latest:{SYMBOL}", "price", "1")

    live = client.live(f"{small}:trades", TRADES, start="earliest")

    assert told(taken(live, 5)) == [1, 2, 3, 4, 5]
    assert f"trades:{SYMBOL}" in live.position
    assert small not in live.position
    assert client.latest(small).symbol == SYMBOL
    assert client.trades(small).read().key == client.trades(SYMBOL).read().key


async def test_declared_gap_stands_before_what_follows_it(client: Client, sink: RedisSink) -> None:
    await sink.write(stores.trades(1, 3))
    await sink.write(Batch(trades=[stores.run_of([trade(7)], [5], after=3, reason="lost")]))

    items = taken(client.live(TRADES, start="earliest"), 7)

    assert told(items) == [1, 2, 3, (4, 4, "lost"), (5, 5, "refused"), (6, 6, "lost"), 7]
    assert items[4] == Gap(SYMBOL, "trade", None, 5, 5, 1, "refused", ("price_positive",))


async def test_gap_that_is_raised_leaves_the_position_before_it(client: Client, sink: RedisSink) -> None:
    await sink.write(stores.trades(1, 3))
    await sink.write(stores.trades(7, 8, after=3, reason="lost"))
    found: list[Item] = []

    with client.live(TRADES, start="earliest", gaps="raise") as live:
        with pytest.raises(GapFound, match=rf"3 trades of {SYMBOL} are missing \(lost\): 4 to 6") as raised:
            found.extend(live)
        position = live.position
        found += itertools.islice(live, 2)

    assert told(found) == [1, 2, 3, 7, 8]
    assert raised.value.gap.count == 3
    assert told(taken(client.live(TRADES, position=position), 3)) == [(4, 6, "lost"), 7, 8]


async def test_position_never_goes_back_whatever_way_items_are_taken(client: Client, sink: RedisSink) -> None:
    """One by one, as a batch, and one by one again: who stores the position each time doubles nothing."""
    await sink.write(stores.trades(1, 3))

    with client.live(TRADES, start="earliest") as live:
        assert told(itertools.islice(live, 3)) == [1, 2, 3]
        await sink.write(stores.trades(4, 6))
        batch = live.poll(5) or pytest.fail("a live stream has no end")
        assert told(batch.items) == [4, 5, 6]
        await sink.write(stores.trades(7, 7))
        assert told(itertools.islice(live, 1)) == [7]
        assert live.position == batch.position
        await sink.write(stores.trades(8, 8))
        batch = next(live.batches())
        await sink.write(stores.trades(9, 9))
        assert told(itertools.islice(live, 1)) == [9]
        assert live.position == batch.position


async def test_reader_has_not_caught_up_before_it_has_given_all_that_was_read(client: Client, sink: RedisSink) -> None:
    await sink.write(stores.trades(1, 3))
    found: list[object] = []

    with client.live(TRADES, start="earliest", gaps="raise") as live:
        live.poll(5)
        await sink.write(stores.trades(4, 4))
        await sink.write(stores.trades(7, 8, after=4, reason="lost"))
        for _ in range(3):
            with suppress(GapFound):
                batch = live.poll(5) or pytest.fail("a live stream has no end")
                found += [*told(batch.items), live.is_caught_up]

    assert found == [4, False, 7, 8, True]


async def test_gap_that_is_skipped_is_not_seen(client: Client, sink: RedisSink) -> None:
    await sink.write(stores.trades(1, 3))
    await sink.write(stores.trades(7, 8, after=3))

    assert told(taken(client.live(TRADES, start="earliest", gaps="skip"), 5)) == [1, 2, 3, 7, 8]


async def test_long_gap_is_filled_batch_by_batch(client: Client, sink: RedisSink) -> None:
    """The position stands behind what was given of it."""
    await sink.write(stores.klines(kline(0)))
    await sink.write(stores.klines(kline(2500), gaps=[stores.minutes(1, 2499, "absent")]))
    found: list[Item] = []

    with client.live(MINUTES, start="earliest", gaps="fill") as live:
        for batch in live.batches():
            assert len(batch.items) <= 1001
            found += batch.items
            position = batch.position
            if len(found) == 1001:
                break
    rest = taken(client.live(MINUTES, position=position), 2)

    assert told(found) == [("1m", minute) for minute in range(1001)]
    assert told(rest) == [(at(1001), at(2499), "absent"), ("1m", 2500)]


async def test_missing_candles_can_be_filled_flat(client: Client, sink: RedisSink) -> None:
    await sink.write(stores.klines(kline(0, close="45100.10")))
    await sink.write(stores.klines(kline(3), gaps=[stores.minutes(1, 2, "absent")]))

    items = taken(client.live(MINUTES, start="earliest", gaps="fill"), 4)

    assert told(items) == [("1m", minute) for minute in range(4)]
    filled = items[1]
    assert isinstance(filled, Kline)
    assert {filled.open, filled.high, filled.low, filled.close} == {Decimal("45100.10")}
    assert (str(filled.volume), filled.trades, filled.source) == ("0", 0, "filled")


async def test_trimmed_stream_without_history_is_a_gap_of_unknown_reason(
    client: Client, sink: RedisSink, reader: Reader
) -> None:
    await sink.write(Batch(trades=[stores.run_of(trades_from(1, 20))]))
    with client.live(TRADES, start="earliest") as live:
        position = next(iter(live.batches())).position
    await sink.write(Batch(trades=[stores.run_of(trades_from(21, 40))]))
    reader.client.xtrim(f"trades:{SYMBOL}", maxlen=5, approximate=False)

    assert told(taken(client.live(TRADES, position=position), 6)) == [(21, 35, "unknown"), 36, 37, 38, 39, 40]


async def test_now_begins_behind_what_is_there(client: Client, sink: RedisSink, reader: Reader) -> None:
    await sink.write(stores.trades(1, 3))
    await sink.write(stores.klines(kline(0), kline(1), kline(2, closed=False)))

    with client.live(TRADES, MINUTES) as live:
        await sink.write(stores.trades(6, 6, after=3, reason="skipped"))
        await sink.write(stores.klines(kline(2)))
        await sink.write(stores.klines(kline(4), gaps=[stores.minutes(3, 3, "lost")]))
        found = told(list(itertools.islice(live, 5)))

    assert [each for each in found if each in ((4, 5, "skipped"), 6)] == [(4, 5, "skipped"), 6]
    assert [each for each in found if isinstance(each, tuple) and each[0] == "1m"] == [("1m", 2), ("1m", 4)]


async def test_candles_that_are_not_closed_come_where_they_are_asked_for(client: Client, sink: RedisSink) -> None:
    await sink.write(stores.klines(kline(0, closed=False), kline(0), kline(1, closed=False)))

    items = taken(client.live(MINUTES, start="earliest", open=True), 3)

    assert [isinstance(item, Kline) and item.is_closed for item in items] == [False, True, False]
    assert told(taken(client.live(MINUTES, start="earliest"), 1)) == [("1m", 0)]


async def test_records_that_return_under_other_entries_are_dropped(
    client: Client, sink: RedisSink, reader: Reader
) -> None:
    """A fail-over threw away what a candle's entry was in, and the collector wrote it again."""
    await sink.write(stores.klines(kline(0), kline(1)))
    again = reader.entries(f"stream:{SYMBOL}")[1][1]["data"]
    reader.put_back(again)
    await sink.write(stores.klines(kline(2)))

    assert told(taken(client.live(MINUTES, start="earliest"), 3)) == [("1m", minute) for minute in range(3)]


async def test_emptied_store_that_is_filled_again_doubles_nothing(
    client: Client, sink: RedisSink, reader: Reader
) -> None:
    await sink.write(Batch(trades=[stores.run_of(trades_from(1, 20))]))
    await sink.write(stores.klines(*(kline(minute) for minute in range(5))))
    found: list[Item] = []

    with client.live(TRADES, MINUTES, start="earliest") as live:
        found += itertools.islice(live, 25)
        reader.client.flushall()
        assert not (live.poll(0.01) or pytest.fail("a live stream has no end")).items
        await sink.write(Batch(trades=[stores.run_of(trades_from(10, 30))]))
        await sink.write(stores.klines(*(kline(minute) for minute in range(2, 8))))
        found += itertools.islice(live, 13)

    assert sorted(item.trade_id for item in found if isinstance(item, Trade)) == list(range(1, 31))
    assert [each for each in told(found) if isinstance(each, tuple)] == [("1m", minute) for minute in range(8)]


async def test_new_life_of_a_market_is_told_and_its_ids_are_new(client: Client, sink: RedisSink) -> None:
    await sink.write(Batch(trades=[stores.run_of(trades_from(101, 103))]))
    new = [trade(number, time_ms=NOON_MS + 3_600_000 + number) for number in (1, 2, 3)]
    run = structs.replace(stores.run_of(new), epoch=1, after_id=103)
    await sink.write(Batch(trades=[run]))

    items = taken(client.live(TRADES, start="earliest"), 7)

    assert told(items) == [101, 102, 103, "epoch 1", 1, 2, 3]
    assert [item.epoch for item in items if isinstance(item, Trade)] == [0, 0, 0, 1, 1, 1]


async def test_late_records_are_items_where_they_are_asked_for(client: Client, sink: RedisSink, reader: Reader) -> None:
    await sink.write(stores.klines(kline(0)))
    record = reader.entries(f"stream:{SYMBOL}")[0][1]["data"]
    revised = record.replace('"close":45180.50', '"close":45180.51')
    reader.client.xadd(f"late:{SYMBOL}", {"data": revised, "why": "revision", "src": "rest"})

    items = taken(client.live(MINUTES, start="earliest", revisions=True), 2)

    assert told(items) == [("1m", 0), "revision"]
    revision = items[1]
    assert isinstance(revision, Revision)
    assert isinstance(revision.record, Kline)
    assert (revision.record.close, revision.record.source) == (Decimal("45180.51"), "rest")


async def test_entries_that_no_collector_wrote_are_counted_and_passed_over(
    client: Client, sink: RedisSink, reader: Reader
) -> None:
    await sink.write(Batch(trades=[stores.run_of(trades_from(1, 2))]))
    reader.client.xadd(f"trades:{SYMBOL}", {"data": "hello"}, id=f"{NOON_MS + 5}-3")
    record = reader.entries(f"trades:{SYMBOL}")[0][1]["data"]
    reader.client.xadd(f"trades:{SYMBOL}", {"data": record, "epoch": "999"}, id=f"{NOON_MS + 6}-0")

    with client.live(TRADES, start="earliest") as live:
        assert told(list(itertools.islice(live, 2))) == [1, 2]
        assert live.unreadable == 2


async def test_times_without_a_zone_are_of_no_collector(client: Client, sink: RedisSink, reader: Reader) -> None:
    """Of a candle and of a gap: neither can be compared with those that have one."""
    await sink.write(stores.klines(kline(0), kline(1)))
    record = reader.entries(f"stream:{SYMBOL}")[1][1]["data"]
    reader.client.xadd(f"stream:{SYMBOL}", {"data": record.replace("+00:00", "")})
    gap = '{"channel":"kline","interval":"1m","first":"2024-01-01T12:02:00","last":"2024-01-01T12:03:00","count":2,'
    reader.client.xadd(f"gaps:{SYMBOL}", {"data": gap + '"reason":"lost"}'})
    reader.client.xadd(f"stream:{SYMBOL}", {"data": record.replace("12:01:", "12:04:")})

    with client.live(MINUTES, start="earliest") as live:
        found = list(itertools.islice(live, 4))

    assert told(found) == [("1m", 0), ("1m", 1), (at(2), at(3), "unknown"), ("1m", 4)]
    assert live.unreadable == 1


async def test_candle_beside_the_grid_hides_none_of_those_on_it(
    client: Client, sink: RedisSink, reader: Reader
) -> None:
    await sink.write(stores.klines(kline(0)))
    record = reader.entries(f"stream:{SYMBOL}")[0][1]["data"]
    reader.put_back(record.replace("12:00:00", "12:01:30"))
    await sink.write(stores.klines(kline(1), kline(2)))

    with client.live(MINUTES, start="earliest") as live:
        assert told(itertools.islice(live, 3)) == [("1m", 0), ("1m", 1), ("1m", 2)]
        assert live.unreadable == 1


async def test_open_candle_comes_not_before_those_that_must_close_first(
    client: Client, sink: RedisSink, reader: Reader
) -> None:
    """After an outage the stream has the open candle before the repair has closed those in between."""
    await sink.write(stores.klines(kline(0)))
    for minute, is_closed in ((3, False), (1, True), (2, True), (3, False), (3, True)):
        text = kline_json(kline(minute, closed=is_closed), json_text(SYMBOL))
        reader.client.xadd(f"stream:{SYMBOL}", {"data": text})

    items = taken(client.live(MINUTES, start="earliest", open=True), 5)

    assert [(item.timestamp.minute, item.is_closed) for item in items if isinstance(item, Kline)] == [
        (0, True), (1, True), (2, True), (3, False), (3, True),
    ]  # fmt: skip


async def test_trade_of_an_epoch_that_was_over_is_a_late_one(client: Client, sink: RedisSink, reader: Reader) -> None:
    await sink.write(Batch(trades=[stores.run_of(trades_from(1, 2))]))
    record = reader.entries(f"trades:{SYMBOL}")[0][1]["data"]
    reader.client.xadd(f"late:{SYMBOL}", {"data": record, "why": "epoch_over", "src": "ws"})

    assert told(taken(client.live(TRADES, start="earliest", revisions=True), 3)) == [1, 2, "epoch_over"]


async def test_poll_waits_for_items_and_not_for_what_else_comes(client: Client, sink: RedisSink) -> None:
    await sink.write(stores.klines(kline(0)))
    with client.live(MINUTES, start="earliest") as live:
        assert told((live.poll(30) or pytest.fail("a live stream has no end")).items) == [("1m", 0)]
        writer = Timer(0.2, lambda: asyncio.run_coroutine_threadsafe(write_both(), loop).result())
        loop = asyncio.get_running_loop()

        async def write_both() -> None:
            await sink.write(stores.klines(kline(1, closed=False)))
            await asyncio.sleep(0.2)
            await sink.write(stores.klines(kline(1)))

        writer.start()
        batch = await asyncio.to_thread(live.poll, 30)
        await asyncio.to_thread(writer.join)

    assert told((batch or pytest.fail("a live stream has no end")).items) == [("1m", 1)]
    with pytest.raises(WrongQuestion, match="timeout_s=inf"):
        live.poll(float("inf"))


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [False, True])
async def test_client_of_the_users_own_may_be_set_up_in_any_way(
    sink: RedisSink, address: str, protocol: int, decode: bool
) -> None:
    await sink.write(stores.trades(1, 3))
    await sink.write(stores.klines(kline(0)))
    own = redis.Redis.from_url(address, protocol=protocol, decode_responses=decode, socket_timeout=1)

    with Client(own, api="", database="") as client, client.live(TRADES, MINUTES, start="earliest") as live:
        assert told(list(itertools.islice(live, 4))) == [1, 2, 3, ("1m", 0)]
        assert (live.poll(1.2) or pytest.fail("a live stream has no end")).items == []
        assert live.is_caught_up
        assert client.symbols() == [SYMBOL]
    own.close()


async def test_stream_that_begins_anew_below_what_was_read_is_read_from_its_begin(
    client: Client, sink: RedisSink, reader: Reader
) -> None:
    """Another server took over, without its entries, and its clock is behind: ids of new entries are smaller."""
    await sink.write(stores.klines(kline(0), kline(1)))
    record = reader.entries(f"stream:{SYMBOL}")[1][1]["data"]

    with client.live(MINUTES, start="earliest") as live:
        found = list(itertools.islice(live, 2))
        reader.client.delete(f"stream:{SYMBOL}")
        for number in (1, 2):
            again = record.replace("12:01:", f"12:0{number}:")
            reader.client.xadd(f"stream:{SYMBOL}", {"data": again}, id=f"5-{number}")
        for _ in range(3):
            found += (live.poll(0.01) or pytest.fail("a live stream has no end")).items

    assert told(found) == [("1m", 0), ("1m", 1), ("1m", 2)]
