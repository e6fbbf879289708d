"""What commands make of `RETENTION_DAYS_KLINES` and `RETENTION_DAYS_TRADES`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from data_collector.history.filling import Span
from data_collector.history.kept import Kept
from data_collector.model.calendar import DAY_MS
from data_collector.model.errors import Misconfigured
from data_collector.model.keys import Channel, Key
from data_collector.model.wire import open_time_text
from data_collector.settings import Settings

KLINES, TRADES = "RETENTION_DAYS_KLINES", "RETENTION_DAYS_TRADES"


def kept_by(settings: Settings, now_ms: int) -> Kept:
    """How far back rows are kept now."""
    limits = {name: limit_ms for name, _, limit_ms in _limits(settings, {"kline", "trade"}, now_ms)}
    return Kept(limits.get(KLINES), limits.get(TRADES))


def cuts_told(settings: Settings, series: Iterable[Key], from_ms: int | None, now_ms: int) -> list[str]:
    """A line for what was asked for from `from_ms` on and is not kept so long."""
    return [
        f"Left out what is from before {open_time_text(limit_ms // 1000 * 1000)}: {name}={days} keeps no older rows."
        for name, days, limit_ms in _limits(settings, {each.channel for each in series}, now_ms)
        if from_ms is not None and from_ms < limit_ms
    ]


def check_kept(settings: Settings, series: Iterable[Key], span: Span) -> None:
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
