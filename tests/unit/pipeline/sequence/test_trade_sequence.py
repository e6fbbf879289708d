"""One symbol's order: what follows, what is known, what is ahead, what is late, what is missing."""

from __future__ import annotations

import pytest

from data_collector.model.gaps import Gap
from data_collector.pipeline.sequence.refused_turns import ALONE_S
from data_collector.pipeline.sequence.trade_sequence import (
    ARBITRATION_S,
    HOLES_MAX,
    JUMP_MAX,
    Outcome,
    TradeSequence,
)
from tests.market import trade


def at(next_id: int) -> TradeSequence:
    """A sequence whose due id is this one, and of which nothing is known."""
    sequence = TradeSequence("BTCUSDT")
    sequence.resume(next_id)
    return sequence


def passed_over(*holes: tuple[int, int], next_id: int) -> TradeSequence:
    """After holes that were passed over."""
    sequence = at(0)
    for first_id, last_id in holes:
        sequence.skip_to(first_id)
        sequence.pass_over(last_id, "lost", {})
    sequence.skip_to(next_id)
    return sequence


def offered(sequence: TradeSequence, *ids: int) -> list[Outcome]:
    return [sequence.offer(trade(trade_id), 0.0) for trade_id in ids]


def test_trade_ahead_leaves_no_hole_until_it_is_passed_over() -> None:
    sequence = at(10)

    assert offered(sequence, 15) == [Outcome.HELD]
    sequence.skip_to(16)
    assert offered(sequence, 12) == [Outcome.COPY]


def test_late_trade_fills_a_hole_once() -> None:
    assert offered(passed_over((10, 14), next_id=16), 12, 12) == [Outcome.LATE, Outcome.COPY]


def test_whole_hole_is_filled_from_both_ends_and_the_middle() -> None:
    sequence = passed_over((10, 14), next_id=16)

    assert offered(sequence, 12, 10, 14, 11, 13) == [Outcome.LATE] * 5
    assert offered(sequence, *range(10, 16)) == [Outcome.COPY] * 6


def test_trade_below_what_was_let_through_is_known() -> None:
    assert offered(at(10), 9) == [Outcome.COPY]


def test_ids_beside_a_hole_are_known() -> None:
    assert offered(passed_over((10, 14), next_id=16), 9, 15) == [Outcome.COPY] * 2


def test_several_holes_are_remembered() -> None:
    assert offered(passed_over((10, 11), (13, 14), next_id=16), 14, 10) == [Outcome.LATE] * 2


def test_oldest_holes_are_forgotten() -> None:
    holes = [(2 * number, 2 * number) for number in range(HOLES_MAX + 1)]

    assert offered(passed_over(*holes, next_id=2 * HOLES_MAX + 2), 0, 2) == [Outcome.COPY, Outcome.LATE]


def test_far_jump_is_believed_only_when_a_second_trade_follows_it() -> None:
    far = 10 + JUMP_MAX + 1

    assert offered(at(10), far, far, far + 1) == [Outcome.IMPLAUSIBLE, Outcome.IMPLAUSIBLE, Outcome.HELD]


def test_poisoned_ids_that_do_not_follow_each_other_are_never_believed() -> None:
    assert offered(at(10), 2**50, 2**51, 2**50) == [Outcome.IMPLAUSIBLE] * 3


def test_jump_of_the_greatest_size_is_believed_at_once() -> None:
    assert offered(at(10), 10 + JUMP_MAX) == [Outcome.HELD]


def test_what_is_before_the_first_one_held_is_missing() -> None:
    sequence = at(10)
    offered(sequence, 15, 13)
    sequence.settle(1.0)

    assert sequence.gap is not None
    assert (sequence.gap.first_id, sequence.gap.last_id, sequence.gap.opened_s) == (10, 12, 1.0)
    assert sequence.take_due() is None


def test_what_comes_in_a_gap_makes_it_end_earlier() -> None:
    sequence = at(10)
    offered(sequence, 15)
    sequence.settle(1.0)
    offered(sequence, 12)

    assert sequence.gap is not None
    assert sequence.gap.last_id == 11


def test_gap_behind_another_has_waited_as_long_already() -> None:
    sequence = at(10)
    offered(sequence, 11, 13)
    sequence.settle(1.0)
    sequence.advance(trade(10))
    due = sequence.take_due()
    assert due is not None
    sequence.advance(due)
    sequence.settle(2.0)

    assert sequence.gap is not None
    assert (sequence.gap.first_id, sequence.gap.opened_s) == (12, 2.0 - ARBITRATION_S)


def test_what_is_passed_over_is_returned_as_gaps_of_one_reason_each() -> None:
    sequence = at(10)

    gaps = sequence.pass_over(13, "absent", {11: ("price_positive",)})

    refused = Gap(11, 11, 1, "refused", ("price_positive",))
    assert gaps == [Gap(10, 10, 1, "absent"), refused, Gap(12, 13, 2, "absent")]
    assert sequence.next_id == 14


@pytest.mark.parametrize(("trade_id", "has_place"), [(9, False), (10, True), (10_010, True), (10_011, False)])
def test_refused_id_has_a_place_only_a_little_ahead(trade_id: int, has_place: bool) -> None:
    assert at(10).refuse(trade_id, 0.0) is has_place


def test_due_id_that_was_refused_waits_for_a_good_copy_once_another_trade_followed() -> None:
    sequence = at(10)
    sequence.refuse(10, 1.0)
    offered(sequence, 11)
    sequence.settle(1.0)

    assert not sequence.lacks_refused(1.0)
    assert sequence.lacks_refused(1.0, at_once=True)
    assert sequence.lacks_refused(1.1 + ARBITRATION_S)
    assert not at(10).lacks_refused(5.0, at_once=True)


def test_refused_id_that_nothing_has_followed_waits_longer() -> None:
    sequence = at(10)
    sequence.refuse(10, 1.0)

    assert not sequence.lacks_refused(1.0)
    assert not sequence.lacks_refused(0.9 + ALONE_S)
    assert sequence.lacks_refused(1.1 + ALONE_S)


def test_time_of_a_refused_id_begins_when_all_before_it_have_come() -> None:
    sequence = at(10)
    sequence.refuse(12, 0.0)
    sequence.refuse(13, 0.0)
    offered(sequence, 14)
    sequence.settle(0.0)
    sequence.advance(trade(10))
    assert not sequence.lacks_refused(5.0)
    sequence.advance(trade(11))

    assert not sequence.lacks_refused(5.0)
    sequence.pass_over(12, "refused", {})
    assert not sequence.lacks_refused(5.1)
    assert sequence.lacks_refused(5.1 + ARBITRATION_S)


def test_missing_ids_are_reported_once_and_again_when_they_are_more() -> None:
    sequence = at(10)
    assert sequence.report() is None
    offered(sequence, 13)
    sequence.settle(0.0)
    assert sequence.report() == (10, 12)
    assert sequence.report() is None

    sequence.take_held()
    sequence.pass_over(12, "lost", {})
    offered(sequence, 20)
    sequence.settle(0.0)

    assert sequence.report() == (13, 19)
    assert sequence.reported == (10, 19)
