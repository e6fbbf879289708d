"""Compare and append of trades, on every server that is found: what one call does to the store."""

from __future__ import annotations

from itertools import pairwise

import pytest

from data_collector.model.errors import SinkUnavailable
from data_collector.model.keys import Key
from data_collector.model.sink import Batch, Behind, TradeTail
from data_collector.sinks.redis.sink import RedisSink
from tests.contract.stores import Reader, run_of, trades
from tests.market import NOON_MS, SYMBOL, trade

TRADES = f"trades:{SYMBOL}"
STREAM = f"stream:{SYMBOL}"


async def test_first_batch_is_the_beginning_and_no_gap(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(1_000, 1_002))

    assert reader.ids() == [1_000, 1_001, 1_002]
    assert reader.gaps() == []


async def test_batch_that_follows_is_appended(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(10, 11))
    await sink.write(trades(12, 14))

    assert reader.ids() == [10, 11, 12, 13, 14]


async def test_batch_that_is_there_already_adds_nothing(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(10, 14))
    before = reader.entries(TRADES)
    await sink.write(trades(10, 14))
    await sink.write(trades(11, 12))

    assert reader.entries(TRADES) == before


async def test_of_an_overlapping_batch_the_new_part_is_added(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(10, 12))
    await sink.write(trades(11, 14))

    assert reader.ids() == [10, 11, 12, 13, 14]


async def test_batch_from_before_the_beginning_adds_nothing(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(10, 12))
    await sink.write(trades(1, 5))

    assert reader.ids() == [10, 11, 12]
    assert reader.gaps() == []


async def test_hole_that_nothing_explains_is_answered_with_what_is_due(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(10, 11))

    assert await sink.write(trades(20, 21)) == [Behind(Key("trade", SYMBOL), 12)]
    assert reader.ids() == [10, 11]
    assert reader.gaps() == []


async def test_hole_that_is_explained_too_late_is_not_bridged(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(10, 11))

    assert await sink.write(trades(20, 21, after=15)) == [Behind(Key("trade", SYMBOL), 12)]
    assert reader.ids() == [10, 11]


async def test_store_is_behind_once_however_many_runs_follow(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(10, 11))
    batch = Batch(trades=[run_of([trade(20)]), run_of([trade(21)]), run_of([trade(30)], after=21)])

    assert await sink.write(batch) == [Behind(Key("trade", SYMBOL), 12)]
    assert reader.ids() == [10, 11]
    assert await sink.write(trades(12, 21)) == []


async def test_hole_is_told_with_the_reason_that_the_run_gives(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(10, 11))
    await sink.write(trades(20, 20, after=11, reason="lost"))
    await sink.write(trades(30, 30, after=20, reason="absent"))
    await sink.write(trades(40, 40, after=30, reason="skipped"))

    assert reader.ids() == [10, 11, 20, 30, 40]
    assert reader.gaps() == [(12, 19, 8, "lost"), (21, 29, 9, "absent"), (31, 39, 9, "skipped")]


async def test_run_that_may_not_begin_a_stream_is_answered_with_nothing_due(sink: RedisSink, reader: Reader) -> None:
    assert await sink.write(trades(10, 11, begins=False)) == [Behind(Key("trade", SYMBOL), None)]
    assert reader.client.exists(TRADES) == 0

    assert await sink.write(trades(5, 9)) == []
    assert await sink.write(trades(10, 11, begins=False)) == []
    assert reader.ids() == list(range(5, 12))


async def test_run_that_may_begin_a_stream_does_not_where_one_ends_earlier(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(1, 2))

    assert await sink.write(trades(10, 11)) == [Behind(Key("trade", SYMBOL), 3)]
    assert reader.ids() == [1, 2]


async def test_gaps_are_cut_where_another_writer_moved_the_tail(
    sink: RedisSink, other: RedisSink, reader: Reader
) -> None:
    await sink.write(trades(10, 11))
    await other.write(trades(12, 14))

    assert await sink.write(trades(20, 20, after=11)) == []
    assert reader.ids() == [10, 11, 12, 13, 14, 20]
    assert reader.gaps() == [(15, 19, 5, "absent")]


async def test_gaps_that_another_writer_filled_are_not_told(sink: RedisSink, other: RedisSink, reader: Reader) -> None:
    await sink.write(trades(10, 11))
    await other.write(trades(12, 20))

    assert await sink.write(trades(20, 22, after=11)) == []
    assert reader.ids() == list(range(10, 23))
    assert reader.gaps() == []


async def test_store_tells_where_each_symbol_ends(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(10, 11))
    await sink.write(Batch(trades=[run_of([], first_id=15, after=11)]))
    reader.client.set("trades:ETHUSDT", "mine")

    assert await sink.tails([SYMBOL, "ETHUSDT", "BNBUSDT"]) == {
        SYMBOL: TradeTail(10, 14, last_ms=NOON_MS + 123, stored_id=11),
        "ETHUSDT": None,
    }

    reader.client.xtrim(TRADES, maxlen=0, approximate=False)
    assert await sink.tails([SYMBOL]) == {SYMBOL: TradeTail(15, 14, last_ms=NOON_MS + 123)}


async def test_source_and_warnings_stand_beside_the_record(sink: RedisSink, reader: Reader) -> None:
    run = run_of([trade(number) for number in (10, 11, 12, 13)])
    run.entries[0::2] = [NOON_MS, f"{NOON_MS}  rest", f"{NOON_MS} a,b", f"{NOON_MS} a rest"]
    await sink.write(Batch(trades=[run]))

    found = [{name: text for name, text in fields.items() if name != "data"} for _, fields in reader.entries(TRADES)]
    assert found == [{}, {"src": "rest"}, {"warnings": "a,b"}, {"warnings": "a", "src": "rest"}]


async def test_hole_is_told_once_however_often_the_batch_is_written(
    sink: RedisSink, other: RedisSink, reader: Reader
) -> None:
    await sink.write(trades(10, 11))
    for writer in (sink, sink, other):
        await writer.write(trades(15, 16, after=11))

    assert reader.ids() == [10, 11, 15, 16]
    assert reader.gaps() == [(12, 14, 3, "absent")]


async def test_refused_trades_are_told_from_absent_ones_and_quarantined(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(10, 11))
    await sink.write(trades(16, 16, refused=[13, 14], after=11))

    assert reader.gaps() == [(12, 12, 1, "absent"), (13, 14, 2, "refused"), (15, 15, 1, "absent")]
    assert reader.quarantined() == [13, 14]
    assert [gap["rules"] for gap in reader.records("gaps:BTCUSDT")] == [[], ["price_positive"], []]


async def test_refusal_is_written_once_by_two_collectors_and_a_retry(
    sink: RedisSink, other: RedisSink, reader: Reader
) -> None:
    await sink.write(trades(10, 10))
    for writer in (sink, sink, other):
        await writer.write(trades(12, 12, refused=[11], after=10))

    assert reader.quarantined() == [11]
    assert reader.gaps() == [(11, 11, 1, "refused")]


async def test_refused_trade_of_which_a_good_copy_came_leaves_no_gap(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(10, 10))
    for _ in range(2):
        await sink.write(trades(11, 12, refused=[11]))

    assert reader.ids() == [10, 11, 12]
    assert reader.gaps() == []
    assert reader.quarantined() == [11]


async def test_tail_is_moved_over_refused_trades_that_nothing_follows(
    sink: RedisSink, other: RedisSink, reader: Reader
) -> None:
    await sink.write(trades(10, 10))
    for writer in (sink, sink, other):
        await writer.write(Batch(trades=[run_of([], [11, 12], first_id=13, after=10)]))

    assert reader.ids() == [10]
    assert reader.gaps() == [(11, 12, 2, "refused")]
    assert reader.quarantined() == [11, 12]
    assert str(reader.client.xinfo_stream(TRADES)["last-generated-id"]).endswith("-12")

    await other.write(trades(13, 13))

    assert reader.ids() == [10, 13]
    assert reader.gaps() == [(11, 12, 2, "refused")]


async def test_second_collectors_refusal_of_what_was_passed_over_is_not_told_again(
    sink: RedisSink, other: RedisSink, reader: Reader
) -> None:
    await sink.write(trades(10, 10))
    await sink.write(Batch(trades=[run_of([], [11], first_id=12, after=10)]))
    await other.write(trades(12, 13, refused=[11], after=10))

    assert reader.quarantined() == [11]
    assert reader.ids() == [10, 12, 13]


async def test_passing_over_on_an_empty_store_creates_no_stream(sink: RedisSink, reader: Reader) -> None:
    await sink.write(Batch(trades=[run_of([], [11], first_id=12, after=10)]))

    assert reader.client.exists(TRADES) == 0
    assert reader.gaps() == []


async def test_entry_times_never_go_back_when_the_exchanges_clock_does(sink: RedisSink, reader: Reader) -> None:
    times = [NOON_MS, NOON_MS + 5, NOON_MS + 2, NOON_MS + 7]
    records = [trade(10 + index, time_ms=time_ms) for index, time_ms in enumerate(times)]
    await sink.write(Batch(trades=[run_of(records[:3])]))
    await sink.write(Batch(trades=[run_of(records[3:])]))

    assert [entry_id for entry_id, _ in reader.entries(TRADES)] == [
        f"{NOON_MS}-10",
        f"{NOON_MS + 5}-11",
        f"{NOON_MS + 5}-12",
        f"{NOON_MS + 7}-13",
    ]
    assert reader.records(TRADES)[2]["timestamp"] == "2024-01-01T12:00:00.002+00:00"


async def test_time_is_clamped_to_the_tail_of_an_earlier_call(sink: RedisSink, reader: Reader) -> None:
    await sink.write(Batch(trades=[run_of([trade(10, time_ms=NOON_MS + 100)])]))
    await sink.write(Batch(trades=[run_of([trade(11, time_ms=NOON_MS)])]))

    assert reader.entries(TRADES)[1][0] == f"{NOON_MS + 100}-11"


async def test_two_collectors_that_lost_different_trades_fill_each_others_holes(
    sink: RedisSink, other: RedisSink, reader: Reader
) -> None:
    await sink.write(trades(10, 12))
    await other.write(trades(11, 15))
    await sink.write(trades(14, 17))
    await other.write(trades(16, 20))
    await sink.write(trades(19, 21))

    assert reader.ids() == list(range(10, 22))
    assert reader.gaps() == []


@pytest.mark.parametrize("ids", [(0, 2), (2**32 - 1, 2**32 + 1), (2**53 - 4, 2**53 - 2)])
async def test_ids_of_any_size_keep_every_digit(sink: RedisSink, reader: Reader, ids: tuple[int, int]) -> None:
    first, last = ids
    await sink.write(trades(first, last - 1))
    await sink.write(trades(last, last))

    assert [entry_id for entry_id, _ in reader.entries(TRADES)] == [
        f"{NOON_MS + 123}-{number}" for number in range(first, last + 1)
    ]


async def test_trimmed_stream_knows_its_tail(reader: Reader, sink: RedisSink) -> None:
    await sink.write(trades(10, 20))
    reader.client.xtrim(TRADES, maxlen=0, approximate=False)
    await sink.write(trades(15, 22))

    assert reader.ids() == [21, 22]
    assert reader.gaps() == []


async def test_stream_that_was_deleted_is_missed(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(10, 12))
    reader.client.delete(TRADES)

    assert await sink.write(trades(13, 14, begins=False)) == [Behind(Key("trade", SYMBOL), None)]
    assert reader.ids() == []


async def test_after_a_failover_to_an_older_copy_the_batch_in_flight_heals_it(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(10, 12))
    older = reader.client.dump(TRADES)
    await sink.write(trades(13, 15))
    assert isinstance(older, bytes)
    reader.client.restore(TRADES, 0, older, replace=True)

    await sink.write(trades(13, 17))

    assert reader.ids() == list(range(10, 18))
    entry_ids = [tuple(map(int, entry_id.split("-"))) for entry_id, _ in reader.entries(TRADES)]
    assert all(earlier < later for earlier, later in pairwise(entry_ids))


async def test_after_a_failover_what_the_store_lost_is_asked_for(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(10, 12))
    older = reader.client.dump(TRADES)
    await sink.write(trades(13, 15))
    assert isinstance(older, bytes)
    reader.client.restore(TRADES, 0, older, replace=True)

    assert await sink.write(trades(16, 17)) == [Behind(Key("trade", SYMBOL), 13)]
    await sink.write(trades(13, 17))

    assert reader.ids() == list(range(10, 18))
    assert reader.gaps() == []


async def test_functions_that_a_promoted_replica_lacks_are_loaded_again(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(10, 12))
    reader.client.function_flush()

    with pytest.raises(SinkUnavailable):
        await sink.write(trades(13, 14))
    await sink.write(trades(13, 14))

    assert reader.ids() == [10, 11, 12, 13, 14]
