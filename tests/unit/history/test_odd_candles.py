"""Where a candle that is not whole stands."""

from __future__ import annotations

from msgspec import structs

from data_collector.history.odd_candles import parted, places_of
from data_collector.model.calendar import DAY_MS, UtcCalendar
from data_collector.model.records import Kline
from tests.market import kline

MONDAY_MS = 1_704_067_200_000
"""2024-01-01."""


def week(day: int, *, days: int = 7) -> Kline:
    """One that opens so many days after the first Monday."""
    open_ms = MONDAY_MS + day * DAY_MS
    return structs.replace(kline(0), interval="1w", open_ms=open_ms, close_ms=open_ms + days * DAY_MS - 1)


def test_weeks_that_open_on_another_day_stand_on_their_monday_where_nothing_whole_is() -> None:
    """Mondays of 1 and 22 January, and between them weeks of seven days from the Wednesdays of 3, 10 and 17 January."""
    calendar = UtcCalendar()
    klines = [week(0), week(2), week(9), week(16), week(21)]

    whole, odd = parted(calendar, klines, MONDAY_MS)

    assert whole == [week(0), week(21)]
    assert places_of(calendar, odd, whole, MONDAY_MS) == {week(7).open_ms: week(9), week(14).open_ms: week(16)}


def test_week_that_ends_early_stands_on_its_monday_and_before_what_follows_in_it() -> None:
    """Of three weeks the second ends a day early, and another begins on its Tuesday."""
    weeks = [week(0), week(7, days=6), week(8, days=6), week(14)]
    calendar = UtcCalendar()
    whole, odd = parted(calendar, weeks, MONDAY_MS)

    assert places_of(calendar, odd, whole, MONDAY_MS) == {week(7).open_ms: weeks[1]}
    assert places_of(calendar, odd[:1], []) == {week(7).open_ms: weeks[1]}
