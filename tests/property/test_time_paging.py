"""Whatever the tape, trades by their ids that are read by time are the tape: with a trade that is known before and
without one, on borders inside of groups of equal times, and whether the time that is asked for is included or not.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_collector.model.errors import VenueRefused
from data_collector.model.records import Trade
from data_collector.model.venue import TradePage, TradePlace, TradesRefused
from data_collector.rest import time_paging
from data_collector.rest.pages import BadPage
from data_collector.rest.time_paging import TimedPage, TradePlaces, trades_from

PAGE = 7
FIRST_NS = 1_600_000_000_000_000_000
FIRST_ID = 100


@pytest.fixture(scope="module", autouse=True)
def small_steps() -> Iterator[None]:
    """So that short tapes are searched, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time_paging, "AHEAD_TRADES", 15)
        patch.setattr(time_paging, "AIM_TRADES", 3)
        yield


class Tape:
    """Answers as an exchange does that pages by time; floats of times are off by a microsecond."""

    def __init__(self, steps_ns: Sequence[int], *, inclusive: bool = False) -> None:
        self.times_ns: list[int] = []
        for step_ns in steps_ns:
            self.times_ns.append((self.times_ns[-1] if self.times_ns else FIRST_NS) + step_ns)
        self._cut = bisect_left if inclusive else bisect_right
        self.asked = 0

    @property
    def head(self) -> int:
        return FIRST_ID + len(self.times_ns) - 1

    async def ask(self, since_ns: int | None) -> TimedPage:
        self.asked += 1
        start = max(len(self.times_ns) - PAGE, 0) if since_ns is None else self._cut(self.times_ns, since_ns)
        found = range(start, min(start + PAGE, len(self.times_ns)))
        last_ns = self.times_ns[found[-1]] if found else 0
        return TimedPage([self._trade(each) for each in found], last_ns, is_full=len(found) == PAGE)

    def place(self, trade_id: int) -> TradePlace:
        return TradePlace(trade_id, self.times_ns[trade_id - FIRST_ID] // 1000)

    def _trade(self, index: int) -> Trade:
        time_ms, us = divmod((self.times_ns[index] + 500) // 1000, 1000)
        return Trade("X", FIRST_ID + index, "1", "1", time_ms, time_ms, is_buyer_maker=True, sub_ms_us=us)

    def expected(self, from_id: int, limit: int) -> list[int]:
        return list(range(max(from_id, FIRST_ID), self.head + 1))[:limit]


def ids_of(page: TradePage) -> list[int]:
    return [trade.trade_id for trade in page.trades]


steps = st.lists(
    st.one_of(st.just(0), st.integers(0, 3), st.integers(500, 3_000), st.integers(10**6, 10**12)),
    min_size=1,
    max_size=90,
)


def without_crowds(steps_ns: list[int]) -> list[int]:
    """No moment has as many trades as a page, or they could not be had."""
    run = 1
    for index in range(1, len(steps_ns)):
        run = run + 1 if steps_ns[index] == 0 else 1
        if run == PAGE:
            steps_ns[index], run = 1, 1
    return steps_ns


@settings(max_examples=200, deadline=None)
@given(st.data(), steps.map(without_crowds), st.booleans())
def test_any_questions_are_answered_with_the_tape(data: st.DataObject, steps_ns: list[int], inclusive: bool) -> None:
    """Several after one another, so that what is remembered of the pages before is used."""
    tape, places = Tape(steps_ns, inclusive=inclusive), TradePlaces()

    async def ask_all() -> None:
        for _ in range(4):
            from_id = data.draw(st.integers(FIRST_ID - 3, tape.head + 3), label="from")
            known = data.draw(st.none() | st.integers(FIRST_ID, max(from_id - 1, FIRST_ID)), label="near")
            near = None if known is None or not FIRST_ID <= known <= min(tape.head, from_id) else tape.place(known)
            page = await trades_from(tape.ask, places, from_id, near, 1_000)
            found = ids_of(page)
            assert found == tape.expected(from_id, len(found))
            assert found or from_id > tape.head
            assert not page.reaches_head or not found or found[-1] == tape.head

    asyncio.run(ask_all())


@settings(max_examples=100, deadline=None)
@given(steps.map(without_crowds), st.booleans())
def test_pages_one_after_another_are_the_tape(steps_ns: list[int], inclusive: bool) -> None:
    """From the first trade on, each question with the last trade known."""
    tape, places, found = Tape(steps_ns, inclusive=inclusive), TradePlaces(), list[int]()

    async def read() -> None:
        from_id, near = FIRST_ID, None
        while True:
            page = await trades_from(tape.ask, places, from_id, near, 1_000)
            found.extend(ids_of(page))
            if page.reaches_head:
                return
            from_id, near = found[-1] + 1, tape.place(found[-1])

    asyncio.run(read())
    assert found == tape.expected(FIRST_ID, 1_000)


@settings(max_examples=100, deadline=None)
@given(steps.map(without_crowds), st.integers(0, 10**12), st.integers(FIRST_ID, FIRST_ID + 95), st.integers(0, 100))
def test_place_that_is_not_true_costs_calls_and_loses_nothing(
    steps_ns: list[int], off_ns: int, from_id: int, near_id: int
) -> None:
    """The caller's clock was wrong, or the trade is of another life of the market."""
    tape = Tape(steps_ns)
    near = TradePlace(near_id, (FIRST_NS + off_ns) // 1000)

    page = asyncio.run(trades_from(tape.ask, TradePlaces(), from_id, near, 1_000))

    assert ids_of(page) == tape.expected(from_id, len(page.trades))
    assert page.trades or from_id > tape.head


@settings(max_examples=200, deadline=None)
@given(st.data(), steps.map(without_crowds), steps.map(without_crowds), st.integers(0, 10**13))
def test_what_is_remembered_of_ids_that_began_anew_loses_nothing(
    data: st.DataObject, steps_ns: list[int], later_ns: list[int], off_ns: int
) -> None:
    """It may cost one answer, after which all is forgotten."""
    before, after, places = Tape(steps_ns), Tape([off_ns, *later_ns]), TradePlaces()

    async def ask_all() -> None:
        for _ in range(3):
            await trades_from(before.ask, places, data.draw(st.integers(FIRST_ID, before.head)), None, 1_000)
        from_id = data.draw(st.integers(FIRST_ID - 1, after.head + 3))
        try:
            page = await trades_from(after.ask, places, from_id, None, 1_000)
        except BadPage:
            page = await trades_from(after.ask, places, from_id, None, 1_000)
        assert ids_of(page) == after.expected(from_id, len(page.trades))
        assert page.trades or from_id > after.head

    asyncio.run(ask_all())


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("crowd", [PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
def test_moment_with_more_trades_than_a_page_is_passed_and_told(crowd: int, inclusive: bool) -> None:
    tape = Tape([0, 10**6, 10**6] + [0] * (crowd - 1) + [10**6] * 20, inclusive=inclusive)
    lost = set(range(FIRST_ID + 2 + PAGE, FIRST_ID + 2 + crowd))
    refusals: list[str] = []

    async def read() -> list[int]:
        found: list[int] = []
        from_id, places = FIRST_ID, TradePlaces()
        while True:
            try:
                page = await trades_from(tape.ask, places, from_id, None, 1_000)
            except TradesRefused as refused:
                page = refused.page
                refusals.append(str(refused))
            found += ids_of(page)
            if page.reaches_head:
                return found
            from_id = found[-1] + 1

    found = asyncio.run(read())
    assert found == [each for each in tape.expected(FIRST_ID, 1_000) if each not in lost]
    assert len(refusals) == bool(lost)
    assert all("more trades of one moment" in refusal for refusal in refusals)


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("crowd", [PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
def test_whoever_asks_from_the_last_trade_that_it_has_passes_a_crowded_moment(crowd: int, inclusive: bool) -> None:
    """As repairs do: what an answer has between two trades is all that there is."""
    tape = Tape([0, 10**6, 10**6] + [0] * (crowd - 1) + [10**6] * 20, inclusive=inclusive)
    lost = set(range(FIRST_ID + 2 + PAGE, FIRST_ID + 2 + crowd))
    refusals: list[str] = []

    async def read() -> list[int]:
        found, places = [FIRST_ID], TradePlaces()
        while found[-1] < tape.head:
            assert tape.asked < 50
            try:
                page = await trades_from(tape.ask, places, found[-1], None, 1_000)
                assert ids_of(page)[0] == found[-1]
            except TradesRefused as refused:
                page = refused.page
                refusals.append(str(refused))
            found += [trade_id for trade_id in ids_of(page) if trade_id > found[-1]]
        return found

    found = asyncio.run(read())
    assert found == [each for each in tape.expected(FIRST_ID, 1_000) if each not in lost]
    assert len(refusals) == bool(lost)
    assert all("more trades of one moment" in refusal for refusal in refusals)


async def test_known_trade_before_costs_one_call_and_a_search_about_ten() -> None:
    """A million trades, as many in the last hour as in the year before."""
    tape = Tape([10**9] * 5_000 + [10**5] * 5_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time_paging, "AHEAD_TRADES", 3 * PAGE)
        from_id = FIRST_ID + 4_321

        await trades_from(tape.ask, TradePlaces(), from_id, tape.place(from_id - 1), 5)
        assert tape.asked == 1

        await trades_from(tape.ask, TradePlaces(), from_id, None, 5)
        assert tape.asked <= 1 + 15


class LeavingOut(Tape):
    """Some ids exist nowhere, and the first so many answers leave out others beside them."""

    absent: frozenset[int] = frozenset()
    left_out: tuple[frozenset[int], ...] = ()

    async def ask(self, since_ns: int | None) -> TimedPage:
        without = self.absent | (self.left_out[self.asked] if self.asked < len(self.left_out) else frozenset())
        page = await super().ask(since_ns)
        told = [trade for trade in page.trades if trade.trade_id not in without]
        return TimedPage(told, page.last_ns, page.is_full)


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(FIRST_ID + 2, FIRST_ID + 4)), st.sets(st.integers(FIRST_ID + 2, FIRST_ID + 4)))
def test_what_one_page_leaves_out_another_page_gives(absent: set[int], left_out: set[int]) -> None:
    """A page with a hole: what is in no page is absent, what the second one has is there."""
    tape = LeavingOut([10**9] * 30)
    tape.absent, tape.left_out = frozenset(absent), (frozenset(left_out),)

    page = asyncio.run(trades_from(tape.ask, TradePlaces(), FIRST_ID + 1, tape.place(FIRST_ID + 1), 1_000))

    assert ids_of(page) == [
        each for each in tape.expected(FIRST_ID + 1, len(page.trades) + len(absent)) if each not in absent
    ]
    assert tape.asked == 1 + bool(absent | left_out)


async def test_page_with_a_hole_that_no_other_page_spans_proves_nothing() -> None:
    tape = LeavingOut([10**9] * 30)
    tape.left_out = frozenset({FIRST_ID + 3}), frozenset(range(FIRST_ID + 3, FIRST_ID + 30))

    with pytest.raises(BadPage, match=f"trades after {FIRST_ID + 2} were left out"):
        await trades_from(tape.ask, TradePlaces(), FIRST_ID + 1, tape.place(FIRST_ID + 1), 1_000)


async def test_exchange_that_was_never_traded_on_has_no_trades() -> None:
    page = await trades_from(Tape([]).ask, TradePlaces(), 5, None, 10)

    assert (page.trades, page.reaches_head) == ([], True)


def test_refusal_is_one_for_good() -> None:
    assert issubclass(TradesRefused, VenueRefused)
