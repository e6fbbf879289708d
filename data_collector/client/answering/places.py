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


class Places(Struct, frozen=True):
    """An empty text stands for what is not to be asked."""

    store: str
    api: str
    database: str

    def called(self, *, is_given: bool) -> Called:
        """In sentences, of addresses that have been checked; a store may be given as a client."""
        store = "that was given" if is_given else f"at {parse_store_url(self.store).place} (REDIS_URL)"
        return Called(store, self.api.rpartition("@")[2])


def places_of(
    store: str | None, api: str | None, database: str | None, environment: Mapping[str, str] = os.environ
) -> Places:  # fmt: skip
    """None is what the environment names, or the default. A database that the collector embeds has no address there."""
    named = environment.get(DATABASE_VARIABLE, "")
    return Places(
        (environment.get(STORE_VARIABLE) or DEFAULT_STORE) if store is None else store,
        environment.get(API_VARIABLE, DEFAULT_API) if api is None else api,
        ("" if named == EMBEDDED else named) if database is None else database,
    )
