"""Holds the wanted symbols against the exchange's own list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from data_collector.model.errors import Misconfigured
from data_collector.model.venue import SymbolRules, Venue
from data_collector.settings import Settings

TRADING = "TRADING"


def check_venue(settings: Settings, venue: Venue) -> None:
    """Intervals and channels that the exchange does not have. Raises `Misconfigured` with all of them."""
    faults = []
    intervals = [interval for interval in settings.intervals if interval not in venue.intervals]
    if intervals:
        have = ", ".join(venue.intervals)
        faults.append(f"INTERVALS: {venue.name} has no {', '.join(intervals)}; it has {have} (case matters).")
    channels = [channel for channel in settings.channels if channel not in venue.channels]
    if channels:
        faults.append(f"CHANNELS: {venue.name} has no {', '.join(channels)}; it has {', '.join(venue.channels)}.")
    if faults:
        raise Misconfigured("\n".join(faults))


def unknown_symbols(wanted: Sequence[str], listed: Mapping[str, SymbolRules]) -> list[str]:
    """Those that the exchange does not list."""
    return [symbol for symbol in wanted if symbol not in listed]


def unknown_sentence(unknown: Sequence[str], listed: Mapping[str, SymbolRules], venue: str) -> str:
    """All of them at once, each with what may have been meant."""
    suggestions = []
    for symbol in unknown:
        close = get_close_matches(symbol, listed, n=1, cutoff=0.6)
        suggestions.append(f"{symbol} (did you mean {close[0]}?)" if close else symbol)
    return f"SYMBOLS: {venue} does not list {', '.join(suggestions)}. Names are the exchange's own, such as BTCUSDT."


def resting_symbols(wanted: Sequence[str], listed: Mapping[str, SymbolRules]) -> dict[str, str]:
    """Those that are listed and do not trade now, with their state."""
    return {symbol: listed[symbol].status for symbol in wanted if symbol in listed and listed[symbol].status != TRADING}
