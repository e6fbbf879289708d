"""Finds the exchanges: every folder here with a module `venue` that has a `VENUE`. There is no registry.

The exchange's other end, for the simulator, is `SPEAKER` in the folder's `speaker`, a module or a package.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING

import data_collector.venues
from data_collector.model.errors import Misconfigured
from data_collector.model.venue import Venue

if TYPE_CHECKING:
    from data_collector.simulator.speaker import Speaker


def venue_names() -> list[str]:
    """Names of all shipped exchanges, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(data_collector.venues.__path__) if module.ispkg)


def find_venue(name: str) -> Venue:
    """The exchange of that name. Raises `Misconfigured` for one that is not shipped."""
    venue = _module(name, "venue").VENUE
    assert isinstance(venue, Venue), "a venue folder exports VENUE"
    return venue


def find_speaker(name: str) -> Speaker:
    """The other end of the exchange of that name. Raises `Misconfigured` for one that is not shipped."""
    # Whoever collects does without the simulator, which takes longer to import than all else.
    from data_collector.simulator.speaker import Speaker  # noqa: PLC0415

    speaker = _module(name, "speaker").SPEAKER
    assert isinstance(speaker, Speaker), "a venue folder exports SPEAKER"
    return speaker


def _module(name: str, part: str) -> ModuleType:
    if name not in venue_names():
        raise Misconfigured(f"There is no exchange named {name!r}; shipped are: {', '.join(venue_names())}.")
    return importlib.import_module(f"data_collector.venues.{name}.{part}")
