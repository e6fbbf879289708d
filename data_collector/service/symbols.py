"""Holds the wanted symbols against the exchange's own list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from data_collector.model.errors import Misconfigured
from data_collector.model.protocols import SymbolRules, Venue
from data_collector.settings import Settings

TRADING = "TRADING"


def check_venue(settings: Settings, venue: Venue) -> None:
    """Intervals and channels that the exchange does not have. Raises `Misconfigured` with all of them."""
    unknown = [interval for interval in settings.intervals if interval not in venue.intervals]
    if unknown:
        raise Misconfigured(
            f"INTERVALS: {', '.join(unknown)}: {venue.name} has {', '.join(venue.intervals)} (case matters)."
        )
    missing = [channel for channel in settings.channels if channel not in venue.channels]
    if missing:
        raise Misconfigured(f"CHANNELS: {', '.join(missing)}: {venue.name} has {', '.join(venue.channels)}.")


def unknown_symbols(wanted: Sequence[str], listed: Mapping[str, SymbolRules]) -> list[str]:
    """Those that the exchange does not list."""
    return [symbol for symbol in wanted if symbol not in listed]


def unknown_sentence(unknown: Sequence[str], listed: Mapping[str, SymbolRules], venue: str) -> str:
    """All of them at once, each with what may have been meant."""
    told = []
    for symbol in unknown:
        close = get_close_matches(symbol, listed, n=1, cutoff=0.6)
        told.append(f"{symbol} (did you mean {close[0]}?)" if close else symbol)
    return f"SYMBOLS: {venue} does not list {', '.join(told)}. Names are the exchange's own, such as BTCUSDT."


def resting_symbols(wanted: Sequence[str], listed: Mapping[str, SymbolRules]) -> dict[str, str]:
    """Those that are listed and do not trade now, with their state."""
    return {symbol: listed[symbol].status for symbol in wanted if symbol in listed and listed[symbol].status != TRADING}
