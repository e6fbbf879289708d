"""A series of closed klines: each open time once, in order, or explained."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from data_collector.model.calendar import UtcCalendar
from data_collector.model.gaps import Gap, GapReason
from data_collector.model.keys import Key
from data_collector.model.records import Kline
from data_collector.model.sink import KlineUpdate
from data_collector.pipeline.sequence.minutes import MinuteVolumes
from data_collector.pipeline.sequence.series import HELD_MAX, RECENT_KEPT, RELEASED_MAX, KlineSeries, Order
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline, trade


def series() -> KlineSeries:
    return KlineSeries(Key("kline", SYMBOL, "1m"), UtcCalendar(), lambda _kline, _id_before: "unchecked")


def minute_of(open_ms: int) -> int:
    return (open_ms - NOON_MS) // MINUTE_MS


def gap(first: int, last: int, reason: GapReason, *rules: str) -> Gap:
    return Gap(NOON_MS + first * MINUTE_MS, NOON_MS + last * MINUTE_MS, last - first + 1, reason, rules)


def ids(minute: int, first: int, last: int, *, closed: bool = True) -> Kline:
    """A kline with the trades `first` to `last`."""
    return kline(minute, closed=closed, first_trade_id=first, last_trade_id=last, trades=last - first + 1)


def flat(minute: int) -> Kline:
    return kline(minute, first_trade_id=-1, last_trade_id=-1, trades=0)


def fed(*klines: Kline) -> tuple[KlineSeries, list[KlineUpdate]]:
    made = series()
    released: list[KlineUpdate] = []
    for each in klines:
        if each.is_closed:
            made.take_closed(each)
        else:
            made.judge_open(each)
        released += made.release()
    return made, released


def told(updates: list[KlineUpdate]) -> list[tuple[int, str]]:
    return [(minute_of(update.kline.open_ms), update.source) for update in updates]


def test_closed_klines_pass_in_order_and_once() -> None:
    made = series()

    assert [made.take_closed(kline(minute)) for minute in (0, 1)] == [Order.NEXT, Order.AHEAD]
    assert told(made.release()) == [(0, "ws"), (1, "ws")]
    assert [made.take_closed(kline(minute)) for minute in (1, 0, 2)] == [Order.KNOWN, Order.KNOWN, Order.NEXT]
    assert told(made.release()) == [(2, "ws")]


def test_only_the_first_begins_the_series() -> None:
    _, released = fed(kline(0), kline(1))

    assert [update.begins for update in released] == [True, False]


def test_open_updates_pass_when_newer() -> None:
    made = series()
    updates = [kline(closed=False, event_ms=NOON_MS + offset) for offset in (2000, 2000, 1000, 4000)]

    assert [made.judge_open(update) for update in updates] == [Order.NEXT, Order.KNOWN, Order.KNOWN, Order.NEXT]


def test_open_update_of_a_closed_kline_is_old() -> None:
    made, _ = fed(kline(0), kline(2))

    late = NOON_MS + 9 * MINUTE_MS
    assert made.judge_open(kline(0, closed=False, event_ms=late)) is Order.KNOWN
    assert made.judge_open(kline(2, closed=False, event_ms=late)) is Order.KNOWN


def test_open_update_of_an_older_kline_is_old() -> None:
    made, _ = fed(kline(1, closed=False))

    assert made.judge_open(kline(0, closed=False, event_ms=NOON_MS + 5 * MINUTE_MS)) is Order.KNOWN


def test_closing_frame_may_come_after_the_first_of_the_following_kline() -> None:
    made, released = fed(kline(1, closed=False), kline(0))

    assert told(released) == [(0, "ws")]
    assert made.judge_open(kline(1, closed=False)) is Order.KNOWN


def test_closing_frame_passes_with_the_event_time_of_the_last_update() -> None:
    _, released = fed(kline(closed=False, event_ms=NOON_MS + MINUTE_MS), kline(event_ms=NOON_MS + MINUTE_MS))

    assert told(released) == [(0, "ws")]


def test_kline_ahead_waits_and_its_copy_is_known() -> None:
    made, released = fed(kline(0), kline(3))

    assert told(released) == [(0, "ws")]
    assert made.take_closed(kline(3)) is Order.KNOWN
    assert made.first_held_ms == NOON_MS + 3 * MINUTE_MS
    made.pass_over(NOON_MS + 3 * MINUTE_MS, "lost")
    assert told(made.release()) == [(3, "ws")]


def test_kline_that_waits_is_replaced_by_a_newer_one_that_differs() -> None:
    made, _ = fed(kline(0), kline(2))
    assert made.take_closed(kline(2, close="45180.51", event_ms=NOON_MS + 4 * MINUTE_MS)) is Order.AHEAD
    made.take_closed(kline(1))

    assert [update.kline.close for update in made.release()] == ["45180.50", "45180.51"]


def test_klines_that_wait_are_bounded() -> None:
    made, _ = fed(kline(0))
    for minute in range(2, HELD_MAX + 20):
        made.take_closed(kline(minute))

    made.take_closed(kline(1))
    assert len(made.release()) == HELD_MAX + 1


def test_kline_off_the_grid_has_no_place() -> None:
    made, _ = fed(kline(0))

    assert made.take_closed(kline(open_ms=NOON_MS + 90_000)) is Order.IMPLAUSIBLE


@pytest.mark.parametrize("evidence", [ids(3, 8, 9), ids(3, 8, 9, closed=False)])
def test_ids_that_follow_each_other_prove_that_there_was_no_trade(evidence: Kline) -> None:
    _, released = fed(ids(0, 5, 7), evidence)

    assert told(released)[:3] == [(0, "ws"), (1, "built"), (2, "built")]
    built = released[1].kline
    assert (built.open, built.high, built.low, built.close) == ("45180.50",) * 4
    assert (built.volume, built.quote_volume, built.trades) == ("0.000", "0.00", 0)
    assert (built.is_closed, built.close_ms) == (True, NOON_MS + 2 * MINUTE_MS - 1)


def test_one_kline_of_a_far_future_builds_a_bounded_number_of_others() -> None:
    """Its ids follow, and REST is away: tens of millions lie before one of the year 2099."""
    far = ids(100_000, 6, 6, closed=False)
    made, _ = fed(ids(0, 1, 5))
    made.leave_to_ids(far.open_ms)
    made.judge_open(far)

    assert [update.source for update in made.release()] == ["built"] * RELEASED_MAX
    assert len(made.release()) == RELEASED_MAX


@pytest.mark.parametrize("first", [9, 7, 100])
def test_ids_that_do_not_follow_prove_nothing(first: int) -> None:
    made, released = fed(ids(0, 5, 7), ids(3, first, first + 1))

    assert told(released) == [(0, "ws")]
    assert made.due_ms == NOON_MS + MINUTE_MS


def test_closed_klines_without_trades_keep_the_chain() -> None:
    _, released = fed(ids(0, 5, 7), flat(1), flat(3), ids(5, 8, 8))

    assert told(released) == [(0, "ws"), (1, "ws"), (2, "built"), (3, "ws"), (4, "built"), (5, "ws")]


def test_kline_of_rest_breaks_the_chain() -> None:
    made, _ = fed(ids(0, 5, 7))
    made.take_closed(kline(1, first_trade_id=-1, last_trade_id=-1), source="rest")
    made.take_closed(ids(3, 8, 8))

    assert told(made.release()) == [(1, "rest")]


def test_kline_that_tells_no_count_is_none_without_trades() -> None:
    made, _ = fed(ids(0, 5, 7))
    made.take_closed(kline(1, first_trade_id=-1, last_trade_id=-1, trades=None))
    made.take_closed(ids(3, 8, 8))

    assert told(made.release()) == [(1, "ws")]


def test_what_is_built_lacks_what_the_exchange_does_not_tell() -> None:
    bare = structs.replace(ids(0, 5, 7), trades=None, quote_volume=None)
    _, released = fed(bare, ids(2, 8, 9))

    built = released[1].kline
    assert (built.volume, built.trades, built.quote_volume) == ("0.000", None, None)
    assert built.taker_buy_base_volume is not None


@pytest.mark.parametrize(("quantity", "result"), [("123.456", "ok"), ("1", "mismatch")])
def test_volume_alone_is_held_against_trades_where_no_count_is_told(quantity: str, result: str) -> None:
    volumes = MinuteVolumes()
    volumes.add(trade(5, time_ms=NOON_MS, quantity=quantity))
    volumes.add(trade(6, time_ms=NOON_MS + MINUTE_MS))

    assert volumes.check(structs.replace(ids(0, 5, 5), trades=None), 4, 7) == result


def test_what_is_passed_over_goes_with_the_next_closed_kline() -> None:
    made, _ = fed(kline(0), kline(4))
    made.pass_over(NOON_MS + 2 * MINUTE_MS, "absent")
    made.pass_over(NOON_MS + 3 * MINUTE_MS, "absent")
    made.pass_over(NOON_MS + 4 * MINUTE_MS, "lost")

    (update,) = made.release()
    assert update.gaps == [gap(1, 2, "absent"), gap(3, 3, "lost")]
    assert made.pass_over(NOON_MS + 5 * MINUTE_MS, "lost") is None


def test_refused_kline_is_passed_over_when_a_later_one_has_closed() -> None:
    made, _ = fed(kline(0))
    made.refuse(NOON_MS + MINUTE_MS, ("price_order",))
    assert made.release() == []

    made.take_closed(kline(2))
    (update,) = made.release()
    assert update.gaps == [gap(1, 1, "refused", "price_order")]


def test_good_copy_takes_the_place_of_a_refused_kline() -> None:
    made, _ = fed(kline(0))
    made.refuse(NOON_MS + MINUTE_MS, ("price_order",))
    made.take_closed(kline(1))
    made.take_closed(kline(2))

    assert [update.gaps for update in made.release()] == [[], []]


def test_closed_kline_whose_place_was_passed_is_late_once() -> None:
    made, _ = fed(kline(0), kline(2))
    made.pass_over(NOON_MS + 2 * MINUTE_MS, "lost")
    made.release()

    assert [made.take_closed(kline(1)) for _ in range(2)] == [Order.LATE, Order.KNOWN]


def test_closed_kline_with_other_numbers_is_a_revision_when_it_is_newer() -> None:
    made, _ = fed(kline(0))
    revised = kline(0, close="45180.51", event_ms=NOON_MS + MINUTE_MS + 500)

    assert made.take_closed(kline(0, close="45180.51", event_ms=NOON_MS)) is Order.KNOWN
    assert made.take_closed(revised) is Order.REVISED
    assert made.take_closed(revised) is Order.KNOWN
    assert made.take_closed(kline(0)) is Order.KNOWN


def test_revision_does_not_change_what_was_released() -> None:
    made, (released,) = fed(kline(0))
    made.take_closed(kline(0, close="45180.51", event_ms=NOON_MS + MINUTE_MS + 500))

    assert released.kline.close == "45180.50"


def test_closed_kline_from_before_the_first_is_known() -> None:
    made, _ = fed(kline(5))

    assert made.take_closed(kline(4)) is Order.KNOWN


def test_closed_klines_are_remembered_for_a_while_only() -> None:
    made, _ = fed(*(kline(minute) for minute in range(RECENT_KEPT + 1)))

    assert made.take_closed(kline(0, close="45180.51", event_ms=NOON_MS + 10**9)) is Order.KNOWN
    assert made.take_closed(kline(1, close="45180.51", event_ms=NOON_MS + 10**9)) is Order.REVISED


def test_start_goes_on_where_the_store_stands() -> None:
    made = series()
    made.rewind(NOON_MS)
    made.take_closed(kline(1))
    assert made.release() == []

    made.take_closed(kline(0), source="rest")
    assert [(update.begins, update.source) for update in made.release()] == [(False, "rest"), (False, "ws")]


def test_going_back_gives_the_same_again_with_its_gaps_cut() -> None:
    made, _ = fed(kline(0), kline(4))
    made.pass_over(NOON_MS + 3 * MINUTE_MS, "absent")
    made.pass_over(NOON_MS + 4 * MINUTE_MS, "lost")
    made.release()
    made.pass_over(NOON_MS + 7 * MINUTE_MS, "lost")

    made.rewind(NOON_MS + 2 * MINUTE_MS)

    (update,) = made.release()
    assert (minute_of(update.kline.open_ms), update.gaps) == (4, [gap(2, 2, "absent"), gap(3, 3, "lost")])
    made.take_closed(kline(7))
    (update,) = made.release()
    assert update.gaps == [gap(5, 6, "lost")]


def test_going_back_beyond_what_is_remembered_leaves_the_rest_missing() -> None:
    made, _ = fed(*(kline(minute) for minute in range(3, 6)))

    made.rewind(NOON_MS + MINUTE_MS)
    assert (made.release(), made.due_ms) == ([], NOON_MS + MINUTE_MS)
    assert made.first_held_ms == NOON_MS + 3 * MINUTE_MS

    for minute in (1, 2):
        made.take_closed(kline(minute), source="rest")
    assert [minute_of(update.kline.open_ms) for update in made.release()] == [1, 2, 3, 4, 5]


def covered(updates: list[KlineUpdate]) -> list[int]:
    """The minutes that were delivered or declared, in the order of the store."""
    minutes: list[int] = []
    for update in updates:
        for each in update.gaps:
            minutes += range(minute_of(each.first), minute_of(each.last) + 1)
        minutes.append(minute_of(update.kline.open_ms))
    return minutes


@pytest.mark.parametrize("states", list(product(("came", "empty", "refused", "missing"), repeat=4)))
def test_every_open_time_is_delivered_or_declared_once(states: tuple[str, ...]) -> None:
    """All fates of four klines between two that came; what is missing in the end was declared lost."""
    made, released = fed(ids(0, 1, 1))
    next_id = 2
    for minute, state in enumerate(states, start=1):
        if state == "came":
            made.take_closed(ids(minute, next_id, next_id))
        elif state == "refused":
            made.refuse(NOON_MS + minute * MINUTE_MS, ("r",))
        next_id += state != "empty"
        released += made.release()
    made.take_closed(ids(5, next_id, next_id))
    released += made.release()
    while made.first_held_ms is not None:
        made.pass_over(made.due_ms + MINUTE_MS, "lost")
        released += made.release()

    assert covered(released) == list(range(6))
    built = [minute for minute, source in told(released) if source == "built"]
    assert all(states[minute - 1] == "empty" for minute in built)


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["frame", "rest", "open", "refuse", "lost", "absent", "back"]), st.integers(0, 12)),
    max_size=60,
)


@given(actions=ACTIONS)
def test_store_gets_every_open_time_once_whatever_happens(actions: list[tuple[str, int]]) -> None:
    """A store that takes what follows and loses its end at times: no hole that nothing explains, and nothing twice."""
    made, released = fed(ids(0, 0, 0))
    stored = covered(released)
    for action, minute in actions:
        match action:
            case "frame":
                made.take_closed(ids(minute, minute, minute))
            case "rest":
                made.take_closed(structs.replace(ids(minute, -1, -1), trades=1), source="rest")
            case "open":
                made.judge_open(ids(minute, minute, minute, closed=False))
            case "refuse":
                made.refuse(NOON_MS + minute * MINUTE_MS, ("r",))
            case "lost" | "absent":
                held_ms = made.first_held_ms
                limit_ms = made.due_ms + minute * MINUTE_MS
                made.pass_over(limit_ms if held_ms is None else min(limit_ms, held_ms), "lost")
            case "back":
                due = min(minute, len(stored))
                del stored[due:]
                made.rewind(NOON_MS + due * MINUTE_MS)
        for update in made.release():
            stored += covered([update])
        assert stored == list(range(len(stored)))
    for minute in range(13, -1, -1):
        made.take_closed(ids(minute, minute, minute))
    for update in made.release():
        stored += covered([update])
    assert stored == list(range(len(stored)))
    assert minute_of(made.due_ms) >= 14
