"""Which exchange a command means: the option `--exchange`, or its name before a symbol, else the first of EXCHANGES."""

from __future__ import annotations

import typer

from data_collector.model.errors import Misconfigured
from data_collector.model.venue import Venue
from data_collector.settings import Settings, load_settings
from data_collector.venues.discovery import venue_names


def chosen_settings(exchange: str | None, *symbols: str | None) -> Settings:
    """The settings of the exchange that is meant; where others are collected too, and none is named, that is told.

    `symbols` are texts that may name it. Raises `Misconfigured` for two exchanges, and as `load_settings`.
    """
    given = [name.strip().casefold() for name in (exchange or "").split(",") if name.strip()]
    named = dict.fromkeys((*given, *(name for text in symbols for name in _named_in(text or ""))))
    if len(named) > 1:
        raise Misconfigured(f"{' and '.join(named)} are named, and this command is about one exchange.")
    settings = load_settings(exchange=exchange if exchange is not None else next(iter(named), None))
    if not named and len(settings.exchanges) > 1:
        first, *others = settings.exchanges
        typer.echo(f"Of {first}, which EXCHANGES names first; --exchange chooses {' or '.join(others)}.", err=True)
    return settings


def symbol_of(text: str, venue: Venue) -> str:
    """In the exchange's own form; its name and a colon may stand before it. Raises `Misconfigured`."""
    symbol = venue.read_symbol(venue.without_name(text.strip()))
    if symbol is None:
        example = venue.default_symbols[0]
        raise Misconfigured(f"{text!r} cannot be a symbol; write it as {venue.name} does, such as {example}.")
    return symbol


def _named_in(text: str) -> list[str]:
    """Exchanges that stand before symbols, which have commas between them."""
    prefixes = (word.strip().partition(":") for word in text.split(","))
    return [name.casefold() for name, colon, _ in prefixes if colon and name.casefold() in venue_names()]
