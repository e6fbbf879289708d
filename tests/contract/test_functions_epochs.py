"""Epochs of trade ids, on every server that is found: what one call does to the store."""

from __future__ import annotations

import pytest
from msgspec import structs

from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.sink import Batch, Behind, NewestUpdate, TradeRun, TradeTail
from data_collector.sinks.redis.sink import RedisSink
from tests.contract.stores import Reader, run_of, trades
from tests.market import NOON_MS, SYMBOL, ticker, trade

TRADES = f"trades:{SYMBOL}"
EPOCH = f"collector:epoch:{SYMBOL}"
KEY = Key("trade", SYMBOL)


def new_run(
    first_id: int, last_id: int, *, epoch: int = 1, begins_after: int | None = None, time_ms: int = NOON_MS
) -> TradeRun:  # fmt: skip
    made = run_of([trade(number, time_ms=time_ms) for number in range(first_id, last_id + 1)])
    return structs.replace(
        made, epoch=epoch, begins=begins_after is not None, after_id=-1 if begins_after is None else begins_after
    )


async def write(sink: RedisSink, *runs: TradeRun) -> list[Behind]:
    return await sink.write(Batch(trades=list(runs)))


def ids_and_epochs(reader: Reader) -> list[tuple[int, str | None]]:
    return [(int(number.partition("-")[2]), fields.get("epoch")) for number, fields in reader.entries(TRADES)]


async def test_epoch_begins_behind_the_tail_that_is_named_and_smaller_ids_follow(
    sink: RedisSink, reader: Reader
) -> None:
    await sink.write(trades(1_000, 1_001))
    assert await write(sink, new_run(0, 1, begins_after=1_001, time_ms=NOON_MS - 5_000)) == []
    assert await write(sink, new_run(2, 2)) == []

    assert ids_and_epochs(reader) == [(1_000, None), (1_001, None), (0, "1"), (1, "1"), (2, "1")]
    times = [int(number.partition("-")[0]) for number, _ in reader.entries(TRADES)]
    assert times == sorted(times)
    assert times[1] < times[2]
    assert reader.client.get(EPOCH) == "1"
    assert await sink.tails([SYMBOL]) == {SYMBOL: TradeTail(0, 2, 1, times[-1], 2)}


@pytest.mark.parametrize("begins_after", [None, 999, 1_002])
async def test_epoch_begins_behind_no_other_tail(
    sink: RedisSink, reader: Reader, begins_after: int | None
) -> None:  # fmt: skip
    await sink.write(trades(1_000, 1_001))

    assert await write(sink, new_run(0, 1, begins_after=begins_after)) == [Behind(KEY, 1_002, 0)]
    assert reader.ids() == [1_000, 1_001]


async def test_epoch_begins_once_of_two_collectors(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(1_000, 1_001))
    await write(sink, new_run(0, 1, begins_after=1_001))
    await write(sink, new_run(1, 2, begins_after=1_001))

    assert ids_and_epochs(reader) == [(1_000, None), (1_001, None), (0, "1"), (1, "1"), (2, "1")]


async def test_who_is_in_an_older_epoch_is_told_the_present_one(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(1_000, 1_001))
    await write(sink, new_run(0, 1, begins_after=1_001))

    assert await sink.write(trades(1_002, 1_003)) == [Behind(KEY, 2, 1)]
    assert len(reader.entries(TRADES)) == 4


async def test_emptied_store_is_filled_under_the_number_that_the_caller_knows(sink: RedisSink, reader: Reader) -> None:
    assert await write(sink, new_run(5, 6, epoch=2)) == [Behind(KEY, None, 2)]
    assert await write(sink, new_run(5, 6, epoch=2, begins_after=-1)) == []

    assert ids_and_epochs(reader) == [(5, "2"), (6, "2")]
    assert reader.client.get(EPOCH) == "2"


async def test_number_that_was_deleted_is_told_by_the_newest_entry(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(1_000, 1_001))
    await write(sink, new_run(0, 1, begins_after=1_001))
    reader.client.delete(EPOCH)

    assert await sink.write(trades(1_002, 1_003)) == [Behind(KEY, 2, 1)]
    assert await write(sink, new_run(2, 2)) == []
    assert reader.client.get(EPOCH) == "1"


async def test_gap_carries_its_epoch(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(1_000, 1_001))
    await write(sink, new_run(0, 1, begins_after=1_001))
    await write(sink, structs.replace(new_run(4, 4), gaps=[Gap(2, 3, 2, "lost")]))

    ((_, fields),) = reader.entries(f"gaps:{SYMBOL}")
    assert fields["epoch"] == "1"


async def test_latest_price_is_that_of_the_new_life(sink: RedisSink, reader: Reader) -> None:
    reader.client.hset(f"latest:{SYMBOL}", mapping={"volume": "1", "trade_id": "1001"})
    await sink.write(trades(1_000, 1_001))
    await write(sink, new_run(0, 1, begins_after=1_001))

    assert reader.client.hget(f"latest:{SYMBOL}", "trade_id") == "1"


async def test_price_of_a_ticker_whose_ids_began_anew_is_the_latest(sink: RedisSink, reader: Reader) -> None:
    """Without the channel of trades nothing else would tell of the new life."""
    for after_ms, last_id, price in ((0, 5_000_000, "2.0"), (1_000, 150, "0.5"), (2_000, 151, "0.6")):
        record = ticker(NOON_MS + after_ms, last_id=last_id, last_price=price)
        await sink.write(Batch(newest=[NewestUpdate(record)]))
        assert (reader.latest()["price"], reader.latest()["trade_id"]) == (price, str(last_id))


async def test_number_that_is_none_stops_its_symbol_alone(sink: RedisSink, reader: Reader) -> None:
    reader.client.set(EPOCH, "soon")

    assert await sink.write(trades(1_000, 1_001)) == [Behind(KEY, 1_000, blocked=True)]
    assert list(sink.broken_keys) == [EPOCH]
