"""When klines open."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from data_collector.model.calendar import UtcCalendar, missing_range, place_ms

CALENDAR = UtcCalendar()


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("interval", "opened", "following"),
    [
        ("1s", "2024-02-28T23:59:59", "2024-02-29T00:00:00"),
        ("1m", "2024-01-01T12:00", "2024-01-01T12:01"),
        ("3m", "2024-01-01T12:00", "2024-01-01T12:03"),
        ("5m", "2024-01-01T12:55", "2024-01-01T13:00"),
        ("15m", "2024-01-01T23:45", "2024-01-02T00:00"),
        ("30m", "2024-01-01T12:00", "2024-01-01T12:30"),
        ("1h", "2024-12-31T23:00", "2025-01-01T00:00"),
        ("2h", "2024-01-01T22:00", "2024-01-02T00:00"),
        ("4h", "2024-01-01T20:00", "2024-01-02T00:00"),
        ("6h", "2024-01-01T18:00", "2024-01-02T00:00"),
        ("8h", "2024-01-01T16:00", "2024-01-02T00:00"),
        ("12h", "2024-01-01T12:00", "2024-01-02T00:00"),
        ("1d", "2024-02-28T00:00", "2024-02-29T00:00"),
        ("3d", "2024-02-27T00:00", "2024-03-01T00:00"),
        ("1w", "2024-01-01T00:00", "2024-01-08T00:00"),
        ("1M", "2024-01-01T00:00", "2024-02-01T00:00"),
        ("1M", "2024-02-01T00:00", "2024-03-01T00:00"),
        ("1M", "2023-02-01T00:00", "2023-03-01T00:00"),
        ("1M", "2024-12-01T00:00", "2025-01-01T00:00"),
    ],
)
def test_next_open_time(interval: str, opened: str, following: str) -> None:
    assert CALENDAR.next_open_ms(interval, ms(opened)) == ms(following)


def test_every_interval_of_every_venue_has_a_next_open_time() -> None:
    from data_collector.venues.discovery import find_venue, venue_names

    for venue in map(find_venue, venue_names()):
        for interval in venue.intervals:
            assert venue.calendar.next_open_ms(interval, ms("2024-01-01T00:00")) > ms("2024-01-01T00:00")


@pytest.mark.parametrize(
    ("interval", "first", "until", "last", "count"),
    [
        ("1m", "2024-01-01T12:00", "2024-01-01T12:01", "2024-01-01T12:00", 1),
        ("1m", "2024-01-01T12:00", "2024-01-01T12:05", "2024-01-01T12:04", 5),
        ("1s", "2024-01-01T00:00", "2024-01-02T00:00", "2024-01-01T23:59:59", 86_400),
        ("3d", "2024-01-01T00:00", "2024-01-10T00:00", "2024-01-07T00:00", 3),
        ("1w", "2024-01-01T00:00", "2024-01-15T00:00", "2024-01-08T00:00", 2),
        ("1M", "2024-01-01T00:00", "2024-02-01T00:00", "2024-01-01T00:00", 1),
        ("1M", "2023-11-01T00:00", "2024-03-01T00:00", "2024-02-01T00:00", 4),
    ],
)
def test_missing_range_is_the_last_open_time_before_the_end_and_the_count(
    interval: str, first: str, until: str, last: str, count: int
) -> None:
    assert missing_range(CALENDAR, interval, ms(first), ms(until)) == (ms(last), count)


def test_month_that_opens_off_the_grid_is_no_crash() -> None:
    # An exchange can send any open time; what follows is only used to judge the next kline.
    assert CALENDAR.next_open_ms("1M", ms("2024-01-31T00:00")) > ms("2024-01-31T00:00")


@pytest.mark.parametrize(
    ("interval", "time", "anchor", "place"),
    [
        ("1w", "2024-01-01", None, "2024-01-01"),
        ("1w", "2024-01-01T00:01", None, None),
        ("1w", "2024-01-03", "2024-03-04", "2024-01-01"),
        ("1w", "2024-01-15T00:01", "2024-01-01", "2024-01-15"),
        ("3d", "2024-01-02", None, "2024-01-02"),
        ("3d", "2024-01-06", "2024-01-02", "2024-01-05"),
        ("1M", "2024-01-31T23:59", "2024-03-01", "2024-01-01"),
        ("5m", "2024-01-01T00:09", None, "2024-01-01T00:05"),
    ],
)
def test_place_of_an_odd_candle(interval: str, time: str, anchor: str | None, place: str | None) -> None:
    found = place_ms(CALENDAR, interval, ms(time), None if anchor is None else ms(anchor))

    assert found == (None if place is None else ms(place))
