"""What commands make of `RETENTION_DAYS_KLINES` and `RETENTION_DAYS_TRADES`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from data_collector.history.filling import Span
from data_collector.history.kept import Kept
from data_collector.history.series import Series
from data_collector.model.calendar import DAY_MS
from data_collector.model.errors import Misconfigured
from data_collector.model.wire import open_time_text
from data_collector.settings import Settings

KLINES, TRADES = "RETENTION_DAYS_KLINES", "RETENTION_DAYS_TRADES"


def kept_by(settings: Settings, now_ms: int) -> Kept:
    """How far back rows are kept now."""
    limits = {name: limit_ms for name, _, limit_ms in _limits(settings, ("1m", None), now_ms)}
    return Kept(limits.get(KLINES), limits.get(TRADES))


def cuts_told(
    settings: Settings, intervals: Iterable[str | None], from_ms: int | None, now_ms: int
) -> list[str]:  # fmt: skip
    """A line for what was asked for from `from_ms` on and is not kept so long; `intervals` has None for trades."""
    return [
        f"Left out what is from before {open_time_text(limit_ms // 1000 * 1000)}: {name}={days} keeps no older rows."
        for name, days, limit_ms in _limits(settings, intervals, now_ms)
        if from_ms is not None and from_ms < limit_ms
    ]


def check_kept(settings: Settings, series: Iterable[Series], span: Span) -> None:
    """Rows older than the retention would be deleted again within the day. Raises `Misconfigured`."""
    for name, days, limit_ms in _limits(settings, {each.interval for each in series}, span.now_ms):
        if span.from_ms < limit_ms:
            raise Misconfigured(f"--from: {name}={days} keeps no older rows; use --from -{days}d, or raise it.")


def _limits(
    settings: Settings, intervals: Iterable[str | None], now_ms: int
) -> Iterator[tuple[str, int, int]]:  # fmt: skip
    """Setting, days and oldest time of each retention that what is asked for has."""
    kinds = {interval is None for interval in intervals}
    days_of = ((KLINES, settings.retention_days_klines, False), (TRADES, settings.retention_days_trades, True))
    for name, days, of_trades in days_of:
        if days is not None and of_trades in kinds:
            yield name, days, now_ms - days * DAY_MS
