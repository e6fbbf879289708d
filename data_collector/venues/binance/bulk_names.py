"""What Binance calls its published files, and which of them hold a range of time. Pure.

https://github.com/binance/binance-public-data:
`data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01.zip`,
`data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-01-31.zip`;
beside each lies its SHA-256 as `.CHECKSUM`, inside lies one CSV of the same name.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from data_collector.model.calendar import DAY_MS, UtcCalendar
from data_collector.model.keys import Key
from data_collector.model.published import BulkFile

FILES_URL = "https://data.binance.vision"

CALENDAR = UtcCalendar()

BY_MONTH_ONLY = frozenset({"3d", "1w", "1M"})
"""Of these a day is no whole candle."""

_NAMES_OF_INTERVALS = {"1M": "1mo"}
"""Some file systems take `1m` and `1M` for the same."""

CHECKSUM = ".CHECKSUM"


def name_of_series(key: Key) -> str:
    """What an interval, or trades, are called in the name of a file."""
    return "trades" if key.interval is None else _NAMES_OF_INTERVALS.get(key.interval, key.interval)


def month_file(key: Key, month: datetime) -> BulkFile:
    """The file of the UTC month that begins then."""
    until = (month + timedelta(days=31)).replace(day=1)
    return _file(key, "monthly", month, until, f"{month:%Y-%m}")


def day_file(key: Key, day: datetime) -> BulkFile:
    """The file of the UTC day that begins then."""
    return _file(key, "daily", day, day + timedelta(days=1), f"{day:%Y-%m-%d}")


def covering(key: Key, from_ms: int, to_ms: int) -> list[BulkFile]:
    """Months that lie in the range whole, and days for the rest; see `model.published.BulkFiles`."""
    if from_ms >= to_ms:
        return []
    found: list[BulkFile] = []
    start = _midnight(from_ms)
    for month in _months(start.replace(day=1), to_ms):
        file = month_file(key, month)
        if key.interval in BY_MONTH_ONLY or (from_ms <= file.first_ms and file.until_ms <= to_ms):
            found.append(file)
        else:
            found.extend(day for day in days_of(file) if day.until_ms > from_ms and day.first_ms < to_ms)
    return found


def days_of(month: BulkFile) -> list[BulkFile]:
    """The days of a month's file; empty for a day's file, and for intervals that are published by the month only."""
    first = _midnight(month.first_ms)
    if month.key.interval in BY_MONTH_ONLY or month.until_ms - month.first_ms <= DAY_MS:
        return []
    days = (month.until_ms - month.first_ms) // DAY_MS
    return [day_file(month.key, first + timedelta(days=number)) for number in range(days)]


def _file(key: Key, pace: str, first: datetime, until: datetime, period: str) -> BulkFile:
    series = name_of_series(key)
    folder = f"{key.channel}s/{key.symbol}" if key.channel == "trade" else f"{key.channel}s/{key.symbol}/{series}"
    path = f"data/spot/{pace}/{folder}/{key.symbol}-{series}-{period}.zip"
    return BulkFile(key, _ms_of(first), _ms_of(until), path)


def _months(first: datetime, to_ms: int) -> Iterator[datetime]:
    month = first
    while _ms_of(month) < to_ms:
        yield month
        month = (month + timedelta(days=31)).replace(day=1)


def _midnight(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms // 1000, UTC).replace(hour=0, minute=0, second=0)


def _ms_of(time: datetime) -> int:
    return int(time.timestamp()) * 1000
