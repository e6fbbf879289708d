"""What somebody else wrote under keys of ours, on every server that is found: told, and nobody else's symbol stops."""

from __future__ import annotations

import json

import pytest
from msgspec import structs

from data_collector.model.keys import Key
from data_collector.model.sink import Batch, Behind, NewestUpdate, TradeTail
from data_collector.model.store_url import StoreAddress
from data_collector.model.wire import json_text, trade_json
from data_collector.sinks.redis.functions import load_functions
from data_collector.sinks.redis.sink import RedisSink
from tests.contract.stores import Reader, klines, opened, redis_sink, run_of, trades
from tests.market import NOON_MS, PREFIX, SYMBOL, kline, ticker, trade

TRADES = f"trades:{SYMBOL}"
STREAM = f"stream:{SYMBOL}"
GAPS = f"gaps:{SYMBOL}"
OTHER = "OTHERUSDT"
KEY = Key("trade", SYMBOL)
LAST_MS = NOON_MS + 123


def plant(reader: Reader, trade_id: int, entry: str = "", *, price: str = "45180.50", quantity: str = "0.123") -> None:
    """A trade in our own form."""
    record = trade_json(trade(trade_id, price=price, quantity=quantity), json_text(SYMBOL))
    reader.client.xadd(TRADES, {"data": record}, id=entry or f"{LAST_MS}-{trade_id}")


@pytest.fixture
async def filled(sink: RedisSink, reader: Reader) -> RedisSink:
    """It has written trades 10 to 14 of both symbols."""
    await sink.write(trades(10, 14))
    await sink.write(Batch(trades=[run_of([trade(number, symbol=OTHER) for number in range(10, 15)])]))
    return sink


async def assert_blocked(sink: RedisSink, reader: Reader, entry: str, *, other_after: int = 14) -> None:
    """Nothing is stored of the symbol, however it comes; it is told, and the other symbol goes on."""
    before = reader.client.xinfo_stream(TRADES)["length"]
    further = [run_of([trade(number)]) for number in (16, 17, 50)]
    batch = Batch(
        trades=[run_of([trade(15)]), *further, run_of([trade(60)], after=17), run_of([trade(15, symbol=OTHER)])]
    )
    for _ in range(2):
        assert await sink.write(batch) == [Behind(KEY, 15, blocked=True)]
        assert list(sink.broken_keys) == [f"{PREFIX}{TRADES}"]
        assert f"somebody else's entry {entry}" in sink.broken_keys[f"{PREFIX}{TRADES}"]
    assert reader.client.xinfo_stream(TRADES)["length"] == before
    assert reader.ids(OTHER)[-1] == 15
    assert await sink.tails([SYMBOL]) == {SYMBOL: None}


async def assert_goes_on_when_deleted(sink: RedisSink, reader: Reader) -> None:
    """What the sentence advises."""
    reader.client.delete(TRADES)
    assert await sink.write(trades(15, 16, begins=False)) == [Behind(KEY, None)]
    assert await sink.write(trades(10, 16)) == []
    assert reader.ids() == list(range(10, 17))
    assert not sink.broken_keys


@pytest.mark.parametrize("record", ["mine", "{}", json.dumps({"symbol": SYMBOL, "trade_id": 15, "price": 1})])
async def test_entry_of_a_naive_writer_is_no_tail(filled: RedisSink, reader: Reader, record: str) -> None:
    """`XADD trades:BTCUSDT * data …`: its number is 0, and everything would be written again behind it."""
    entry = str(reader.client.xadd(TRADES, {"data": record}))

    await assert_blocked(filled, reader, entry)
    await assert_goes_on_when_deleted(filled, reader)


async def test_entry_of_a_naive_writer_in_an_empty_stream_is_no_tail(sink: RedisSink, reader: Reader) -> None:
    """`XADD trades:BTCUSDT 1-1 data …` before the first trade."""
    reader.client.xadd(TRADES, {"data": "mine"}, id="1-1")

    assert await sink.tails([SYMBOL]) == {SYMBOL: None}
    await assert_blocked(sink, reader, "1-1", other_after=-1)
    await assert_goes_on_when_deleted(sink, reader)


@pytest.mark.parametrize("trade_id", [8, 13, 14, 30, 10_000_000])
async def test_entry_in_our_form_in_an_empty_stream_hides_no_trade(
    sink: RedisSink, reader: Reader, trade_id: int
) -> None:
    """It was looked at before, and was empty: what comes first is what is written first."""
    assert await sink.tails([SYMBOL]) == {}
    plant(reader, trade_id, price="1.5")

    assert await sink.tails([SYMBOL]) == {SYMBOL: None}
    assert await sink.write(trades(10, 14)) == [Behind(KEY, 10, blocked=True)]
    assert list(sink.broken_keys) == [f"{PREFIX}{TRADES}"]
    assert reader.client.xlen(TRADES) == 1
    reader.client.delete(TRADES)
    assert await sink.write(trades(10, 16)) == []
    assert reader.ids() == list(range(10, 17))


async def test_trades_that_another_version_wrote_into_an_empty_stream_are_ours(sink: RedisSink, reader: Reader) -> None:
    assert await sink.tails([SYMBOL]) == {}
    for number in (10, 11, 12):
        plant(reader, number)

    assert await sink.write(trades(10, 14)) == []
    assert reader.ids() == [10, 11, 12, 13, 14]


@pytest.mark.parametrize("trade_id", [44, 50, 10_000_000])
async def test_entry_in_our_form_ahead_of_the_tail_hides_no_trade(
    filled: RedisSink, reader: Reader, trade_id: int
) -> None:
    """A foreign entry in our form, 30 ids ahead: the trades between would count as known."""
    plant(reader, trade_id)

    await assert_blocked(filled, reader, f"{LAST_MS}-{trade_id}")
    assert await filled.write(trades(15, trade_id + 2 if trade_id < 100 else 99)) == [Behind(KEY, 15, blocked=True)]
    assert await filled.write(trades(trade_id + 1, trade_id + 2)) == [Behind(KEY, trade_id + 1, blocked=True)]
    await assert_goes_on_when_deleted(filled, reader)


@pytest.mark.parametrize(
    "entry", ["18446744073709551615-18446744073709551615", f"{LAST_MS}-9007199254740992", "9007199254740992-15"]
)
async def test_highest_possible_id_is_no_tail(filled: RedisSink, reader: Reader, entry: str) -> None:
    """Numbers of which the functions cannot tell one from the next."""
    plant(reader, int(entry.partition("-")[2]), entry)

    await assert_blocked(filled, reader, entry)
    await assert_goes_on_when_deleted(filled, reader)


@pytest.mark.parametrize("changes", [{"price": "1.0"}, {"quantity": "7"}])
async def test_entry_in_our_form_right_behind_the_tail_is_compared(
    filled: RedisSink, reader: Reader, changes: dict[str, str]
) -> None:
    plant(reader, 15, **changes)

    await assert_blocked(filled, reader, f"{LAST_MS}-15")
    await assert_goes_on_when_deleted(filled, reader)


@pytest.mark.parametrize("ahead", [0, 300])
async def test_more_entries_in_our_form_than_one_page_hide_no_trade(
    filled: RedisSink, reader: Reader, ahead: int
) -> None:
    """Right behind the tail, where only the trades themselves tell, and further on, where they leave a hole."""
    for number in range(15 + ahead, 165 + ahead):
        plant(reader, number, price="1.0")

    assert await filled.write(trades(15, 17)) == [Behind(KEY, 15, blocked=True)]
    assert await filled.write(trades(15, 17)) == [Behind(KEY, 15, blocked=True)]
    assert list(filled.broken_keys) == [f"{PREFIX}{TRADES}"]
    await assert_goes_on_when_deleted(filled, reader)


async def test_entries_in_our_form_that_begin_with_the_trades_that_come_are_compared_to_their_end(
    filled: RedisSink, reader: Reader
) -> None:
    """The first ones are as they came; the one that comes later is not."""
    for number in range(15, 135):
        plant(reader, number, price="1.0" if number >= 120 else "45180.50")

    assert await filled.write(trades(15, 20)) == []
    assert await filled.write(trades(100, 110)) == []
    (behind,) = await filled.write(trades(111, 125))
    assert behind.blocked
    assert list(filled.broken_keys) == [f"{PREFIX}{TRADES}"]


async def test_entry_right_behind_the_tail_that_is_no_trade_lets_nothing_follow(
    filled: RedisSink, reader: Reader
) -> None:
    """The run that it hides is refused; one that begins behind it is refused too, in the same batch and later."""
    reader.client.xadd(TRADES, {"data": "mine"}, id=f"{LAST_MS}-15")

    await assert_blocked(filled, reader, f"{LAST_MS}-15")
    assert await filled.write(trades(16, 17)) == [Behind(KEY, 16, blocked=True)]
    assert await filled.write(trades(30, 31)) == [Behind(KEY, 30, blocked=True)]
    assert list(filled.broken_keys) == [f"{PREFIX}{TRADES}"]
    await assert_goes_on_when_deleted(filled, reader)


async def test_copy_of_our_newest_trade_with_a_later_id_is_no_tail(filled: RedisSink, reader: Reader) -> None:
    plant(reader, 14, f"{LAST_MS + 1}-14")

    await assert_blocked(filled, reader, f"{LAST_MS + 1}-14")


async def test_tail_that_somebody_moved_is_none(filled: RedisSink, reader: Reader) -> None:
    """`XSETID trades:BTCUSDT …`, and an entry that was taken out again."""
    reader.client.eval(f"redis.call('XSETID', KEYS[1], '{LAST_MS}-44')", 1, f"{PREFIX}{TRADES}")

    await assert_blocked(filled, reader, f"{LAST_MS}-44")
    await assert_goes_on_when_deleted(filled, reader)


async def test_entry_that_is_there_at_a_start_is_no_tail(
    filled: RedisSink, reader: Reader, store_address: StoreAddress
) -> None:
    """The server, started anew as well, does not know what we wrote last."""
    plant(reader, 44)
    async with opened(redis_sink(store_address, writer="started")) as started:
        assert await started.tails([SYMBOL, OTHER]) == {SYMBOL: None, OTHER: TradeTail(10, 14, 0, LAST_MS, 14)}
        assert list(started.broken_keys) == [f"{PREFIX}{TRADES}"]
        await assert_blocked(started, reader, f"{LAST_MS}-44")
        await assert_goes_on_when_deleted(started, reader)


async def test_trades_of_a_collector_of_another_version_are_a_tail(filled: RedisSink, reader: Reader) -> None:
    """Its functions are not ours, and what they wrote is: contiguous, declared where it is not, and true."""
    plant(reader, 15)
    declared = {"symbol": SYMBOL, "channel": "trade", "interval": None, "first": 16, "last": 18, "count": 3}
    reader.client.xadd(GAPS, {"data": json.dumps(declared | {"reason": "absent"})})
    plant(reader, 19, price="45180.5")

    assert await filled.tails([SYMBOL]) == {SYMBOL: TradeTail(10, 19, 0, LAST_MS, 19)}
    assert await filled.write(trades(19, 21)) == []
    assert reader.ids() == [*range(10, 16), 19, 20, 21]
    assert not filled.broken_keys


async def test_tail_is_ours_after_the_functions_were_loaded_anew(
    filled: RedisSink, other: RedisSink, reader: Reader, store_address: StoreAddress
) -> None:
    await filled.write(trades(20, 20, after=14))
    await filled.write(Batch(trades=[run_of([], [21, 22], first_id=23, after=20)]))
    async with opened(redis_sink(store_address, writer="started")) as started:
        assert await started.tails([SYMBOL]) == {SYMBOL: TradeTail(10, 22, 0, LAST_MS, 20)}
        assert await started.write(trades(23, 24)) == []

    assert reader.ids() == [*range(10, 15), 20, 23, 24]


async def test_stream_that_a_consumer_group_made_is_empty(sink: RedisSink, reader: Reader) -> None:
    """`XGROUP CREATE … MKSTREAM` before the first trade: it ends with id 0-0, and no trade has that."""
    reader.client.xgroup_create(TRADES, "readers", mkstream=True)

    assert await sink.tails([SYMBOL]) == {}
    assert await sink.write(trades(10, 11)) == []
    assert reader.ids() == [10, 11]
    assert reader.gaps() == []


async def test_reason_stands_while_other_keys_of_the_symbol_are_written(filled: RedisSink, reader: Reader) -> None:
    reader.client.xadd(TRADES, {"data": "mine"}, id=f"{LAST_MS}-15")
    await filled.write(trades(15, 16))
    for batch in (Batch(newest=[NewestUpdate(ticker())]), klines(kline(0)), trades(90, 91, after=80), trades(70, 71)):
        await filled.write(batch)
        assert list(filled.broken_keys) == [f"{PREFIX}{TRADES}"]


@pytest.mark.parametrize("text", ["9" * 30, "7"])
async def test_epoch_that_the_stream_does_not_know_is_told(filled: RedisSink, reader: Reader, text: str) -> None:
    """`SET collector:epoch:BTCUSDT 7`: nobody has begun it."""
    reader.client.set(f"collector:epoch:{SYMBOL}", text)

    assert await filled.write(trades(15, 16)) == [Behind(KEY, 15, blocked=True)]
    assert list(filled.broken_keys) == [f"{PREFIX}collector:epoch:{SYMBOL}"]
    assert await filled.tails([SYMBOL]) == {SYMBOL: None}

    reader.client.delete(f"collector:epoch:{SYMBOL}")
    assert await filled.write(trades(15, 16)) == []
    assert reader.ids() == list(range(10, 17))
    assert not filled.broken_keys


async def test_entry_of_an_epoch_that_nobody_has_begun_is_no_tail(filled: RedisSink, reader: Reader) -> None:
    record = trade_json(trade(15), json_text(SYMBOL))
    for epoch in ("7", "soon", "9" * 20):
        reader.client.xadd(TRADES, {"data": record, "epoch": epoch}, id=f"{LAST_MS}-15")
        await assert_blocked(filled, reader, f"{LAST_MS}-15")
        reader.client.delete(TRADES)
        await filled.write(trades(10, 14))


async def test_run_of_a_later_epoch_is_not_written_behind_an_entry_of_somebody_else(
    filled: RedisSink, reader: Reader
) -> None:
    plant(reader, 44)
    run = structs.replace(run_of([trade(0)]), epoch=1, begins=True, after_id=44)

    assert await filled.write(Batch(trades=[run])) == [Behind(KEY, 0, 1, blocked=True)]
    assert reader.ids()[-1] == 44


async def test_epoch_that_an_entry_alone_names_is_not_begun(filled: RedisSink, reader: Reader) -> None:
    """Its number is set with its first entry, and without the key the newest entry tells it."""
    record = trade_json(trade(15), json_text(SYMBOL))
    reader.client.xadd(TRADES, {"data": record, "epoch": "1"}, id=f"{LAST_MS}-15")
    reader.client.delete(f"collector:epoch:{SYMBOL}")

    await assert_blocked(filled, reader, f"{LAST_MS}-15")


async def test_epoch_of_a_stream_that_is_gone_is_not_begun_by_its_key_alone(filled: RedisSink, reader: Reader) -> None:
    """`SET collector:epoch:BTCUSDT 1` and `DEL trades:BTCUSDT`: all would be filed under a life that nobody lived."""
    reader.client.set(f"collector:epoch:{SYMBOL}", "1")
    reader.client.delete(TRADES)

    assert await filled.write(trades(15, 16, begins=False)) == [Behind(KEY, 15, blocked=True)]
    assert list(filled.broken_keys) == [f"{PREFIX}collector:epoch:{SYMBOL}"]

    reader.client.delete(f"collector:epoch:{SYMBOL}")
    assert await filled.write(trades(15, 16, begins=False)) == [Behind(KEY, None)]
    assert await filled.write(trades(10, 16)) == []
    assert not filled.broken_keys


async def test_epoch_of_a_stream_that_is_gone_is_not_begun_by_its_key_on_a_server_that_has_started_anew(
    filled: RedisSink, reader: Reader, store_address: StoreAddress
) -> None:
    """It knows no epoch any more, but whoever writes does."""
    reader.client.set(f"collector:epoch:{SYMBOL}", "1")
    reader.client.delete(TRADES)
    reader.client.function_flush()
    await load_functions(await filled.connected())

    assert await filled.write(trades(15, 16, begins=False)) == [Behind(KEY, 15, blocked=True)]
    assert list(filled.broken_keys) == [f"{PREFIX}collector:epoch:{SYMBOL}"]


async def test_databases_of_one_server_are_told_apart(
    filled: RedisSink, reader: Reader, store_address: StoreAddress
) -> None:
    """Another market in another database has the same keys, and other ids and epochs."""
    async with opened(redis_sink(structs.replace(store_address, database=1), writer="other market")) as other:
        for number in (15, 16, 17):
            run = structs.replace(run_of([trade(1000 + number)]), epoch=3, begins=number == 15)
            assert await other.write(Batch(trades=[run])) == []
            assert await filled.write(trades(number, number)) == []
        assert await other.tails([SYMBOL]) == {SYMBOL: TradeTail(1015, 1017, 3, LAST_MS, 1017)}

    assert reader.ids() == list(range(10, 18))
    assert not filled.broken_keys


@pytest.mark.parametrize("left", [0, 1])
@pytest.mark.parametrize("entry", ["*", f"{LAST_MS + 1}-14", f"{LAST_MS}-44"])
async def test_entry_that_was_trimmed_again_is_no_tail(
    filled: RedisSink, reader: Reader, entry: str, left: int
) -> None:
    """`XADD trades:BTCUSDT …` and `XTRIM trades:BTCUSDT MAXLEN 0`: nothing but the tail tells of it."""
    planted = str(reader.client.xadd(TRADES, {"data": "mine"}, id=entry))
    reader.client.xtrim(TRADES, maxlen=left, approximate=False)

    await assert_blocked(filled, reader, planted)
    await assert_goes_on_when_deleted(filled, reader)


async def test_stream_that_somebody_trimmed_to_nothing_goes_on(filled: RedisSink, reader: Reader) -> None:
    reader.client.xtrim(TRADES, maxlen=0, approximate=False)

    assert await filled.write(trades(15, 16)) == []
    assert reader.ids() == [15, 16]


async def test_epoch_of_a_stream_that_was_trimmed_to_nothing_is_not_begun_by_its_key_alone(
    filled: RedisSink, reader: Reader
) -> None:
    reader.client.set(f"collector:epoch:{SYMBOL}", "1")
    reader.client.xadd(TRADES, {"data": "mine"}, id=f"{LAST_MS + 1}-14")
    reader.client.xtrim(TRADES, maxlen=0, approximate=False)

    assert await filled.write(trades(15, 16)) == [Behind(KEY, 15, blocked=True)]
    assert list(filled.broken_keys) == [f"{PREFIX}collector:epoch:{SYMBOL}"]
    reader.client.delete(f"collector:epoch:{SYMBOL}")
    await assert_blocked(filled, reader, f"{LAST_MS + 1}-14")
