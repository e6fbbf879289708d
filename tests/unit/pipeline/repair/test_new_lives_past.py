"""Ids that began anew and ran past ours while nobody looked."""

from __future__ import annotations

import pytest

from data_collector.pipeline.repair.refill import Reach
from data_collector.pipeline.sequence.new_life import NEW_IDS
from data_collector.pipeline.sequence.trade_sequence import ARBITRATION_S
from tests.market import trade
from tests.unit.pipeline.life_scene import OLD_TAIL, StartScene, new_life, old_life, places
from tests.unit.pipeline.repair_scene import AWAY, NEVER, Answer, RepairScene
from tests.unit.pipeline.sequence.test_new_life import is_suspended, new_trade


@pytest.mark.parametrize(
    ("answers", "passed_over", "first_id"),
    [
        ((new_life(OLD_TAIL),), 0, 0),
        ((new_life(OLD_TAIL)[:1],), 0, 390),
        ((new_life(OLD_TAIL)[:1],), 5, 0),
    ],
    ids=["all of the hole is filled", "its older part is skipped", "ids were passed over behind the stored trade"],
)
def test_start_finds_that_ids_began_anew_and_ran_past_the_stored_tail(
    answers: tuple[Answer, ...], passed_over: int, first_id: int
) -> None:
    """A testnet's reset over a weekend: REST has a later trade under the id of the store's newest one."""
    scene = StartScene(*answers, new_life(OLD_TAIL - NEW_IDS + 1), passed_over=passed_over, first_id=first_id)
    scene.look()
    assert is_suspended(scene)
    assert scene.take().trades == []

    scene.decide()
    assert (scene.sequence.epoch, scene.sequence.next_id) == (1, 402)
    scene.rest.answers = [new_life(0)]
    scene.rest.first_id = 0

    runs = scene.bring()
    assert {run.epoch for run in runs} == {1}
    assert [number for run in runs for number in range(run.first_id, run.first_id + run.count)] == list(range(402))
    assert (runs[0].begins, runs[0].after_id) == (True, OLD_TAIL + passed_over)


def test_trades_of_the_new_life_that_memory_had_no_room_for_do_not_get_into_the_old_one() -> None:
    scene = StartScene(new_life(OLD_TAIL), new_life(OLD_TAIL - NEW_IDS + 1))
    scene.intake.trades.spill(scene.sequence)
    scene.look()
    scene.decide()
    scene.rest.answers = [new_life(0)]

    runs = scene.bring()

    assert {run.epoch for run in runs} == {1}
    assert sum(run.count for run in runs) == 402


def test_outage_of_the_line_in_which_ids_began_anew_ends_in_the_next_epoch() -> None:
    """Nothing was restarted: the newest trade that was let through is still known."""
    scene = RepairScene(new_life(OLD_TAIL))
    scene.send(*(trade(trade_id) for trade_id in range(11, OLD_TAIL + 1)))
    scene.send(new_trade(400), new_trade(401))
    scene.look()

    assert is_suspended(scene)
    assert sum(run.count for run in scene.take().trades) == OLD_TAIL - 10


def test_start_after_which_the_ids_go_on_fills_its_hole() -> None:
    scene = StartScene(old_life())
    scene.look()

    assert not is_suspended(scene)
    assert (scene.sequence.epoch, scene.sequence.next_id) == (0, 402)


def test_exchange_that_takes_back_what_it_said_of_the_stored_tail_is_not_asked_for_ever() -> None:
    """One wrong answer, or a wrong time in the store: the hundred trades before it are those of the old life."""
    scene = StartScene(new_life(OLD_TAIL), old_life(OLD_TAIL - NEW_IDS + 1), new_life(OLD_TAIL))
    scene.look()
    scene.decide()
    assert (is_suspended(scene), scene.sequence.epoch) == (False, 0)

    scene.look()
    scene.look()
    assert (is_suspended(scene), scene.sequence.next_id) == (False, 402)


def test_what_is_spilled_and_held_of_the_new_life_is_stored_where_nothing_is_caught_up() -> None:
    """CATCH_UP_SECONDS=0: ids ran past ours, and memory had no room for the first of what came."""
    scene = StartScene(new_life(OLD_TAIL)[:1], new_life(OLD_TAIL - NEW_IDS + 1), reach=Reach(0, 1_000))
    scene.intake.trades.spill(scene.sequence)
    scene.send(new_trade(402), new_trade(403))
    scene.look()
    scene.decide()

    runs = scene.bring()

    assert (scene.sequence.epoch, scene.sequence.next_id) == (1, 404)
    assert places(runs) == [(1, 400, 2), (1, 402, 2)]
    assert [(run.begins, run.after_id) for run in runs] == [(True, OLD_TAIL), (False, -1)]


@pytest.mark.parametrize(("answer", "epoch"), [(new_life(OLD_TAIL)[:1], 1), (AWAY, 0)])
def test_start_that_fills_nothing_finds_it_too_but_waits_for_no_exchange(answer: Answer, epoch: int) -> None:
    """CATCH_UP_SECONDS=0"""
    scene = StartScene(answer, new_life(OLD_TAIL - NEW_IDS + 1), reach=Reach(0, 1_000))
    scene.look()
    scene.decide()

    assert (scene.sequence.epoch, scene.sequence.next_id) == (epoch, 402)


def test_exchange_that_never_tells_of_the_stored_tail_proves_nothing() -> None:
    scene = StartScene(NEVER, old_life(389), first_id=390)
    scene.look()

    assert (is_suspended(scene), scene.sequence.next_id) == (False, 402)


def test_start_after_a_kill_finds_what_was_spilled_of_the_new_life_and_puts_it_there() -> None:
    """Killed when the epoch was known, and before its first append; CATCH_UP_SECONDS=0."""
    scene = StartScene(new_life(OLD_TAIL)[:1], new_life(OLD_TAIL - NEW_IDS + 1), reach=Reach(0, 1_000))
    scene.intake.trades.spill(scene.sequence)
    scene.look()
    scene.decide()
    scene.outlet.end_runs()

    scene.restart()

    assert (scene.sequence.epoch, scene.sequence.next_id) == (1, -1)
    scene.send(new_trade(402), new_trade(403))
    scene.wait(ARBITRATION_S)
    runs = scene.bring()
    assert places(runs) == [(1, 400, 2), (1, 402, 2)]
    assert [(run.begins, run.after_id) for run in runs] == [(True, OLD_TAIL), (False, -1)]
