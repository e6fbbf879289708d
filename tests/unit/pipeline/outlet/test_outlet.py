"""What waits: runs, conflation, bounds, passing over."""

from __future__ import annotations

import pytest

from data_collector.model.channels import number_of
from data_collector.model.gaps import Gap
from data_collector.model.keys import UNKNOWN
from data_collector.model.records import Kline, Trade
from data_collector.model.sink import KlineUpdate, Refusal
from data_collector.pipeline.outlet.outlet import BATCH_RECORDS_MAX, REFUSED_MAX, Outlet
from data_collector.pipeline.outlet.runs import RUN_ENTRIES_MAX
from tests.market import MINUTE_MS, SYMBOL, kline, ticker, trade
from tests.retaining import in_memory
from tests.unit.pipeline.outlet_scene import ids_of, put

REFUSAL = Refusal("{}", "[]", "2024-01-01T12:00:00.000+00:00", "{}", ("price_positive",))


@pytest.fixture
def outlet() -> Outlet:
    return Outlet([SYMBOL, "ETHUSDT"], in_memory(SYMBOL, "ETHUSDT"))


def update(record: Kline) -> KlineUpdate:
    return KlineUpdate(record, record.open_ms + MINUTE_MS)


def test_nothing_waits_at_first(outlet: Outlet) -> None:
    assert not outlet.waiting.is_set()
    assert not outlet.take()


def test_trades_that_follow_each_other_are_one_run(outlet: Outlet) -> None:
    put(outlet, 10, 11, 12)

    (run,) = outlet.take().trades
    assert (run.symbol, run.first_id, run.count, run.refused) == (SYMBOL, 10, 3, {})
    assert ids_of(run) == [10, 11, 12]
    assert run.entries[::2] == [trade().time_ms] * 3


def test_run_knows_price_and_time_of_its_newest_and_receive_time_of_its_oldest(outlet: Outlet) -> None:
    outlet.put_trade(trade(10, received_ns=5))
    outlet.put_trade(trade(11, received_ns=6, price="45181.00", sub_ms_us=45))

    (run,) = outlet.take().trades
    assert (run.price, run.time_text, run.oldest_ns) == ("45181.00", "2024-01-01T12:00:00.123045+00:00", 5)


def test_hole_ends_the_run(outlet: Outlet) -> None:
    put(outlet, 10, 11, 15, 16)

    assert [(run.first_id, run.count) for run in outlet.take().trades] == [(10, 2), (15, 2)]


def test_long_run_is_cut_where_one_call_would_block_the_server(outlet: Outlet) -> None:
    count = RUN_ENTRIES_MAX // 2
    put(outlet, *range(10, 10 + 2 * count + 1))

    assert [(run.first_id, run.count) for run in outlet.take().trades] == [
        (10, count),
        (10 + count, count),
        (10 + 2 * count, 1),
    ]


def test_taking_empties(outlet: Outlet) -> None:
    put(outlet, 10)
    assert outlet.waiting.is_set()
    assert outlet.records == 1

    outlet.take()

    assert not outlet.waiting.is_set()
    assert outlet.records == 0
    assert not outlet.take()


def test_run_begins_anew_after_taking(outlet: Outlet) -> None:
    put(outlet, 10, 11)
    outlet.take()
    put(outlet, 12)

    (run,) = outlet.take().trades
    assert (run.first_id, run.count) == (12, 1)


def test_refused_trade_goes_with_the_run_that_passes_over_it(outlet: Outlet) -> None:
    put(outlet, 10)
    outlet.put_refused(SYMBOL, 11, REFUSAL)
    put(outlet, 12)

    first, second = outlet.take().trades
    assert (first.first_id, first.refused) == (10, {})
    assert (second.first_id, second.refused) == (12, {11: REFUSAL})


def test_refused_trade_that_nothing_follows_stays(outlet: Outlet) -> None:
    put(outlet, 10)
    outlet.put_refused(SYMBOL, 11, REFUSAL)

    (run,) = outlet.take().trades
    assert run.refused == {}
    assert outlet.queues[SYMBOL].refused == {11: REFUSAL}


def test_refused_trade_that_came_ahead_waits_for_the_run_after_its_hole(outlet: Outlet) -> None:
    put(outlet, 10)
    outlet.put_refused(SYMBOL, 12, REFUSAL)
    put(outlet, 11, 13)

    runs = outlet.take().trades
    assert [(run.first_id, list(run.refused)) for run in runs] == [(10, []), (13, [12])]


def test_refused_trades_are_bounded(outlet: Outlet) -> None:
    for trade_id in range(REFUSED_MAX + 5):
        outlet.put_refused(SYMBOL, trade_id, REFUSAL)

    assert len(outlet.queues[SYMBOL].refused) == REFUSED_MAX
    assert outlet.dropped["quarantine"] == 5


def test_what_was_passed_over_goes_with_the_next_run(outlet: Outlet) -> None:
    put(outlet, 10)
    outlet.put_refused(SYMBOL, 11, REFUSAL)
    outlet.pass_over(SYMBOL, [Gap(11, 11, 1, "refused", ("price_positive",))])
    put(outlet, 12)

    _, run = outlet.take().trades
    assert (run.start_id, run.first_id, run.gaps[0].reason, list(run.refused)) == (11, 12, "refused", [11])


def test_what_was_passed_over_and_nothing_follows_is_a_run_without_trades(outlet: Outlet) -> None:
    put(outlet, 10)
    outlet.take()
    outlet.pass_over(SYMBOL, [Gap(11, 12, 2, "absent")])

    (run,) = outlet.take().trades
    assert (run.start_id, run.first_id, run.count) == (11, 13, 0)
    put(outlet, 13)
    (after,) = outlet.take().trades
    assert (after.first_id, after.gaps) == (13, [])


def test_open_klines_are_conflated_to_the_newest(outlet: Outlet) -> None:
    newest = update(kline(closed=False, close="45190"))
    outlet.put_open_kline(update(kline(closed=False)))
    outlet.put_open_kline(newest)

    assert outlet.take().klines == [[newest]]
    assert outlet.conflated["kline"] == 1
    assert outlet.records == 0


def test_closed_klines_come_first_and_all_of_them(outlet: Outlet) -> None:
    closed = [update(kline(minute)) for minute in range(3)]
    opened = update(kline(3, closed=False))
    for one in closed:
        outlet.put_closed_kline(one)
    outlet.put_open_kline(opened)

    assert outlet.take().klines == [[*closed, opened]]


def test_closed_kline_supersedes_the_waiting_open_state_of_itself(outlet: Outlet) -> None:
    closed = update(kline())
    outlet.put_open_kline(update(kline(closed=False)))
    outlet.put_closed_kline(closed)

    assert outlet.take().klines == [[closed]]


def test_late_closing_frame_leaves_the_open_state_of_the_next_kline(outlet: Outlet) -> None:
    opened, closed = update(kline(1, closed=False)), update(kline(0))
    outlet.put_open_kline(opened)
    outlet.put_closed_kline(closed)

    assert outlet.take().klines == [[closed, opened]]


def test_intervals_do_not_supersede_each_other(outlet: Outlet) -> None:
    hour = update(kline(closed=False, interval="1h"))
    outlet.put_open_kline(hour)
    outlet.put_open_kline(update(kline(closed=False)))
    outlet.put_closed_kline(update(kline()))

    assert outlet.take().klines == [[update(kline()), hour]]


def test_tickers_are_conflated_to_the_newest(outlet: Outlet) -> None:
    outlet.put_newest(ticker(1))
    outlet.put_newest(ticker(2))

    assert [number_of(one.record) for one in outlet.take().newest] == [2]
    assert outlet.conflated["ticker"] == 1


def test_symbols_are_written_apart(outlet: Outlet) -> None:
    put(outlet, 10)
    put(outlet, 99, symbol="ETHUSDT")

    assert [(run.symbol, run.first_id) for run in outlet.take().trades] == [(SYMBOL, 10), ("ETHUSDT", 99)]


def test_full_outlet_drops_closed_klines_too() -> None:
    outlet = Outlet([SYMBOL], in_memory(SYMBOL), records_max=1)
    outlet.put_closed_kline(update(kline(0)))
    outlet.put_closed_kline(update(kline(1)))

    assert outlet.dropped["kline"] == 1
    assert outlet.take().klines == [[update(kline(0))]]


def test_side_entries_are_numbered_without_repeat_over_batches(outlet: Outlet) -> None:
    outlet.side.put("quarantine", "BTCUSDT", ("data", "1"))
    first = outlet.take().side
    outlet.side.put("late", "BTCUSDT", ("data", "2"))
    outlet.side.put("late", "BTCUSDT", ("data", "3"))
    second = outlet.take().side

    assert [(entry.kind, entry.symbol, entry.number) for entry in first + second] == [
        ("quarantine", "BTCUSDT", 1),
        ("late", "BTCUSDT", 2),
        ("late", "BTCUSDT", 3),
    ]


def test_side_entries_are_bounded_and_counted_by_kind() -> None:
    outlet = Outlet([SYMBOL], in_memory(SYMBOL), side_max=2)
    outlet.side.put("quarantine", "BTCUSDT", ("data", "1"))
    outlet.side.put("late", "BTCUSDT", ("data", "1"))
    outlet.side.put("late", "BTCUSDT", ("data", "1"))
    outlet.side.put("quarantine", UNKNOWN, ("data", "1"))

    assert len(outlet.take().side) == 2
    assert outlet.dropped == {"kline": 0, "quarantine": 1, "late": 1}


def test_one_batch_takes_a_bounded_number_of_records_and_the_rest_waits() -> None:
    symbols = ["A", "B", "C"]
    outlet = Outlet(symbols, in_memory(*symbols))
    for symbol in symbols:
        fill(outlet, trade(1, symbol=symbol), BATCH_RECORDS_MAX)

    batch = outlet.take()

    assert sum(run.count for run in batch.trades) <= BATCH_RECORDS_MAX
    assert outlet.waiting.is_set()
    taken = list(batch.trades)
    while outlet.waiting.is_set():
        batch = outlet.take()
        assert 0 < sum(run.count for run in batch.trades) <= BATCH_RECORDS_MAX
        taken += batch.trades
    assert outlet.records == 0
    for symbol in symbols:
        assert sum(run.count for run in taken if run.symbol == symbol) == BATCH_RECORDS_MAX


def fill(outlet: Outlet, record: Trade, count: int) -> None:
    for _ in range(count):
        outlet.put_trade(record)


def test_symbol_that_is_removed_takes_along_what_waits_and_stays_in_the_spool() -> None:
    spool = in_memory(SYMBOL, "ETHUSDT")
    outlet = Outlet([SYMBOL, "ETHUSDT"], spool)
    put(outlet, 10, 11, 12)

    assert outlet.remove(SYMBOL) == 3

    assert outlet.records == 0
    assert SYMBOL not in outlet.queues
    assert not outlet.take().trades
    assert spool.oldest_id(SYMBOL) == 10


def test_removed_symbol_that_was_behind_leaves_nothing_to_bring(outlet: Outlet) -> None:
    put(outlet, 10)
    outlet.fall_behind(SYMBOL, 5)

    outlet.remove(SYMBOL)

    assert not outlet.debts.due.is_set()
    assert outlet.records == 0


def test_symbol_that_is_added_is_written_like_the_others(outlet: Outlet) -> None:
    outlet.add("SOLUSDT")

    outlet.put_trade(trade(trade_id=7, symbol="SOLUSDT"))

    assert [run.symbol for run in outlet.take().trades] == ["SOLUSDT"]
