"""Finds the exchanges: every folder here with a module `venue` that has a `VENUE`. There is no registry."""

from __future__ import annotations

import importlib
import pkgutil

import data_collector.venues
from data_collector.model.errors import Misconfigured
from data_collector.model.venue import Venue

FIRST_EXCHANGE = "binance"
"""It was there before the others: its setting is `SYMBOLS`, its folder `live`, and its keys have no prefix."""


def venue_names() -> list[str]:
    """Names of all shipped exchanges, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(data_collector.venues.__path__) if module.ispkg)


def find_venue(name: str) -> Venue:
    """The exchange of that name. Raises `Misconfigured` for one that is not shipped."""
    if name not in venue_names():
        raise Misconfigured(f"There is no exchange named {name!r}; shipped are: {', '.join(venue_names())}.")
    venue = importlib.import_module(f"data_collector.venues.{name}.venue").VENUE
    assert isinstance(venue, Venue), "a venue folder exports VENUE"
    return venue
