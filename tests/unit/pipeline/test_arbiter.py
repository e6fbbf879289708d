"""Order: what follows, what is known, what is ahead, what is late."""

from __future__ import annotations

from data_collector.pipeline.arbiter import HOLES_MAX, JUMP_MAX, Order, TradeOrder
from tests.market import trade


def test_trade_ahead_leaves_no_hole_until_it_is_passed_over() -> None:
    order = TradeOrder()

    assert order.judge(trade(15), 10) is Order.AHEAD
    assert order.judge(trade(12), 16) is Order.KNOWN


def test_late_trade_fills_a_hole_once() -> None:
    order = TradeOrder()
    order.pass_over(10, 14)

    assert order.judge(trade(12), 16) is Order.LATE
    assert order.judge(trade(12), 16) is Order.KNOWN


def test_whole_hole_is_filled_from_both_ends_and_the_middle() -> None:
    order = TradeOrder()
    order.pass_over(10, 14)

    assert [order.judge(trade(number), 16) for number in (12, 10, 14, 11, 13)] == [Order.LATE] * 5
    assert [order.judge(trade(number), 16) for number in range(10, 16)] == [Order.KNOWN] * 6


def test_trade_below_what_was_let_through_is_known() -> None:
    assert TradeOrder().judge(trade(9), 10) is Order.KNOWN


def test_ids_beside_a_hole_are_known() -> None:
    order = TradeOrder()
    order.pass_over(10, 14)

    assert order.judge(trade(9), 16) is Order.KNOWN
    assert order.judge(trade(15), 16) is Order.KNOWN


def test_several_holes_are_remembered() -> None:
    order = TradeOrder()
    order.pass_over(10, 11)
    order.pass_over(13, 14)

    assert order.judge(trade(14), 16) is Order.LATE
    assert order.judge(trade(10), 16) is Order.LATE


def test_oldest_holes_are_forgotten() -> None:
    order = TradeOrder()
    for number in range(HOLES_MAX + 1):
        order.pass_over(2 * number, 2 * number)

    next_id = 2 * HOLES_MAX + 2
    assert order.judge(trade(0), next_id) is Order.KNOWN
    assert order.judge(trade(2), next_id) is Order.LATE


def test_far_jump_is_believed_only_when_a_second_trade_follows_it() -> None:
    order = TradeOrder()
    far = 10 + JUMP_MAX + 1

    assert order.judge(trade(far), 10) is Order.IMPLAUSIBLE
    assert order.judge(trade(far), 10) is Order.IMPLAUSIBLE
    assert order.judge(trade(far + 1), 10) is Order.AHEAD


def test_poisoned_ids_that_do_not_follow_each_other_are_never_believed() -> None:
    order = TradeOrder()

    assert order.judge(trade(2**50), 10) is Order.IMPLAUSIBLE
    assert order.judge(trade(2**51), 10) is Order.IMPLAUSIBLE
    assert order.judge(trade(2**50), 10) is Order.IMPLAUSIBLE


def test_jump_of_the_greatest_size_is_believed_at_once() -> None:
    assert TradeOrder().judge(trade(10 + JUMP_MAX), 10) is Order.AHEAD
