"""The past of one series, page by page, out of stores that hold a part of it each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import pytest

from data_collector.client.reading.declared import Declared
from data_collector.client.reading.past import PastKlines, PastLives, first_open_ms, newest_from_ms
from data_collector.client.reading.questions import Plan, StoreCommand
from data_collector.client.reading.stored import Page
from data_collector.client.reading.symbols import Called, Joined, Sides
from data_collector.client.records import Gap, Kline, ms_of, time_of
from data_collector.model.calendar import DAY_MS, LATEST_MS
from data_collector.model.keys import Key, StoreKeys
from data_collector.model.wire import open_time_text
from tests.market import MINUTE_MS, NOON_MS, SYMBOL

Found = TypeVar("Found")
WEEK_MS = 7 * DAY_MS


class Held:
    """A store of candles, two on a page."""

    def __init__(self, interval: str, opens: Iterable[int]) -> None:
        self._interval = interval
        self._opens = sorted(opens)

    def klines(self, key: Key, from_ms: int, to_ms: int, before: Page | None) -> Plan[Page]:
        yield from ()
        found = [ms for ms in self._opens if from_ms <= ms < to_ms]
        page = found[:2]
        text = "".join(f"{SYMBOL},{open_time_text(ms)},{key.interval},1,1,1,1,1,,true,,,,ws,\n" for ms in page)
        return Page(text, page[-1] + 1 if len(found) > 2 else None)

    def trades(self, symbol: str, epoch: int, first: int, to_ms: int, before: Page | None) -> Plan[Page]:
        yield from ()
        return Page("", None)

    def first_trade(self, symbol: str, epoch: int, from_ms: int) -> Plan[int | None]:
        yield from ()
        return None

    def last_trade(self, symbol: str, epoch: int) -> Plan[int | None]:
        yield from ()
        return None

    def last_kline(self, key: Key) -> Plan[int | None]:
        yield from ()
        return max(self._opens, default=None)

    def epochs(self, symbol: str) -> Plan[list[int]]:
        yield from ()
        return [0]


def finish(plan: Plan[Found]) -> Found:
    """With nothing declared."""
    try:
        question = next(plan)
        while True:
            assert isinstance(question, StoreCommand)
            question = plan.send([])
    except StopIteration as end:
        found: Found = end.value
        return found


def declared() -> Declared:
    """Of a store that is never joined with another one."""
    return Declared(StoreKeys(), SYMBOL, Joined(StoreKeys(), Called("", ""), Sides()))


def read(
    interval: str, stores: Sequence[Held], from_ms: int = 0, until_ms: int | None = None
) -> list[int | tuple[int, int, int]]:
    """Open times, and the ranges of gaps with their counts; with an end, gaps at both ends."""
    past = PastKlines(
        Key("kline", SYMBOL, interval), stores, declared(), from_ms=from_ms,
        to_ms=until_ms or LATEST_MS, due_ms=None if until_ms is None else from_ms, closed_ms=until_ms,
    )  # fmt: skip
    found: list[int | tuple[int, int, int]] = []
    while (page := finish(past.next_page())) is not None:
        found += [told(item) for item in page]
    return found


def told(item: Kline | Gap) -> int | tuple[int, int, int]:
    if isinstance(item, Kline):
        return ms_of(item.timestamp)
    assert not isinstance(item.first, int)
    assert not isinstance(item.last, int)
    return ms_of(item.first), ms_of(item.last), item.count


def minutes(*numbers: int) -> list[int]:
    return [NOON_MS + number * MINUTE_MS for number in numbers]


def test_stores_fill_each_others_holes_and_ends() -> None:
    held = [Held("1m", minutes(1, 2, 5)), Held("1m", minutes(0, 3, 7, 8))]

    found = read("1m", held, NOON_MS, NOON_MS + 10 * MINUTE_MS)

    four, six, nine = minutes(4, 6, 9)
    assert found == [
        *minutes(0, 1, 2, 3), (four, four, 1), *minutes(5), (six, six, 1), *minutes(7, 8), (nine, nine, 1),
    ]  # fmt: skip


def test_months_follow_by_the_calendar() -> None:
    january, february, april = (ms_of(time_of(NOON_MS).replace(month=month, hour=0)) for month in (1, 2, 4))
    march = ms_of(time_of(NOON_MS).replace(month=3, hour=0))

    assert read("1M", [Held("1M", [january, february, april])]) == [january, february, (march, march, 1), april]
    assert first_open_ms("1M", NOON_MS) == february
    assert newest_from_ms("1M", april + DAY_MS, 2) == february


@pytest.mark.parametrize("interval", ["1w", "3d"])
def test_weeks_are_counted_from_one_that_the_exchange_sent(interval: str) -> None:
    length_ms = {"1w": WEEK_MS, "3d": 3 * DAY_MS}[interval]
    monday = NOON_MS - 12 * 60 * MINUTE_MS
    held = Held(interval, [monday + number * length_ms for number in (0, 1, 3)])

    assert first_open_ms(interval, monday) is None
    missing = monday + 2 * length_ms
    assert read(interval, [held], monday - DAY_MS) == [
        monday, monday + length_ms, (missing, missing, 1), monday + 3 * length_ms,
    ]  # fmt: skip


def test_newest_candles_are_those_that_have_closed() -> None:
    assert newest_from_ms("1m", NOON_MS + 30_000, 2) == NOON_MS - 2 * MINUTE_MS
    assert newest_from_ms("1m", NOON_MS, 2) == NOON_MS - 2 * MINUTE_MS
    assert newest_from_ms("1w", NOON_MS, 2) == NOON_MS - 2 * WEEK_MS


def test_candle_beside_the_grid_moves_nothing() -> None:
    odd = NOON_MS + MINUTE_MS // 2

    assert read("1m", [Held("1m", [*minutes(0, 1), odd])]) == [NOON_MS, odd, NOON_MS + MINUTE_MS]


def test_symbol_without_trades_has_no_past() -> None:
    lives = PastLives(SYMBOL, [Held("1m", [])], declared())

    assert finish(lives.next_page()) is None
