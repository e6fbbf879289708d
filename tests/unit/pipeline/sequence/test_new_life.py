"""Trade ids that begin anew, and what only looks like it."""

from __future__ import annotations

import json

from data_collector.model.records import Trade
from data_collector.pipeline.sequence.new_life import NEW_IDS
from data_collector.pipeline.sequence.trade_sequence import ARBITRATION_S
from tests.market import NOON_MS, SYMBOL, trade
from tests.unit.pipeline.intake_scene import COPIES, Scene, gap_of, rules, runs

LATER_MS = NOON_MS + 60_000
TAIL = 5_000_000


def new_trade(trade_id: int, *, time_ms: int = LATER_MS) -> Trade:
    """One of the ids that begin anew."""
    return trade(trade_id, price="0.50", time_ms=time_ms, event_ms=time_ms + 1)


def new_trades(first_id: int, count: int = NEW_IDS) -> list[Trade]:
    return [new_trade(trade_id) for trade_id in range(first_id, first_id + count)]


def is_suspended(scene: Scene) -> bool:
    return SYMBOL in scene.intake.trades.lives.suspended


def test_hundred_new_ids_in_a_row_suspend_the_symbol(scene: Scene) -> None:
    scene.begin(TAIL)
    scene.send(*new_trades(0, NEW_IDS - 1))
    assert not is_suspended(scene)

    scene.send(new_trade(NEW_IDS - 1))
    scene.send(*new_trades(NEW_IDS, 500))

    assert is_suspended(scene)
    assert runs(scene.take()) == [(TAIL, 1)]
    assert (scene.sequence.new_life.first_id, scene.sequence.new_life.next_id) == (0, NEW_IDS + 500)


def test_copies_of_a_second_line_do_not_disturb_the_row(scene: Scene) -> None:
    scene.begin(TAIL)
    for trade_id in range(NEW_IDS):
        scene.send(new_trade(trade_id), new_trade(max(0, trade_id - 3)))

    assert is_suspended(scene)


def test_line_that_joins_late_and_is_ahead_does_not_begin_the_row_anew(scene: Scene) -> None:
    scene.begin(TAIL)
    for trade_id in range(NEW_IDS + 2):
        scene.send(new_trade(trade_id), *new_trades(trade_id + 3, int(trade_id > 50)))

    assert is_suspended(scene)
    assert scene.sequence.new_life.first_id == 0


def test_line_that_joins_late_and_is_behind_does_not_begin_the_row_anew(scene: Scene) -> None:
    """The first of the two has missed the beginning."""
    scene.begin(TAIL)
    for trade_id in range(NEW_IDS):
        scene.send(new_trade(trade_id + 3), new_trade(trade_id))

    assert is_suspended(scene)
    assert scene.sequence.new_life.first_id == 0


def test_market_with_few_ids_never_reaches_the_old_ones(scene: Scene) -> None:
    """Ids that begin anew grow until they are due in the old life, where they must not pass."""
    scene.begin(150)
    scene.send(*new_trades(0, 300))

    assert is_suspended(scene)
    assert runs(scene.take()) == [(150, 1)]
    assert scene.counters.value("data_collector_trade_conflicts_total") == 0


def test_old_life_without_a_hundred_ids_is_told_from_the_new_one(scene: Scene) -> None:
    """A listing with 50 trades, and the new one under its name."""
    scene.begin(49)
    scene.send(*new_trades(0, 60))

    assert is_suspended(scene)
    assert runs(scene.take()) == [(49, 1)]


def test_new_ids_that_reach_the_stored_tail_after_a_start_do_not_pass_it(scene: Scene) -> None:
    """The first trade that comes has an id only 20 below the stored one."""
    scene.sequence.resume(TAIL + 1, newest_ms=NOON_MS + 123, stored_id=TAIL)
    scene.outlet.resume(SYMBOL, TAIL + 1)
    scene.send(*new_trades(TAIL - 20, 40))

    assert is_suspended(scene)
    assert runs(scene.take()) == []


def test_old_trades_of_strangers_between_honest_ones_suspend_nothing(scene: Scene) -> None:
    """120 old ids, from strangers, between honest trades."""
    scene.begin(TAIL)
    for number in range(120):
        scene.send(trade(number), trade(TAIL + 1 + number))

    assert not is_suspended(scene)
    assert scene.sequence.next_id == TAIL + 121
    assert scene.sequence.new_life.first is None


def test_fresh_trades_of_strangers_between_honest_ones_suspend_nothing(scene: Scene) -> None:
    scene.begin(TAIL)
    for number in range(120):
        scene.send(new_trade(number, time_ms=LATER_MS + 2 * number))
        scene.send(new_trade(TAIL + 1 + number, time_ms=LATER_MS + 2 * number + 1))

    assert not is_suspended(scene)


def test_old_trades_that_are_shown_again_suspend_nothing(scene: Scene) -> None:
    scene.begin(TAIL)
    scene.send(*(trade(number, event_ms=LATER_MS + 120_000) for number in range(120)))

    assert not is_suspended(scene)


def test_trade_of_the_old_life_waits_for_the_answer_and_is_let_through_when_its_ids_go_on(scene: Scene) -> None:
    scene.begin(TAIL)
    scene.send(*new_trades(0))
    scene.send(trade(TAIL + 3))
    assert is_suspended(scene)

    scene.intake.trades.lives.go_on(SYMBOL)

    assert gap_of(scene) == (TAIL + 1, TAIL + 2)
    scene.send(trade(TAIL + 1), trade(TAIL + 2))
    assert runs(scene.take()) == [(TAIL, 4)]
    assert scene.counters.value(COPIES, channel="trade") == NEW_IDS


def test_ids_that_jump_across_the_due_one_do_not_join_two_lives(scene: Scene) -> None:
    """A reconnect in the suspension has left out 160 ids, the due one among them."""
    scene.begin(150)
    scene.send(*new_trades(0), *new_trades(260, 3))

    assert is_suspended(scene)
    scene.intake.trades.lives.begin_epoch(SYMBOL)
    assert gap_of(scene) == (NEW_IDS, 259)
    scene.send(*new_trades(NEW_IDS, 160))
    scene.outlet.end_runs()
    assert scene.kept.end_id(scene.queue.place, 0) == 263


def test_trades_that_showed_the_new_life_are_stored_in_it_and_counted_once(scene: Scene) -> None:
    scene.begin(TAIL)
    before = scene.counts[0]
    for trade_id in range(NEW_IDS + 20):
        scene.send(new_trade(trade_id), new_trade(max(0, trade_id - 3)))
    assert is_suspended(scene)

    scene.intake.trades.lives.begin_epoch(SYMBOL)
    scene.outlet.end_runs()

    assert (scene.kept.oldest_id(scene.queue.place), scene.sequence.next_id) == (0, NEW_IDS + 20)
    assert scene.counts[0] - before == NEW_IDS + 20
    assert scene.counters.value(COPIES, channel="trade") == NEW_IDS + 20


def test_row_that_was_no_new_life_is_counted_as_copies_and_quarantined(scene: Scene) -> None:
    scene.begin(TAIL)
    scene.send(*new_trades(0, 20), trade(TAIL), *new_trades(0, 20), new_trade(TAIL + 1), trade(TAIL))

    assert scene.counters.value(COPIES, channel="trade") == 20 + 1 + 20 + 1
    assert [rules(entry) for entry in scene.take_side()] == [["trade_id_conflict"]] * 20


def test_new_life_that_is_decided_late_keeps_what_there_is_room_for_and_the_rest_is_a_hole_as_at_a_start(
    scene: Scene,
) -> None:
    room = len(scene.sequence.recent)
    scene.begin(TAIL)
    scene.send(*new_trades(0, room + 500))

    scene.intake.trades.lives.begin_epoch(SYMBOL)
    assert (scene.sequence.next_id, scene.sequence.resumed_id) == (room, room)
    scene.send(new_trade(room + 500))

    assert gap_of(scene) == (room, room + 499)


def test_new_ids_that_fall_into_a_hole_of_the_old_life_suspend_the_symbol(scene: Scene) -> None:
    scene.begin(10)
    scene.intake.trades.pass_over(scene.sequence, 9_999, "skipped")
    scene.send(*(trade(10_000 + number) for number in range(5)))
    scene.take()
    scene.send(*new_trades(600))

    assert is_suspended(scene)
    assert scene.take_side() == []


def test_late_trades_of_a_hole_that_nothing_has_followed_yet_are_no_new_life(scene: Scene) -> None:
    scene.begin(10)
    scene.intake.trades.pass_over(scene.sequence, 500, "lost")
    scene.send(*new_trades(11))

    assert not is_suspended(scene)
    assert len(scene.take_side()) == NEW_IDS


def test_row_goes_on_behind_missing_ids_and_neither_at_a_stray_nor_at_an_old_trade(scene: Scene) -> None:
    scene.begin(TAIL)
    scene.send(*new_trades(0))
    scene.send(new_trade(TAIL - 1), trade(TAIL - 10), trade(TAIL - 9))
    assert scene.sequence.new_life.next_id == NEW_IDS

    scene.send(*new_trades(3 * NEW_IDS, 2))
    assert scene.sequence.new_life.next_id == 3 * NEW_IDS + 2


def test_epoch_begins_behind_all_that_is_held_of_the_one_before(scene: Scene) -> None:
    scene.begin(TAIL)
    scene.send(trade(TAIL + 2))
    scene.send(*new_trades(0))

    scene.intake.trades.lives.begin_epoch(SYMBOL)
    scene.send(*new_trades(NEW_IDS, 2))
    scene.wait(ARBITRATION_S)

    assert runs(scene.take()) == [(TAIL, 1)]
    debt = scene.outlet.debts.get(SYMBOL)
    assert debt is not None
    assert (debt.epoch, debt.due_id) == (0, TAIL + 1)
    scene.outlet.end_runs()
    assert scene.kept.newest_id(SYMBOL) == TAIL + 2
    assert scene.kept.oldest_id(scene.queue.place) == 0
    assert scene.kept.newest_epoch(SYMBOL) == 1


def test_after_another_collector_began_it_the_feed_goes_on_where_the_store_stands(scene: Scene) -> None:
    scene.begin(TAIL)
    scene.send(*new_trades(0))

    scene.intake.trades.lives.adopt_epoch(SYMBOL, 1, 103)
    scene.send(new_trade(105))

    assert gap_of(scene) == (103, 104)
    assert scene.queue.epoch == 1


def test_feed_that_lags_behind_the_collector_that_began_an_epoch_begins_no_further_one(scene: Scene) -> None:
    scene.begin(TAIL)
    scene.send(*new_trades(0))

    scene.intake.trades.lives.adopt_epoch(SYMBOL, 1, 3 * NEW_IDS)
    scene.send(*new_trades(NEW_IDS, 2 * NEW_IDS + 2))

    assert not is_suspended(scene)
    assert runs(scene.take())[-1] == (3 * NEW_IDS, 2)


def test_held_trade_that_was_never_judged_is_refused_before_it_is_spilled(scene: Scene) -> None:
    """A fuzz run found it: the symbol was suspended, and the time lay behind the year 9999."""
    scene.begin(TAIL)
    scene.send(*new_trades(0))
    scene.send(trade(TAIL + 1), trade(TAIL + 2, price="0"), trade(TAIL + 3, time_ms=-(10**36)))

    scene.intake.trades.lives.begin_epoch(SYMBOL)

    batch = scene.take()
    assert runs(batch) == [(TAIL, 1)]
    assert [json.loads(entry.fields[1])["trade_id"] for entry in batch.side] == [TAIL + 2, TAIL + 3]
    scene.outlet.end_runs()
    assert scene.kept.newest_id(SYMBOL) == TAIL + 1
