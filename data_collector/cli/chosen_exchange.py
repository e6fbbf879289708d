"""The option `--exchange` of commands, and symbols as their exchange writes them."""

from __future__ import annotations

from typing import Annotated

import typer

from data_collector.model.errors import Misconfigured
from data_collector.model.venue import Venue

ExchangeOption = Annotated[str | None, typer.Option("--exchange", help="The exchange; default: EXCHANGES.")]


def symbol_of(text: str, venue: Venue) -> str:
    """In the exchange's own form; the prefix of its keys may stand before it. Raises `Misconfigured`."""
    symbol = venue.read_symbol(text.strip().removeprefix(venue.key_prefix))
    if symbol is None:
        example = venue.default_symbols[0]
        raise Misconfigured(f"{text!r} cannot be a symbol; write it as {venue.name} does, such as {example}.")
    return symbol
