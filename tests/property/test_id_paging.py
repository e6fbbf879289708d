"""Trades by their ids of an exchange that gives the newest ones below an id: whatever holes the ids have."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_collector.model.errors import VenueUnreachable
from data_collector.model.records import Trade
from data_collector.rest.budget import PacedBudget
from data_collector.rest.id_paged import IdPagedRest
from data_collector.rest.judging import Answer, Judgement

PAGE = 10
START_MS = 1_700_000_000_000


class Tape(IdPagedRest):
    """Of any symbol, on short pages."""

    trades_max = PAGE

    def __init__(self, trades: list[Trade]) -> None:
        super().__init__("", PacedBudget(1e-6))
        self.tape = trades
        self.calls = 0

    def judge(self, path: str, answer: Answer) -> Judgement:
        raise AssertionError("nothing is asked")

    async def trades_below(self, symbol: str, until_id: int | None, count: int, *, urgent: bool) -> list[Trade]:
        self.calls += 1
        end = len(self.tape) if until_id is None else bisect_left(self.tape, until_id, key=lambda each: each.trade_id)
        return self.tape[max(0, end - count) : end]


def tape_of(steps: list[tuple[int, int]]) -> list[Trade]:
    """Of the distances between ids, and between times."""
    ids, times = (list(accumulate(each)) for each in zip(*steps, strict=True))
    return [
        Trade("A", number, "1", "1", START_MS + ms, START_MS + ms, False, sub_ms_us=0)
        for number, ms in zip(ids, times, strict=True)
    ]


distances = st.sampled_from([1] * 30 + [2, 9, 10, 11, 500, 10**6])
tapes = st.lists(st.tuples(distances, st.sampled_from([0, 0, 1, 50, 10**7])), min_size=1, max_size=90).map(tape_of)


@given(trades=tapes, data=st.data(), knows_head=st.booleans())
def test_pages_from_any_id_are_the_tape(trades: list[Trade], data: st.DataObject, *, knows_head: bool) -> None:
    rest, limit = Tape(trades), data.draw(st.integers(1, PAGE), label="limit")
    from_id = data.draw(st.integers(0, trades[-1].trade_id + PAGE), label="from_id")

    async def all_pages() -> list[Trade]:
        if knows_head:
            await rest.heads(["A"])
        found, position = list[Trade](), from_id
        while True:
            page = await rest.trades("A", position, limit=limit)
            assert page.trades or page.reaches_head
            found += page.trades
            if page.reaches_head:
                return found
            position = found[-1].trade_id + 1

    assert asyncio.run(all_pages()) == [each for each in trades if each.trade_id >= from_id]


@given(trades=tapes, data=st.data())
def test_first_trade_since_a_time_is_found(trades: list[Trade], data: st.DataObject) -> None:
    times = st.sampled_from([0, *(each.time_ms for each in trades)])
    since_ms = data.draw(times | st.integers(START_MS, START_MS + 10**9), label="since")

    found = asyncio.run(Tape(trades).first_trade_id("A", since_ms))

    assert found == next((each.trade_id for each in trades if each.time_ms >= since_ms), None)


def test_first_trade_behind_a_hole_that_is_longer_than_a_page_is_found() -> None:
    """Looking half way tells the trade before the hole again and again."""
    trades = tape_of([(1, 0), (11, 1), *[(1, 0)] * 9])

    assert asyncio.run(Tape(trades).first_trade_id("A", trades[1].time_ms)) == trades[1].trade_id


@given(trades=tapes)
@settings(max_examples=20)
def test_ends_are_found(trades: list[Trade]) -> None:
    rest = Tape(trades)

    assert asyncio.run(rest.first_trade_ms("A")) == trades[0].time_ms
    assert asyncio.run(rest.newest_trade_id("A")) == trades[-1].trade_id
    assert asyncio.run(rest.heads(["A", "B"])) == dict.fromkeys("AB", trades[-1].trade_id)


def test_page_by_page_costs_one_call_each_where_later_ones_are_known() -> None:
    rest = Tape(tape_of([(1, 5)] * 1_000))

    async def read() -> int:
        await rest.trades("A", 995)
        begun = rest.calls
        for from_id in range(1, 900, PAGE):
            assert (await rest.trades("A", from_id)).trades[0].trade_id == from_id
        return rest.calls - begun

    assert asyncio.run(read()) == 90


def test_first_trade_of_a_long_history_takes_few_calls() -> None:
    """200,000 trades in pages of ten, in ten stretches that were not equally busy."""
    trades = tape_of([(1, ms) for ms in (1, 1, 1, 40, 40, 1, 1, 7, 7, 7) for _ in range(20_000)])
    rest = Tape(trades)

    assert asyncio.run(rest.first_trade_id("A", trades[123_456].time_ms)) is not None
    assert rest.calls < 25


def test_ids_that_began_anew_are_no_answer_and_then_one() -> None:
    """What was told as the newest id is far above all that there is now."""
    rest = Tape(tape_of([(1, 5)] * 500))

    async def read() -> list[int]:
        await rest.heads(["A"])
        rest.tape = rest.tape[:50]
        with pytest.raises(VenueUnreachable, match="trade 60 of A is not told"):
            await rest.trades("A", 60)
        return [each.trade_id for each in (await rest.trades("A", 45)).trades]

    assert asyncio.run(read()) == [45, 46, 47, 48, 49, 50]


def test_nothing_was_traded_yet() -> None:
    rest = Tape([])

    assert asyncio.run(rest.trades("A", 0)).reaches_head
    assert asyncio.run(rest.first_trade_id("A", 0)) is None
    assert asyncio.run(rest.first_trade_ms("A")) is None
    assert asyncio.run(rest.newest_trade_id("A")) is None
    assert asyncio.run(rest.heads(["A"])) == {}
