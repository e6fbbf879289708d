"""Stretches of trades that touch hold each trade once, whatever their times are and wherever they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from data_collector.client.reading.declared import Declared
from data_collector.client.reading.past import PastLives
from data_collector.client.reading.questions import Plan
from data_collector.client.reading.stored import Page
from data_collector.client.reading.symbols import Called, Joined, Sides
from data_collector.client.records import Epoch, Gap, Trade
from data_collector.model.calendar import LATEST_MS
from data_collector.model.keys import Key, StoreKeys
from data_collector.model.wire import trade_time_text
from tests.market import NOON_MS, SYMBOL
from tests.unit.client.reading.test_past import finish

Found = TypeVar("Found")

Place = int | tuple[int, int]
"""An id, or the ends of a gap."""


class Held:
    """Some trades, by id, each with its time; three on a page."""

    def __init__(self, times: dict[int, int]) -> None:
        self._times = times

    def trades(self, symbol: str, epoch: int, first: int, to_ms: int, before: Page | None) -> Plan[Page]:
        yield from ()
        found = [(number, ms) for number, ms in self._times.items() if number >= first and ms < to_ms]
        text = "".join(f"{SYMBOL},{trade_time_text(ms)},{number},1,1,,,,ws,\n" for number, ms in found[:3])
        return Page(text, found[2][0] + 1 if len(found) > 3 else None)

    def first_trade(self, symbol: str, epoch: int, from_ms: int) -> Plan[int | None]:
        yield from ()
        return next((number for number, ms in self._times.items() if ms >= from_ms), None)

    def epochs(self, symbol: str) -> Plan[list[int]]:
        yield from ()
        return [0]

    def klines(self, key: Key, from_ms: int, to_ms: int, before: Page | None) -> Plan[Page]:
        yield from ()
        return Page("", None)

    def last_trade(self, symbol: str, epoch: int) -> Plan[int | None]:
        yield from ()
        return None

    def last_kline(self, key: Key) -> Plan[int | None]:
        yield from ()
        return None


def place_of(item: Trade | Gap | Epoch) -> Place:
    assert not isinstance(item, Epoch)
    if isinstance(item, Trade):
        return item.trade_id
    assert isinstance(item.first, int)
    assert isinstance(item.last, int)
    return item.first, item.last


def held(made: Sequence[tuple[int, int]], bit: int) -> Held:
    return Held({number: NOON_MS + ms for number, (ms, places) in enumerate(made) if places & bit})


def read(stores: Sequence[Held], from_ms: int, to_ms: int) -> list[Place]:
    declared = Declared(StoreKeys(), SYMBOL, Joined(StoreKeys(), Called("", ""), Sides()))
    past = PastLives(SYMBOL, stores, declared, from_ms=from_ms, to_ms=to_ms)
    found: list[Place] = []
    while (page := finish(past.next_page())) is not None:
        found += map(place_of, page)
    return found


TRADES = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), max_size=20)
"""A time, and where the trade is: 1 is the first store, 2 the second, 3 both, 0 nowhere."""


@given(made=TRADES, cuts=st.lists(st.integers(0, 25), min_size=2, max_size=5).map(sorted))
def test_stretches_that_touch_hold_each_trade_once(made: list[tuple[int, int]], cuts: list[int]) -> None:
    times = [NOON_MS + ms for ms, _ in made]
    stores = [held(made, bit) for bit in (1, 2)]
    ends = [NOON_MS + cut for cut in cuts]

    parts = [read(stores, from_ms, to_ms) for from_ms, to_ms in pairwise(ends)]
    whole = read(stores, ends[0], ends[-1])

    stored = [number for number, (_, places) in enumerate(made) if places]
    begin, end = (next((each for each in stored if times[each] >= ms), len(made)) for ms in (ends[0], ends[-1]))
    assert [place for part in parts for place in part] == whole
    assert [place for place in whole if isinstance(place, int)] == [each for each in stored if begin <= each < end]


@given(made=TRADES, cut=st.integers(0, 25))
def test_what_has_no_end_begins_where_the_other_ends(made: list[tuple[int, int]], cut: int) -> None:
    stores = [held(made, bit) for bit in (1, 2)]

    assert read(stores, 0, NOON_MS + cut) + read(stores, NOON_MS + cut, LATEST_MS) == read(stores, 0, LATEST_MS)
