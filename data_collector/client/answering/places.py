"""Where everything is: what users give, else what the environment names."""

from __future__ import annotations

import os
from collections.abc import Mapping

from msgspec import Struct

from data_collector.client.answering.http import DEFAULT_API
from data_collector.client.answering.store import DEFAULT_STORE
from data_collector.client.reading.symbols import Called
from data_collector.model.store_url import parse_store_url

STORE_VARIABLE = "REDIS_URL"
API_VARIABLE = "DATA_COLLECTOR_API"
DATABASE_VARIABLE = "DATABASE_URL"

EMBEDDED = "embedded"


NO_DRIVER = (
    "PostgreSQL is read by the driver asyncpg: pip install 'btc-data-collector[postgres]', or do without it with "
    'database="".'
)

USUAL_PLACE = (
    "REDIS_URL is not set, so it was looked for at {}: the screen of a collector, or of a demo, tells where its store "
    "is, as `export REDIS_URL=… DATA_COLLECTOR_API=…`"
)


class Places(Struct, frozen=True):
    """An empty text stands for what is not to be asked."""

    store: str
    api: str
    database: str
    is_store_named: bool = True
    """Whether anybody has said where the store is."""
    is_api_named: bool = True

    def called(self, *, is_given: bool) -> Called:
        """In sentences, of addresses that have been checked; a store may be given as a client."""
        if is_given:
            return Called("that was given", self.api.rpartition("@")[2], is_api_named=self.is_api_named)
        place = parse_store_url(self.store).place
        hint = "" if self.is_store_named else USUAL_PLACE.format(place)
        return Called(f"at {place} (REDIS_URL)", self.api.rpartition("@")[2], hint, self.is_api_named)


def places_of(
    store: str | None, api: str | None, database: str | None, environment: Mapping[str, str] = os.environ
) -> Places:  # fmt: skip
    """None is what the environment names, or the default. A database that the collector embeds has no address there."""
    named = environment.get(DATABASE_VARIABLE, "")
    named_store = (environment.get(STORE_VARIABLE) or None) if store is None else store
    return Places(
        DEFAULT_STORE if named_store is None else named_store,
        environment.get(API_VARIABLE, DEFAULT_API) if api is None else api,
        ("" if named == EMBEDDED else named) if database is None else database,
        named_store is not None,
        api is not None or API_VARIABLE in environment,
    )
