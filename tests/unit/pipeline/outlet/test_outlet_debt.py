"""The outlet and a store that is behind: everything is in the spool, and what waits follows what the store has."""

from __future__ import annotations

import asyncio

import pytest

from data_collector.model.sink import TradeRun
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.spool.spool import Spool
from tests.market import SYMBOL
from tests.retaining import in_memory
from tests.unit.pipeline.outlet_scene import ids_of, put


@pytest.fixture
def outlet() -> Outlet:
    return Outlet([SYMBOL, "ETHUSDT"], in_memory(SYMBOL, "ETHUSDT"))


def read(kept: Spool, first_id: int) -> list[int]:
    return [number for run in asyncio.run(kept.read(SYMBOL, first_id, trades_max=10**6)) for number in ids_of(run)]


def test_every_run_goes_to_the_spool_too() -> None:
    kept = in_memory(SYMBOL)
    outlet = Outlet([SYMBOL], kept)
    put(outlet, 10, 11)
    outlet.take()
    put(outlet, 12)
    outlet.end_runs()

    assert read(kept, 10) == [10, 11, 12]


def test_run_that_was_gathered_does_not_change_what_waits_for_the_store() -> None:
    kept = in_memory(SYMBOL)
    outlet = Outlet([SYMBOL], kept)
    put(outlet, 10)
    (run,) = outlet.take().trades
    put(outlet, 11)
    outlet.take()
    outlet.end_runs()

    assert ids_of(run) == [10]
    assert read(kept, 10) == [10, 11]


def test_store_that_is_behind_makes_a_debt_and_what_waits_is_dropped(outlet: Outlet) -> None:
    put(outlet, 10, 11)

    outlet.fall_behind(SYMBOL, 5)

    debt = outlet.debts.get(SYMBOL)
    assert debt is not None
    assert (debt.due_id, debt.wiped) == (5, False)
    assert outlet.debts.due.is_set()
    assert outlet.records == 0
    assert outlet.take().trades == []


def test_store_that_has_nothing_is_in_debt_without_a_beginning(outlet: Outlet) -> None:
    put(outlet, 10)
    outlet.catch_up(SYMBOL, begins=True)

    outlet.fall_behind(SYMBOL, None)

    debt = outlet.debts.get(SYMBOL)
    assert debt is not None
    assert debt.wiped
    put(outlet, 11)
    assert not outlet.queues[SYMBOL].begins


def test_while_in_debt_new_trades_go_to_the_spool_alone() -> None:
    kept = in_memory(SYMBOL)
    outlet = Outlet([SYMBOL], kept)
    put(outlet, 10)
    outlet.fall_behind(SYMBOL, 10)
    put(outlet, 11, 12)

    assert outlet.take().trades == []
    assert outlet.records == 0
    outlet.end_runs()
    assert read(kept, 10) == [10, 11, 12]


def test_debt_is_over_when_all_symbols_have_caught_up(outlet: Outlet) -> None:
    put(outlet, 10)
    put(outlet, 20, symbol="ETHUSDT")
    outlet.fall_behind(SYMBOL, 10)
    outlet.fall_behind("ETHUSDT", 20)

    outlet.catch_up(SYMBOL)
    assert outlet.debts.due.is_set()
    outlet.catch_up("ETHUSDT")

    assert not outlet.debts.due.is_set()
    put(outlet, 11)
    assert [run.first_id for run in outlet.take().trades] == [11]


def test_runs_that_were_brought_come_first(outlet: Outlet) -> None:
    put(outlet, 10, 11)
    (run,) = outlet.take().trades
    outlet.bring(SYMBOL, [run])
    put(outlet, 12)

    assert outlet.records == 3
    assert [one.first_id for one in outlet.take().trades] == [10, 12]
    assert outlet.records == 0


def test_kept_run_follows_unless_the_symbol_is_in_debt(outlet: Outlet) -> None:
    put(outlet, 10)
    (run,) = outlet.take().trades
    outlet.put_kept(SYMBOL, [run])
    assert [one.first_id for one in outlet.take().trades] == [10]

    outlet.fall_behind(SYMBOL, 10)
    outlet.put_kept(SYMBOL, [run])
    assert outlet.take().trades == []


def test_kept_run_that_memory_has_no_room_for_makes_a_debt() -> None:
    outlet = Outlet([SYMBOL], in_memory(SYMBOL), records_max=2)
    put(outlet, 9)
    outlet.put_kept(SYMBOL, [TradeRun(SYMBOL, number, [1, "{}"], "1", "", 1, 1) for number in (10, 11)])

    debt = outlet.debts.get(SYMBOL)
    assert debt is not None
    assert debt.due_id == 11
    assert outlet.spooled_only == 1


def test_full_outlet_leaves_new_trades_to_the_spool_and_the_store_in_debt() -> None:
    kept = in_memory(SYMBOL)
    outlet = Outlet([SYMBOL], kept, records_max=3)
    put(outlet, 10, 11)
    outlet.end_run(SYMBOL)
    put(outlet, *range(12, 16))
    outlet.end_run(SYMBOL)

    debt = outlet.debts.get(SYMBOL)
    assert debt is not None
    assert (debt.due_id, outlet.spooled_only, outlet.records) == (12, 4, 2)
    assert [ids_of(run) for run in outlet.take().trades] == [[10, 11]]
    outlet.end_runs()
    assert read(kept, 12) == [12, 13, 14, 15]


def test_run_that_begins_an_epoch_names_the_tail_of_the_one_before() -> None:
    outlet = Outlet([SYMBOL], in_memory(SYMBOL))
    outlet.queues[SYMBOL].begin_epoch(1, 5)
    outlet.catch_up(SYMBOL, begins=True, after_id=150)
    put(outlet, 5)
    outlet.end_run(SYMBOL)
    put(outlet, 6)

    assert [(run.begins, run.after_id) for run in outlet.take().trades] == [(True, 150), (False, -1)]
