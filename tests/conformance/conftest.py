"""Every venue that has a folder, and a real store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from data_collector.model.venue import Venue
from data_collector.pipeline.repair import kline_building
from data_collector.rest.budget import PacedBudget
from data_collector.venues.discovery import find_venue
from tests.conformance.worlds import NAMES
from tests.integration.conftest import database, database_server, folder, store_server
from tests.integration.store_reader import Store

__all__ = ["database", "database_server", "folder", "store_server"]
"""Fixtures of the integration tests, which are used here too."""


@pytest.fixture(params=NAMES)
def venue(request: pytest.FixtureRequest) -> Venue:
    """Each of them."""
    assert isinstance(request.param, str)
    return find_venue(request.param)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between REST calls and rounds of them are short: the market waits for us, and `market_of` allows it."""
    begin = PacedBudget.__init__

    def begin_hurried(budget: PacedBudget, pause_s: float) -> None:
        begin(budget, pause_s / 50)

    monkeypatch.setattr(PacedBudget, "__init__", begin_hurried)
    monkeypatch.setattr(kline_building, "ASK_S", 0.2)


@pytest.fixture
def store(store_server: str, venue: Venue) -> Iterator[Store]:
    """An empty store, of which the keys of this venue are read."""
    store = Store(store_server, venue.key_prefix)
    store.ask("FLUSHALL")
    store.ask("FUNCTION", "FLUSH")
    yield store
    store.close()
