"""Gaps of the feed: filled from the spool or the exchange, explained, or lost after the deadline."""

from __future__ import annotations

import asyncio

import pytest

from data_collector.model.errors import VenueUnreachable
from data_collector.pipeline.gaps.attempts import RETRY_CAP_S
from data_collector.pipeline.gaps.left_out import CONFIRMED_S
from data_collector.pipeline.repair.refill import Reach
from data_collector.pipeline.repair.trade_repair import URGENT_TRADES
from data_collector.pipeline.sequence.trade_sequence import HEAD_S
from tests.market import SYMBOL, ticker, trade
from tests.unit.pipeline.intake_scene import gaps, rules, runs
from tests.unit.pipeline.repair_scene import AWAY, NEVER, RepairScene


def test_nothing_is_asked_within_the_arbitration_time() -> None:
    scene = RepairScene([10, 11, 12])
    scene.send(trade(12))

    scene.look(0.1)

    assert scene.rest.asked == []


def test_gap_is_filled_from_the_exchange() -> None:
    scene = RepairScene([10, 11, 12, 13])
    scene.send(trade(12))

    scene.look()

    assert scene.rest.asked == [10]
    assert scene.rest.urgent == [True]
    assert runs(scene.take()) == [(11, 2)]
    assert scene.sequence.gap is None
    assert scene.closed() == [(11, 11, {"rest": 1}, {})]


def test_gap_that_the_twin_line_closed_in_time_is_no_story() -> None:
    scene = RepairScene([])
    scene.send(trade(12), trade(11))

    scene.look()

    assert scene.rest.asked == []
    assert scene.closed() == []


def test_what_a_stream_brings_late_is_told_so() -> None:
    scene = RepairScene(AWAY, [10, 11, 12, 13])
    scene.send(trade(15))
    scene.look()
    scene.send(trade(14), trade(12))

    scene.look(10)
    scene.look()
    scene.look()

    assert scene.ledger.status().open_count == 0
    assert runs(scene.take()) == [(11, 5)]
    assert scene.sequence.gap is None
    ((first, last, healed, given_up),) = scene.closed()
    assert (first, last, given_up) == (11, 14, {})
    assert sum(healed.values()) == 4
    assert healed["ws"] >= 1


def test_gap_that_a_stream_closed_after_all_is_over_in_the_ledger() -> None:
    scene = RepairScene(AWAY)
    scene.send(trade(13))
    scene.look()
    scene.send(trade(11), trade(12))

    scene.look()

    assert scene.closed() == [(11, 12, {"ws": 2}, {})]


def test_large_gap_is_asked_for_page_by_page_and_is_not_urgent() -> None:
    far = 20 + URGENT_TRADES
    page = [10 + number for number in range(1_000)]
    scene = RepairScene(page, [page[-1], page[-1] + 1])
    scene.send(trade(far))

    scene.look()
    scene.look()

    assert scene.rest.asked == [10, page[-1]]
    assert scene.rest.urgent == [False, True]
    assert scene.sequence.next_id == page[-1] + 2


def test_what_two_answers_leave_out_is_absent() -> None:
    scene = RepairScene([10, 13, 16])
    scene.send(trade(16))

    scene.look()
    scene.look(CONFIRMED_S / 2)
    assert gaps(scene.take()) == []
    scene.look(CONFIRMED_S / 2)

    batch = scene.take()
    assert gaps(batch) == [(11, 12, "absent"), (14, 15, "absent")]
    assert runs(batch) == [(13, 1), (16, 1)]
    assert scene.closed() == [(11, 15, {"rest": 1}, {"absent": 4})]


def test_what_one_answer_alone_leaves_out_is_not_absent() -> None:
    """It came from where they had not arrived."""
    scene = RepairScene([10, 14], [10, 11, 13, 14])
    scene.send(trade(14))

    scene.look()
    scene.look(CONFIRMED_S)
    assert gaps(scene.take()) == []
    assert scene.sequence.next_id == 12
    scene.look(CONFIRMED_S)

    assert gaps(scene.take()) == [(12, 12, "absent")]
    assert scene.sequence.next_id == 15


def test_answer_that_does_not_reach_both_sides_proves_nothing() -> None:
    scene = RepairScene([10], [13, 14])
    scene.send(trade(13))

    scene.look()
    scene.look(1)

    assert gaps(scene.take()) == []
    assert scene.sequence.next_id == 11


def test_refused_trade_of_the_exchange_is_passed_over() -> None:
    scene = RepairScene([trade(10), trade(11, price="0", received_ns=0), trade(12)])
    scene.send(trade(12))

    scene.look()

    batch = scene.take()
    assert gaps(batch) == [(11, 11, "refused")]
    assert scene.closed() == [(11, 11, {}, {"refused": 1})]


def test_refused_id_waits_its_time_and_is_not_asked_for() -> None:
    scene = RepairScene([])
    scene.send(trade(11, price="0"), trade(12))

    scene.look()

    assert scene.rest.asked == []
    assert gaps(scene.take()) == [(11, 11, "refused")]


def test_question_that_failed_is_asked_again_no_sooner_than_the_exchange_wants() -> None:
    scene = RepairScene(AWAY, [10, 11, 12])
    scene.send(trade(12))
    scene.look()
    scene.look(6.9)
    assert len(scene.rest.asked) == 1

    scene.look(0.2)

    assert len(scene.rest.asked) == 2
    assert scene.sequence.gap is None


def test_pauses_grow_up_to_a_cap_and_then_what_nobody_gave_is_lost() -> None:
    scene = RepairScene(VenueUnreachable("The exchange is away."))
    scene.send(trade(13), trade(14))
    seconds = 0.0
    while scene.sequence.gap is not None and seconds < 700:
        scene.look(1.0)
        seconds += 1.0

    assert 599 <= seconds <= 600 + RETRY_CAP_S + 1
    assert len(scene.rest.asked) < 35
    batch = scene.take()
    assert gaps(batch) == [(11, 12, "lost")]
    assert runs(batch) == [(13, 2)]
    assert scene.closed() == [(11, 12, {}, {"lost": 2})]


def test_deadline_counts_from_the_last_progress() -> None:
    scene = RepairScene([10, 11], NEVER)
    scene.send(trade(14))
    scene.look(590)
    scene.look(590)

    assert scene.sequence.gap is not None
    assert scene.sequence.next_id == 12


def test_lonely_trade_that_the_exchange_does_not_know_is_refused_in_the_end() -> None:
    scene = RepairScene([10])
    scene.send(trade(500))
    for _ in range(20):
        scene.look(1.0)

    assert [rules(entry) for entry in scene.take_side()] == [["trade_id_jump"]]
    assert scene.sequence.gap is None
    assert scene.counters.value("data_collector_implausible_total", rule="trade_id_jump") == 1
    scene.send(trade(11))
    assert runs(scene.take()) == [(11, 1)]


def test_spilled_trades_are_read_back_before_the_exchange_is_asked() -> None:
    scene = RepairScene([])
    scene.send(trade(12), trade(13))
    scene.intake.trades.spill(scene.sequence)
    scene.send(trade(11))

    scene.look()

    assert scene.rest.asked == []
    assert scene.sequence.next_id == 14
    assert scene.closed() == [(12, 13, {"spool": 2}, {})]


def test_trades_that_only_a_ticker_tells_of_are_asked_for() -> None:
    scene = RepairScene([10, 11, 12])
    scene.send(ticker(first_id=1, last_id=12))
    scene.intake.trades.look_at_heads()
    scene.now_s += HEAD_S
    scene.intake.trades.look_at_heads()

    scene.look()

    assert runs(scene.take()) == [(11, 2)]


def test_ticker_that_is_a_little_ahead_is_waited_for() -> None:
    scene = RepairScene([])
    scene.send(ticker(first_id=1, last_id=12))
    for _ in range(3):
        scene.intake.trades.look_at_heads()
        scene.send(trade(scene.sequence.next_id))
        scene.now_s += HEAD_S

    assert scene.sequence.gap is None


def test_ticker_that_names_what_the_exchange_does_not_know_is_forgotten() -> None:
    scene = RepairScene([10])
    scene.send(ticker(first_id=1, last_id=12))
    for _ in range(20):
        scene.intake.trades.look_at_heads()
        scene.look(1.0)

    assert scene.sequence.gap is None
    assert scene.sequence.reference_id == 10


def test_after_a_start_the_older_part_of_the_hole_is_skipped() -> None:
    scene = RepairScene([14, 15, 16], reach=Reach(60, 1_000))
    scene.sequence.resumed_id = 11
    scene.rest.first_id = 15
    scene.send(trade(17))

    scene.look()

    batch = scene.take()
    assert gaps(batch) == [(11, 14, "skipped")]
    assert runs(batch) == [(15, 3)]
    assert scene.closed() == [(11, 16, {"rest": 2}, {"skipped": 4})]


def test_hole_that_comes_later_is_not_skipped() -> None:
    scene = RepairScene([11, 12, 13], reach=Reach(0, 1_000))
    scene.sequence.resumed_id = 11
    scene.send(trade(11), trade(13))

    scene.look()

    batch = scene.take()
    assert gaps(batch) == []
    assert runs(batch) == [(11, 3)]


def test_exchange_that_does_not_tell_what_is_old_is_asked_again() -> None:
    scene = RepairScene([10, 11, 12])
    scene.sequence.resumed_id = 11
    scene.rest.clock_error = AWAY
    scene.send(trade(12))
    scene.look()
    assert scene.rest.asked == []

    scene.rest.clock_error, scene.rest.first_id = None, 5
    scene.look(10)

    assert scene.sequence.next_id == 13


async def test_it_works_by_itself() -> None:
    scene = RepairScene([10, 11, 12])
    task = asyncio.create_task(scene.repair.run())
    scene.send(trade(12))
    scene.now_s += 1.0
    async with asyncio.timeout(5):
        while scene.sequence.gap is not None or scene.ledger.status().open_count:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [(run.symbol, run.first_id) for run in scene.take().trades] == [(SYMBOL, 11)]


def test_lonely_trade_is_refused_although_the_stream_goes_on() -> None:
    scene = RepairScene([10])
    scene.rest.meanwhile = lambda: scene.send(trade(scene.sequence.next_id))
    scene.send(trade(1_000_000))
    for _ in range(1000):
        scene.rest.answers = [[scene.sequence.next_id - 1]]
        scene.look(0.02)

    assert scene.sequence.gap is None
    assert len(scene.rest.asked) < 20
    assert [rules(entry) for entry in scene.take_side()] == [["trade_id_jump"]]


def test_lonely_trade_that_was_spilled_does_not_keep_a_gap_open() -> None:
    scene = RepairScene([10])
    scene.send(trade(500))
    scene.intake.trades.spill(scene.sequence)
    scene.intake.release_held()
    for _ in range(20):
        scene.look(1.0)

    assert scene.sequence.gap is None
    assert not scene.intake.trades.holdback.waiting.is_set()
