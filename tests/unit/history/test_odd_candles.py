"""Where a candle that is not whole stands."""

from __future__ import annotations

from msgspec import structs

from data_collector.history.odd_candles import parted, places_of
from data_collector.model.calendar import DAY_MS, UtcCalendar
from tests.market import kline

WEEK_MS = 7 * DAY_MS
MONDAY_MS = 1_704_067_200_000
"""2024-01-01."""


def test_week_that_ends_early_stands_on_its_monday_and_one_of_another_day_nowhere() -> None:
    """Of three weeks the second ends a day early, and another begins on a Tuesday."""
    weeks = [
        structs.replace(kline(0), interval="1w", open_ms=open_ms, close_ms=open_ms + WEEK_MS - 1 - short_ms)
        for open_ms, short_ms in (
            (MONDAY_MS, 0), (MONDAY_MS + WEEK_MS, DAY_MS), (MONDAY_MS + WEEK_MS + DAY_MS, DAY_MS),
            (MONDAY_MS + 2 * WEEK_MS, 0),
        )
    ]  # fmt: skip
    calendar = UtcCalendar()
    whole, odd = parted(calendar, weeks)

    assert places_of(calendar, odd, whole) == {MONDAY_MS + WEEK_MS: weeks[1]}
    assert places_of(calendar, odd[:1], []) == {MONDAY_MS + WEEK_MS: weeks[1]}
