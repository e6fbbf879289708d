"""What `doctor` is to look at where a demo or a service runs: not what a second one would start with."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from pydantic import SecretStr

from data_collector.cli.surroundings.found_database import running_embedded_dsn
from data_collector.cli.surroundings.found_exchange import collectors_of, joined
from data_collector.settings import Settings
from data_collector.settings.texts import EMBEDDED
from data_collector.sinks.postgres.failures import place_of


def found_service(every: Sequence[Settings]) -> list[Settings]:
    """Of each exchange with what its collector that runs collects from, the first with its API and database too.

    What is set stays, and where a store is set, all of it: who runs is not known to fill that one. Told in one line of
    each. Blocks for a moment, raises `Unavailable`.
    """
    if any(each.redis_url is not None for each in every):
        return list(every)
    first, *others = every
    return [_of_service(first), *map(_of_exchange, others)]


def _of_exchange(settings: Settings) -> Settings:
    found = collectors_of(settings)
    return joined(settings, *found[0], []) if found else settings


def _of_service(settings: Settings) -> Settings:
    found = collectors_of(settings)
    if not found:
        return settings
    folder, record = found[0]
    taken: dict[str, object] = {}
    told = []
    if record.api is not None and not settings.given & {"host", "port"}:
        place = urlsplit(record.api)
        if place.port != settings.port:
            taken |= {"host": place.hostname, "port": place.port}
            told.append(f"API at {record.api}")
    if settings.database_url is None and record.database == EMBEDDED:
        dsn = running_embedded_dsn(record.servers_in(folder))
        if dsn is not None:
            taken["database_url"] = SecretStr(dsn)
            told.append(f"PostgreSQL at {place_of(dsn)}")
    return joined(settings.model_copy(update=taken), folder, record, told)
