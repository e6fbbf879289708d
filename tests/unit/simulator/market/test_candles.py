"""The calendar of klines."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from data_collector.model.calendar import DAY_MS, HOUR_MS
from data_collector.simulator.market.candles import INTERVALS, next_open, open_of

NOON_MS = int(datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC).timestamp()) * 1000


def moment(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ("1s", moment(2024, 2, 29, 12, 34, 56)),
        ("1m", moment(2024, 2, 29, 12, 34)),
        ("15m", moment(2024, 2, 29, 12, 30)),
        ("8h", moment(2024, 2, 29, 8)),
        ("1d", moment(2024, 2, 29)),
        ("1w", moment(2024, 2, 26)),
        ("1M", moment(2024, 2, 1)),
    ],
)
def test_candle_opens_where_the_calendar_says(interval: str, expected: int) -> None:
    assert open_of(interval, NOON_MS) == expected


@pytest.mark.parametrize("interval", INTERVALS)
def test_next_candle_opens_where_the_last_one_ends(interval: str) -> None:
    open_ms = open_of(interval, NOON_MS)
    for _ in range(30):
        following = next_open(interval, open_ms)
        assert open_of(interval, following) == following
        assert open_of(interval, following - 1) == open_ms
        open_ms = following


def test_weeks_open_on_monday_and_months_have_their_length() -> None:
    assert datetime.fromtimestamp(open_of("1w", NOON_MS) // 1000, UTC).weekday() == 0
    assert next_open("1M", moment(2024, 2, 1)) == moment(2024, 3, 1)
    assert next_open("1M", moment(2023, 12, 1)) == moment(2024, 1, 1)


def test_days_of_utc_plus_8_open_eight_hours_earlier() -> None:
    offset_ms = 8 * HOUR_MS

    assert open_of("1d", NOON_MS, offset_ms) == moment(2024, 2, 28, 16)
    assert next_open("1d", moment(2024, 2, 28, 16), offset_ms) - moment(2024, 2, 28, 16) == DAY_MS
    assert open_of("1M", NOON_MS, offset_ms) == moment(2024, 1, 31, 16)
