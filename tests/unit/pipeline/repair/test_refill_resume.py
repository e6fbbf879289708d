"""Where collection goes on: after the store, after what is held for it, or where the feed begins."""

from __future__ import annotations

import pytest

from data_collector.model.sink import TradeRun, TradeTail
from data_collector.pipeline.outlet.debts import Debt
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.repair.resuming import resume
from data_collector.pipeline.sequence.trade_sequence import TradeSequence
from tests.market import SYMBOL
from tests.retaining import in_memory
from tests.unit.pipeline.intake_scene import runs
from tests.unit.pipeline.repair_scene import RepairScene


class Resumed:
    """What is known after a start."""

    def __init__(self, outlet: Outlet, sequence: TradeSequence) -> None:
        self.next_id = sequence.next_id
        self.resumed_id = sequence.resumed_id
        self.queue = outlet.queues[SYMBOL]
        self.debt: Debt | None = outlet.debts.get(SYMBOL)
        assert self.queue.next_id == self.next_id


def resumed(tails: dict[str, TradeTail | None], *held: tuple[int, int]) -> Resumed:
    """After a start; `held` are runs in the spool: first id and count."""
    kept = in_memory(SYMBOL)
    kept.append([TradeRun(SYMBOL, first_id, [1, "{}"] * count, "1", "", 1, 1) for first_id, count in held])
    outlet = Outlet([SYMBOL], kept)
    sequence = TradeSequence(SYMBOL)
    resume([sequence], outlet, kept, tails)
    return Resumed(outlet, sequence)


@pytest.mark.parametrize("tails", [{}, {SYMBOL: None}])
def test_new_symbol_begins_with_the_feed(tails: dict[str, TradeTail | None]) -> None:
    after = resumed(tails)

    assert (after.next_id, after.debt) == (-1, None)


def test_store_that_has_all_of_what_we_hold_goes_on_after_itself() -> None:
    after = resumed({SYMBOL: TradeTail(5, 20)}, (10, 5))

    assert (after.next_id, after.queue.origin_id, after.resumed_id, after.debt) == (21, 5, 21, None)


def test_store_that_lacks_the_newest_of_what_we_hold_gets_it() -> None:
    after = resumed({SYMBOL: TradeTail(5, 12)}, (10, 5), (15, 2))

    assert after.next_id == 17
    assert after.debt is not None
    assert (after.debt.due_id, after.debt.wiped) == (13, False)


def test_what_was_held_back_behind_a_hole_waits_for_its_turn() -> None:
    after = resumed({SYMBOL: TradeTail(5, 12)}, (10, 5), (1_000, 1))

    assert after.next_id == 15


def test_hole_right_behind_the_store_is_left_to_the_feed() -> None:
    after = resumed({SYMBOL: TradeTail(5, 12)}, (20, 5))

    assert (after.next_id, after.debt) == (13, None)


def test_store_that_has_nothing_of_what_we_hold_has_lost_it() -> None:
    after = resumed({}, (10, 5))

    assert (after.next_id, after.queue.origin_id) == (15, -1)
    assert after.debt is not None
    assert after.debt.wiped


def test_collection_that_was_only_stopped_goes_on_where_it_was() -> None:
    kept = in_memory(SYMBOL)
    outlet = Outlet([SYMBOL], kept)
    sequence = TradeSequence(SYMBOL)
    sequence.resume(30)

    resume([sequence], outlet, kept, {SYMBOL: TradeTail(5, 12)})

    assert (sequence.next_id, sequence.resumed_id, outlet.debts.get(SYMBOL)) == (30, 30, None)


def test_where_nothing_could_be_stored_one_run_is_tried_before_the_others() -> None:
    """Somebody else's entry is in the way: what waits is not given to the store again and again."""
    scene = RepairScene([])
    for number in range(11, 31):
        scene.outlet.keep_only([TradeRun(SYMBOL, number, [1, '{"trade_id":1}'], "1", "", 1, 1)])
        scene.skip_to(number + 1)
    scene.outlet.end_runs()
    scene.outlet.fall_behind(SYMBOL, 11)
    debt = scene.outlet.debts.get(SYMBOL)
    assert debt is not None
    debt.probes = True

    scene.look()
    assert runs(scene.take()) == [(11, 1)]
    scene.look()
    assert runs(scene.take()) == []
    scene.look(1.0)
    assert [first for first, _ in runs(scene.take())] == list(range(12, 31))
