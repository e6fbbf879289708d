"""Binance's calendar of klines: which intervals there are, and where a candle opens and ends. All times in ms UTC."""

from __future__ import annotations

from datetime import UTC, datetime

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

STEP_MS: dict[str, int] = {
    "1s": 1000,
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS,
    "6h": 6 * HOUR_MS,
    "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
}
"""Every interval of a fixed length; `1M` is the one without."""

INTERVALS: tuple[str, ...] = (*STEP_MS, "1M")

MONDAY_MS = 4 * DAY_MS
"""The first Monday after the epoch: weeks open on Mondays."""


def open_of(interval: str, time_ms: int, offset_ms: int = 0) -> int:
    """The open time of the candle that `time_ms` belongs to, in a zone `offset_ms` east of UTC."""
    local_ms = time_ms + offset_ms
    if interval == "1M":
        return _month_start(local_ms) - offset_ms
    step_ms = STEP_MS[interval]
    phase_ms = MONDAY_MS if interval == "1w" else 0
    return local_ms - (local_ms - phase_ms) % step_ms - offset_ms


def next_open(interval: str, open_ms: int, offset_ms: int = 0) -> int:
    """The open time of the candle after the one that opens at `open_ms`."""
    if interval == "1M":
        # 31 days and a bit always land in the following month.
        return _month_start(open_ms + offset_ms + 31 * DAY_MS) - offset_ms
    return open_ms + STEP_MS[interval]


def _month_start(time_ms: int) -> int:
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    return int(datetime(moment.year, moment.month, 1, tzinfo=UTC).timestamp()) * 1000
