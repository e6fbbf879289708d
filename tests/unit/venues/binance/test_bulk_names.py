"""Which published files hold a range of time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from data_collector.model.keys import Key
from data_collector.venues.binance.bulk_names import covering, days_of, month_file


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def key(interval: str | None) -> Key:
    return Key("trade" if interval is None else "kline", "BTCUSDT", interval)


def names(interval: str | None, first: str, until: str) -> list[str]:
    return [file.name.removesuffix(".zip") for file in covering(key(interval), ms(first), ms(until))]


def test_whole_months_are_one_file_each_and_the_rest_comes_as_days() -> None:
    found = names("1m", "2023-12-30T12:00", "2024-03-02T00:00:01")

    assert found == [
        "BTCUSDT-1m-2023-12-30", "BTCUSDT-1m-2023-12-31", "BTCUSDT-1m-2024-01", "BTCUSDT-1m-2024-02",
        "BTCUSDT-1m-2024-03-01", "BTCUSDT-1m-2024-03-02",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("interval", "path"),
    [
        ("1m", "data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-02.zip"),
        ("1M", "data/spot/monthly/klines/BTCUSDT/1mo/BTCUSDT-1mo-2024-02.zip"),
        (None, "data/spot/monthly/trades/BTCUSDT/BTCUSDT-trades-2024-02.zip"),
    ],
)
def test_month_and_minute_have_paths_that_differ_by_more_than_case(interval: str | None, path: str) -> None:
    (file,) = covering(key(interval), ms("2024-02-01"), ms("2024-03-01"))

    assert file.path == path
    assert (file.first_ms, file.until_ms) == (ms("2024-02-01"), ms("2024-03-01"))


@pytest.mark.parametrize("interval", ["3d", "1w", "1M"])
def test_candles_longer_than_a_day_are_published_by_the_month_only(interval: str) -> None:
    (file,) = covering(key(interval), ms("2024-02-05"), ms("2024-02-08"))

    assert file.name.endswith("-2024-02.zip")
    assert days_of(file) == []


def test_month_that_is_not_published_is_read_by_its_days() -> None:
    days = days_of(month_file(Key("trade", "BTCUSDT"), datetime(2024, 2, 1, tzinfo=UTC)))

    assert [day.name for day in days[:1] + days[-1:]] == [
        "BTCUSDT-trades-2024-02-01.zip", "BTCUSDT-trades-2024-02-29.zip",
    ]  # fmt: skip
    assert days_of(days[0]) == []


def test_range_of_nothing_has_no_files() -> None:
    assert names("1m", "2024-02-01", "2024-02-01") == []
