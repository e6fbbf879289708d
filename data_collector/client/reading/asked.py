"""What a client is asked for, checked before anything is read. All of it raises `WrongQuestion`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data_collector.client.errors import WrongQuestion
from data_collector.client.reading.following import Following, Start, Wanted
from data_collector.client.reading.history import Stretch
from data_collector.client.reading.market import Market, Source
from data_collector.client.terms.policy import GapPolicy, checked_policy
from data_collector.client.terms.position import position_of
from data_collector.client.terms.series import klines_of, series_of, trades_of
from data_collector.client.terms.times import Time, now_ms, time_ms
from data_collector.model.calendar import LATEST_MS
from data_collector.model.keys import Key

_BEGINS: Mapping[str, Start] = {"now": "now", "earliest": "earliest"}


def klines_stretch(
    symbol: str, interval: str, start: Time | None, end: Time | None, limit: int | None, gaps: GapPolicy,
    source: Source,
) -> Stretch:  # fmt: skip
    """Candles."""
    return _stretch_of(klines_of(symbol, interval), start, end, limit, gaps, source)


def trades_stretch(
    symbol: str, start: Time | None, end: Time | None, after: int | None, limit: int | None, gaps: GapPolicy,
    source: Source,
) -> Stretch:  # fmt: skip
    """Trades."""
    return _stretch_of(trades_of(symbol), start, end, limit, gaps, source, after)


def _stretch_of(
    key: Key, start: Time | None, end: Time | None, limit: int | None, gaps: GapPolicy, source: Source,
    after: int | None = None,
) -> Stretch:  # fmt: skip
    now = now_ms()
    from_ms = None if start is None else time_ms("start", start, now)
    to_ms = None if end is None else time_ms("end", end, now)
    if from_ms is not None and to_ms is not None and from_ms > to_ms:
        raise WrongQuestion("start lies after end.")
    return Stretch(key, now, from_ms, to_ms, limit, after, checked_policy(gaps, [key]), source)


def live_of(
    market: Market, series: Sequence[str], now_ms: int, *, start: Time, position: str | None, gaps: GapPolicy,
    with_open: bool, with_revisions: bool,
) -> Following:  # fmt: skip
    """A live stream."""
    keys = _keys(series)
    begin = _BEGINS.get(start) if isinstance(start, str) else None
    begin = time_ms("start", start, now_ms) if begin is None else begin
    wanted = Wanted(
        keys, now_ms, position_of(position), begin, checked_policy(gaps, keys), with_open,
        with_revisions,
    )  # fmt: skip
    return Following(wanted, market)


def replay_of(
    market: Market, series: Sequence[str], now_ms: int, *, start: Time, end: Time | None, position: str | None,
    gaps: GapPolicy, speed: float | None,
) -> Following:  # fmt: skip
    """A replay."""
    keys = _keys(series)
    if speed is not None and not speed > 0:
        raise WrongQuestion(f"speed={speed!r} is no pace: 1 is that of the market, None as fast as it goes.")
    start_ms = time_ms("start", start, now_ms)
    end_ms = LATEST_MS if end is None else time_ms("end", end, now_ms)
    if start_ms > end_ms:
        raise WrongQuestion("start lies after end.")
    wanted = Wanted(
        keys, now_ms, position_of(position), start_ms, checked_policy(gaps, keys), end_ms=end_ms,
        speed=speed,
    )  # fmt: skip
    return Following(wanted, market)


def _keys(series: Sequence[str]) -> list[Key]:
    if not series:
        raise WrongQuestion("No series is named: write BTCUSDT:trades for trades, BTCUSDT:1m for candles.")
    return list(dict.fromkeys(series_of(text) for text in series))
