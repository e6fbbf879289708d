"""Open and close times of klines, also of intervals that only a user or a broken exchange writes."""

from __future__ import annotations

import pytest

from data_collector.validation.rules.conditions import is_close_time, is_on_grid
from tests.market import MINUTE_MS, NOON_MS

JANUARY_MS = 1_704_067_200_000
FEBRUARY_MS = 1_706_745_600_000


def test_minutes_open_on_the_minute() -> None:
    assert is_on_grid("1m", NOON_MS)
    assert not is_on_grid("1m", NOON_MS + 1)


def test_months_open_on_the_first_and_end_before_the_next() -> None:
    assert is_on_grid("1M", JANUARY_MS)
    assert not is_on_grid("1M", NOON_MS)
    assert is_close_time("1M", JANUARY_MS, FEBRUARY_MS - 1)
    assert not is_close_time("1M", JANUARY_MS, FEBRUARY_MS)


def test_month_beyond_all_years_is_broken() -> None:
    assert not is_on_grid("1M", 86_400_000 * 2**36)
    assert not is_close_time("1M", 2**53, 2**53 + 1)


@pytest.mark.parametrize(
    "interval", ["0m", "0s", "-1m", "", "m", "M", "0M", "1x", "7m", "1_0m", "2M", "1" * 5000 + "m"]
)
def test_unknown_interval_passes(interval: str) -> None:
    assert is_on_grid(interval, NOON_MS + 7)
    assert is_close_time(interval, NOON_MS, NOON_MS + MINUTE_MS)
