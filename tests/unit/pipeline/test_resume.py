"""Where collection goes on: after the store, after what is held for it, or where the feed begins."""

from __future__ import annotations

import pytest

from data_collector.model.batch import TradeRun
from data_collector.model.protocols import TradeTail
from data_collector.pipeline.lane import Lane
from data_collector.pipeline.outlet import Outlet
from data_collector.pipeline.resume import resume
from tests.market import SYMBOL
from tests.retaining import in_memory


def resumed(tails: dict[str, TradeTail | None], *held: tuple[int, int]) -> Lane:
    """The lane after a start; `held` are runs in the retention: first id and count."""
    kept = in_memory(SYMBOL)
    kept.append([TradeRun(SYMBOL, first_id, [1, "{}"] * count, "1", "", 1, 1) for first_id, count in held])
    outlet = Outlet([SYMBOL], kept)
    resume(outlet, kept, tails)
    return outlet.lanes[SYMBOL]


@pytest.mark.parametrize("tails", [{}, {SYMBOL: None}])
def test_new_symbol_begins_with_the_feed(tails: dict[str, TradeTail | None]) -> None:
    lane = resumed(tails)

    assert (lane.next_id, lane.debt) == (-1, None)


def test_store_that_has_all_of_what_we_hold_goes_on_after_itself() -> None:
    lane = resumed({SYMBOL: TradeTail(5, 20)}, (10, 5))

    assert (lane.next_id, lane.origin_id, lane.resumed_id, lane.debt) == (21, 5, 21, None)


def test_store_that_lacks_the_newest_of_what_we_hold_gets_it() -> None:
    lane = resumed({SYMBOL: TradeTail(5, 12)}, (10, 5), (15, 2))

    assert lane.next_id == 17
    assert lane.debt is not None
    assert (lane.debt.due_id, lane.debt.wiped) == (13, False)


def test_what_was_held_back_behind_a_hole_waits_for_its_turn() -> None:
    lane = resumed({SYMBOL: TradeTail(5, 12)}, (10, 5), (1_000, 1))

    assert lane.next_id == 15


def test_hole_right_behind_the_store_is_left_to_the_feed() -> None:
    lane = resumed({SYMBOL: TradeTail(5, 12)}, (20, 5))

    assert (lane.next_id, lane.debt) == (13, None)


def test_store_that_has_nothing_of_what_we_hold_has_lost_it() -> None:
    lane = resumed({}, (10, 5))

    assert (lane.next_id, lane.origin_id) == (15, -1)
    assert lane.debt is not None
    assert lane.debt.wiped


def test_collection_that_was_only_stopped_goes_on_where_it_was() -> None:
    kept = in_memory(SYMBOL)
    outlet = Outlet([SYMBOL], kept)
    lane = outlet.lanes[SYMBOL]
    lane.next_id = 30

    resume(outlet, kept, {SYMBOL: TradeTail(5, 12)})

    assert (lane.next_id, lane.resumed_id, lane.debt) == (30, 30, None)
