"""Trades in the intake: where a symbol begins, what waits, and what becomes of what is missing."""

from __future__ import annotations

import pytest

from data_collector.pipeline.sequence import holdback as holdback_module
from data_collector.pipeline.sequence.trade_sequence import ARBITRATION_S
from tests.market import NOON_MS, SYMBOL, ticker, trade
from tests.unit.pipeline.intake_scene import COPIES, Scene, gap_of, gaps, rules, runs


def test_first_trades_wait_for_earlier_ones_of_another_line(scene: Scene) -> None:
    scene.send(trade(12), trade(11))
    assert not scene.take()

    scene.send(trade(10))
    scene.wait(ARBITRATION_S)

    (run,) = scene.take().trades
    assert (run.first_id, run.count, run.begins, run.gaps) == (10, 3, True, [])


def test_later_run_begins_nothing(scene: Scene) -> None:
    scene.begin()
    scene.take()
    scene.send(trade(11))

    assert [run.begins for run in scene.take().trades] == [False]


def test_first_trade_waits_until_something_confirms_its_id(scene: Scene) -> None:
    scene.send(trade(10))
    scene.wait(60)

    assert scene.counts == (0, 0, 0)
    assert not scene.take()


def test_second_trade_confirms_the_first(scene: Scene) -> None:
    scene.send(trade(10), trade(10), trade(11))
    scene.wait(ARBITRATION_S)

    assert scene.counts == (2, 2, 0)
    assert runs(scene.take()) == [(10, 2)]
    assert scene.counters.value(COPIES, channel="trade") == 1


def test_hole_between_the_first_trades_is_a_gap(scene: Scene) -> None:
    scene.send(trade(10), trade(12))
    scene.wait(ARBITRATION_S)

    assert runs(scene.take()) == [(10, 1)]
    assert gap_of(scene) == (11, 11)


def test_ticker_confirms_the_first_trade_before_or_after_it(scene: Scene) -> None:
    scene.send(trade(10))
    scene.wait(ARBITRATION_S)
    scene.send(ticker(first_id=1, last_id=9))

    assert scene.counts == (2, 2, 0)
    assert runs(scene.take()) == [(10, 1)]


def test_poisoned_first_trade_is_refused_when_the_real_ones_come(scene: Scene) -> None:
    scene.send(trade(2**50), trade(10), trade(11))
    scene.wait(ARBITRATION_S)

    batch = scene.take()
    assert scene.counts == (3, 2, 1)
    assert runs(batch) == [(10, 2)]
    assert [rules(entry) for entry in batch.side] == [["trade_id_jump"]]


def test_first_trade_that_nothing_confirms_is_not_kept_for_the_next_start(scene: Scene) -> None:
    scene.send(trade(2**50))

    scene.intake.release_held(everything=True)

    assert scene.kept.newest_id(SYMBOL) is None


def test_first_trades_that_never_end_are_begun_with_when_memory_is_full(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_collector.pipeline.sequence.trade_intake.HELD_MAX", 3)
    scene.send(trade(12), trade(11), trade(10), trade(13))

    assert runs(scene.take()) == [(10, 4)]
    scene.send(trade(14))
    assert scene.sequence.next_id == 15


def test_first_trades_that_are_not_believed_when_memory_is_full_wait_no_longer(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_collector.pipeline.sequence.trade_intake.HELD_MAX", 3)
    scene.send(trade(2**50), trade(10), trade(11), trade(2**51))

    waiting = scene.intake.trades.holdback
    assert (scene.sequence.next_id, len(scene.sequence.held), waiting.count) == (10, 2, 2)


def test_trade_that_is_ahead_waits_and_opens_a_gap(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(15))
    scene.wait(60)

    assert runs(scene.take()) == [(10, 1)]
    assert gap_of(scene) == (11, 14)
    assert scene.intake.trades.holdback.waiting.is_set()


def test_trade_that_came_ahead_and_is_older_than_those_before_it_waits_for_the_true_one(scene: Scene) -> None:
    """Told four ids ahead of its own: the honest ones come up to that id."""
    scene.begin()
    scene.take()
    told = [trade(11 + number, time_ms=NOON_MS + 1_000 * number) for number in range(4)]
    scene.send(trade(14, time_ms=NOON_MS, price="1.5"), *told)

    batch = scene.take()
    assert runs(batch) == [(11, 4)]
    assert [rules(entry) for entry in batch.side] == [["trade_id_jump"]]
    stored = scene.intake.trades.sequences[SYMBOL].known(14)
    assert stored is not None
    assert stored.price == told[-1].price


def test_gap_closes_when_a_twin_line_brings_what_was_missing(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(13), trade(12), trade(11))

    assert runs(scene.take()) == [(10, 4)]
    assert gap_of(scene) is None
    assert not scene.intake.trades.holdback.waiting.is_set()


def test_gap_shrinks_from_both_ends(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(15), trade(11), trade(13))

    assert gap_of(scene) == (11, 12)
    scene.send(trade(12))
    assert gap_of(scene) == (14, 14)


def test_copy_of_what_waits_is_a_copy(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(15), trade(15))

    assert scene.counters.value(COPIES, channel="trade") == 1


def test_repaired_trade_is_let_through_in_its_turn_only_and_marked_with_its_source(scene: Scene) -> None:
    scene.begin()
    scene.take()
    scene.send(trade(12))
    for trade_id in (12, 11, 10):
        scene.intake.trades.take_repaired(scene.sequence, trade(trade_id, received_ns=0))
    scene.intake.trades.release(scene.sequence)

    (run,) = scene.take().trades
    assert (run.first_id, run.count) == (11, 2)
    assert run.entries[::2] == [f"{NOON_MS + 123}  rest", NOON_MS + 123]


def test_repaired_trade_that_is_refused_is_passed_over_at_once(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(12))
    scene.intake.trades.take_repaired(scene.sequence, trade(11, price="0", received_ns=0))
    scene.intake.trades.release(scene.sequence)

    batch = scene.take()
    assert runs(batch) == [(10, 1), (12, 1)]
    assert gaps(batch) == [(11, 11, "refused")]
    assert list(batch.trades[1].refused) == [11]


def test_what_is_passed_over_is_explained_by_the_next_run_and_told(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(12, price="0"), trade(15))

    scene.intake.trades.pass_over(scene.sequence, 14, "lost")
    scene.intake.trades.release(scene.sequence)

    batch = scene.take()
    assert gaps(batch) == [(11, 11, "lost"), (12, 12, "refused"), (13, 14, "lost")]
    assert runs(batch) == [(10, 1), (15, 1)]
    lives = reversed(scene.ledger.status().closed)
    told = [(life.key.symbol, life.first, life.last, reason) for life in lives for reason in life.given_up]
    assert told == [(SYMBOL, *gap) for gap in gaps(batch)]


def test_what_was_let_through_is_not_passed_over(scene: Scene) -> None:
    scene.begin()
    scene.intake.trades.pass_over(scene.sequence, 9, "lost")

    assert scene.sequence.next_id == 11
    assert gaps(scene.take()) == []


def test_gaps_of_one_reason_that_adjoin_are_one(scene: Scene) -> None:
    scene.begin()
    for last_id in (12, 14):
        scene.intake.trades.pass_over(scene.sequence, last_id, "absent")

    batch = scene.take()
    assert gaps(batch) == [(11, 14, "absent")]
    assert runs(batch) == [(10, 1), (15, 0)]


def test_what_memory_has_no_room_for_waits_in_the_spool_and_is_read_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdback_module, "HELD_MAX", 3)
    scene.begin()
    scene.send(*(trade(number) for number in range(12, 18)))

    assert scene.sequence.held == {}
    assert gap_of(scene) == (11, 11)
    assert scene.counters.value("data_collector_trades_spilled_total") == 6
    scene.send(trade(11))
    assert gap_of(scene) == (12, 17)
    scene.read_back(12)
    scene.intake.trades.release(scene.sequence)

    batch = scene.take()
    assert [number for first, count in runs(batch) for number in range(first, first + count)] == list(range(10, 18))
    assert gap_of(scene) is None
    assert scene.counts == (9, 9, 0)


def test_held_copy_of_what_was_read_back_is_a_copy(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(12), trade(13))
    scene.intake.trades.spill(scene.sequence)
    scene.send(trade(13), trade(14), trade(11))
    scene.read_back(12)
    scene.intake.trades.release(scene.sequence)

    assert scene.sequence.next_id == 15
    assert scene.counters.value(COPIES, channel="trade") == 1


def test_runs_that_do_not_follow_are_left(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(12), trade(13))
    scene.intake.trades.spill(scene.sequence)

    scene.read_back(12)

    assert scene.sequence.next_id == 11


def test_what_waits_beyond_a_gap_is_kept_at_the_end(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(12))

    scene.intake.release_held(everything=True)
    scene.outlet.end_runs()

    assert scene.kept.newest_id(SYMBOL) == 12
    assert scene.kept.end_id(SYMBOL, 10) == 11


def test_trades_that_the_exchange_does_not_know_are_refused(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(500))

    scene.intake.trades.refuse_held(scene.sequence)

    batch = scene.take()
    assert [rules(entry) for entry in batch.side] == [["trade_id_jump"]]
    assert gap_of(scene) is None
    assert scene.sequence.next_id == 11
    assert scene.counts == (3, 2, 1)


def test_refused_frames_that_run_ahead_take_no_place_of_the_good_ones(scene: Scene) -> None:
    """60 refused frames with ids 200 ahead; the good trades come later, in order, one every two seconds or faster."""
    scene.begin()
    scene.send(*(trade(trade_id, price="-1") for trade_id in range(211, 271)))
    for trade_id in range(11, 280):
        scene.wait(0.05 if trade_id < 211 else 2.0)
        scene.send(trade(trade_id))

    batch = scene.take()
    assert gaps(batch) == []
    assert sum(count for _, count in runs(batch)) == 270
    assert scene.counters.value("data_collector_records_late_total", channel="trade") == 0


def test_trades_that_are_all_refused_are_passed_over_as_fast_as_they_come(scene: Scene) -> None:
    scene.begin()
    for trade_id in range(11, 1_011):
        scene.send(trade(trade_id, price="-1"))
        scene.wait(0.02)
    scene.send(trade(1_011))
    scene.wait(2 * ARBITRATION_S)

    batch = scene.take()
    assert gaps(batch) == [(11, 1_010, "refused")]
    assert scene.sequence.next_id == 1_012


def test_good_copy_in_the_place_of_a_refused_one_leaves_nothing_to_wait_for(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(11, price="0"), trade(11), trade(12))

    assert scene.sequence.refused_s == {}
    assert not scene.intake.trades.holdback.sequences


def test_spilled_trade_that_the_spool_lost_is_counted_once(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(12), trade(13))
    scene.intake.trades.spill(scene.sequence)

    scene.send(trade(11))
    for trade_id in (12, 13):
        scene.intake.trades.take_repaired(scene.sequence, trade(trade_id, received_ns=0))

    assert scene.sequence.next_id == 14
    assert scene.counts == (5, 5, 0)


def test_held_trades_are_in_flight(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(12), trade(13))

    assert scene.intake.trades.holdback.count == 2
