"""Order: what follows, what is known, what is ahead, what is late."""

from __future__ import annotations

from data_collector.pipeline.arbiter import CLOSED_KEPT, HOLES_MAX, JUMP_MAX, KlineOrder, Order, TradeOrder
from tests.market import MINUTE_MS, NOON_MS, kline, trade


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


def test_closed_klines_pass_in_order_and_once() -> None:
    order = KlineOrder()

    assert [order.judge(kline(minute)) for minute in (0, 1, 1, 0, 2)] == [
        Order.NEXT, Order.NEXT, Order.KNOWN, Order.KNOWN, Order.NEXT,
    ]  # fmt: skip


def test_open_updates_pass_when_newer() -> None:
    order = KlineOrder()
    updates = [kline(closed=False, event_ms=NOON_MS + offset) for offset in (2000, 2000, 1000, 4000)]

    assert [order.judge(update) for update in updates] == [Order.NEXT, Order.KNOWN, Order.KNOWN, Order.NEXT]


def test_open_update_of_a_closed_kline_is_old() -> None:
    order = KlineOrder()
    order.judge(kline())

    assert order.judge(kline(closed=False, event_ms=NOON_MS + 2 * MINUTE_MS)) is Order.KNOWN


def test_closing_frame_may_come_after_the_first_of_the_following_kline() -> None:
    order = KlineOrder()
    first_of_next = kline(1, closed=False)

    assert [order.judge(one) for one in (first_of_next, kline(0), first_of_next, kline(1))] == [
        Order.NEXT, Order.NEXT, Order.KNOWN, Order.NEXT,
    ]  # fmt: skip


def test_closing_frame_passes_with_the_event_time_of_the_last_update() -> None:
    order = KlineOrder()
    order.judge(kline(closed=False, event_ms=NOON_MS + MINUTE_MS))

    assert order.judge(kline(event_ms=NOON_MS + MINUTE_MS)) is Order.NEXT


def test_open_update_of_an_older_kline_is_old() -> None:
    order = KlineOrder()
    order.judge(kline(1, closed=False))

    assert order.judge(kline(0, closed=False, event_ms=NOON_MS + 5 * MINUTE_MS)) is Order.KNOWN


def test_closed_kline_that_was_passed_over_is_late_once() -> None:
    order = KlineOrder()

    assert [order.judge(kline(minute)) for minute in (0, 2, 1, 1)] == [Order.NEXT, Order.NEXT, Order.LATE, Order.KNOWN]


def test_closed_kline_with_other_numbers_is_a_revision_when_it_is_newer() -> None:
    order = KlineOrder()
    revised = kline(0, close="45180.51", event_ms=NOON_MS + MINUTE_MS + 500)
    order.judge(kline(0))

    assert order.judge(kline(0, close="45180.51", event_ms=NOON_MS)) is Order.KNOWN
    assert order.judge(revised) is Order.REVISED
    assert order.judge(revised) is Order.KNOWN
    assert order.judge(kline(0)) is Order.KNOWN


def test_closed_kline_from_before_the_first_is_known() -> None:
    order = KlineOrder()
    order.judge(kline(5))

    assert order.judge(kline(4)) is Order.KNOWN


def test_closed_klines_are_remembered_for_a_while_only() -> None:
    order = KlineOrder()
    for minute in range(CLOSED_KEPT + 1):
        order.judge(kline(minute))

    assert order.judge(kline(0, close="45180.51", event_ms=NOON_MS + 10**9)) is Order.KNOWN
    assert order.judge(kline(1, close="45180.51", event_ms=NOON_MS + 10**9)) is Order.REVISED
