"""What the commands of the history take options for: times, series, and how far back rows are kept."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime

from data_collector.history.filling import TimeSpan
from data_collector.history.retention import Retention
from data_collector.model.calendar import DAY_MS, MS_OF_UNIT
from data_collector.model.errors import Misconfigured
from data_collector.model.keys import Channel, Key
from data_collector.model.venue import Venue
from data_collector.model.wire import open_time_text
from data_collector.settings import Settings
from data_collector.settings.texts import symbols as symbols_of_text

_BACK = re.compile(r"-(\d{1,6})([smhdw])")

KLINES, TRADES = "RETENTION_DAYS_KLINES", "RETENTION_DAYS_TRADES"

LAST_YEAR = 2200
"""Beyond, a time in ms means a slip of the keyboard."""


def moment_ms(text: str, now_ms: int, *, option: str) -> int:
    """`2024-01-31`, `2024-01-31T12:00`, `now`, or `-30d` (also s, m, h, w); without an offset it is UTC."""
    text = text.strip()
    if text == "now":
        return now_ms
    back = _BACK.fullmatch(text)
    if back is not None:
        return max(0, now_ms - int(back[1]) * MS_OF_UNIT[back[2]])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Misconfigured(
            f"{option} {text!r} is no time; write 2024-01-31, 2024-01-31T12:00, now, or -30d (s, m, h, d, w)."
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not 1970 <= moment.year <= LAST_YEAR:
        raise Misconfigured(f"{option} {text!r} is out of range; exchanges have data of 2010 and later.")
    return max(0, round(moment.timestamp() * 1000))


def series_of(
    settings: Settings, venue: Venue, symbols: str | None, intervals: str | None, *, with_trades: bool
) -> list[Key]:
    """What a command line means: the settings where it names nothing."""
    try:
        chosen_symbols = settings.symbols if symbols is None else symbols_of_text(symbols, venue)
    except ValueError as error:
        raise Misconfigured(f"--symbols: {error}.") from None
    words = settings.intervals if intervals is None else _words(intervals)
    unknown = [word for word in words if word not in venue.intervals]
    if unknown:
        known = ", ".join(venue.intervals)
        raise Misconfigured(f"--intervals: {venue.name} has no {', '.join(unknown)}; it has {known} (1M is a month).")
    if not words and not with_trades:
        raise Misconfigured("Nothing to do: name --intervals, or give --trades.")
    series = [Key("kline", symbol, interval) for symbol in chosen_symbols for interval in words]
    return series + [Key("trade", symbol) for symbol in chosen_symbols if with_trades]


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def retention_of(settings: Settings, now_ms: int) -> Retention:
    """How far back rows are kept now."""
    limits = {name: limit_ms for name, _, limit_ms in _limits(settings, {"kline", "trade"}, now_ms)}
    return Retention(limits.get(KLINES), limits.get(TRADES))


def cuts_told(settings: Settings, series: Iterable[Key], from_ms: int | None, now_ms: int) -> list[str]:
    """A line for what was asked for from `from_ms` on and is not kept so long."""
    return [
        f"Left out what is from before {open_time_text(limit_ms // 1000 * 1000)}: {name}={days} keeps no older rows."
        for name, days, limit_ms in _limits(settings, {each.channel for each in series}, now_ms)
        if from_ms is not None and from_ms < limit_ms
    ]


def check_retention(settings: Settings, series: Iterable[Key], span: TimeSpan) -> None:
    """Rows older than the retention would be deleted again within the day. Raises `Misconfigured`."""
    for name, days, limit_ms in _limits(settings, {each.channel for each in series}, span.now_ms):
        if span.from_ms < limit_ms:
            raise Misconfigured(f"--from: {name}={days} keeps no older rows; use --from -{days}d, or raise it.")


def _limits(settings: Settings, channels: Collection[Channel], now_ms: int) -> Iterator[tuple[str, int, int]]:
    """Setting, days and oldest time of each retention that what is asked for has."""
    days_of = (("kline", KLINES, settings.retention_days_klines), ("trade", TRADES, settings.retention_days_trades))
    for channel, name, days in days_of:
        if days is not None and channel in channels:
            yield name, days, now_ms - days * DAY_MS
