"""Which series a command of the history means."""

from __future__ import annotations

from data_collector.model.errors import Misconfigured
from data_collector.model.keys import Key
from data_collector.model.protocols import Venue
from data_collector.settings import Settings
from data_collector.settings.texts import symbols as symbols_of_text


def series_of(
    settings: Settings, venue: Venue, symbols: str | None, intervals: str | None, *, with_trades: bool
) -> list[Key]:
    """What a command line means: the settings where it names nothing."""
    try:
        chosen_symbols = settings.symbols if symbols is None else symbols_of_text(symbols)
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
