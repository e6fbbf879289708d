"""Where the exchange is that a running collector collects from, and the API before that collector."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from data_collector.embedded.record import running_servers
from data_collector.model.store_url import StoreAddress
from data_collector.observe.escaping import escaped
from data_collector.service.running import CollectorRecord, running_collectors
from data_collector.settings import Settings


async def exchange_of_store(settings: Settings, store: StoreAddress) -> Settings:
    """With the exchange whose records a running collector puts into this embedded store, told in one line.

    An exchange that is set stays, and a store is never joined with the exchange of a collector that fills another.
    """
    filling = None if "rest_url" in settings.given else await collector_filling(settings, store)
    return settings if filling is None else joined(settings, *filling, [])


async def collector_filling(settings: Settings, store: StoreAddress) -> tuple[Path, CollectorRecord] | None:
    """The collector that runs and puts records of this exchange into this embedded store."""
    servers = await running_servers(settings.var_dir)
    places = {folder for folder, server in servers if server.address.place == store.place}
    found = await asyncio.to_thread(collectors_of, settings)
    return next(((folder, record) for folder, record in found if record.servers_in(folder) in places), None)


def api_and_exchange(settings: Settings, url: str | None) -> tuple[Settings, str]:
    """With the API at `url`, or of the collector that runs, and that collector's exchange; told in one line. Blocks.

    Where none runs below `VAR_DIR`, one of another folder may be at HOST and PORT.
    """
    for folder, record in collectors_of(settings):
        if record.api is not None and url in (None, record.api):
            told = [] if url else [f"API at {record.api}"]
            return joined(settings, folder, record, told), record.api
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return settings, url or f"http://{host}:{settings.port}"


def collectors_of(settings: Settings) -> list[tuple[Path, CollectorRecord]]:
    """Those of this exchange that run, newest start first. Blocks for a moment."""
    return [pair for pair in running_collectors(settings.var_dir) if pair[1].exchange == settings.exchange]


def joined(settings: Settings, folder: Path, record: CollectorRecord, told: list[str]) -> Settings:
    """With the exchange of this collector, where none is set; that, and what else is `told`, in one line."""
    taken: dict[str, object] = {}
    if "ws_url" not in settings.given and record.ws_url is not None:
        taken["ws_url"] = record.ws_url
    if "rest_url" not in settings.given and record.rest_url != settings.rest_url:
        taken["rest_url"] = record.rest_url
        told = [*told, f"exchange at {record.rest_url}"]
    if told:
        typer.echo(escaped(f"As the collector in {folder.name} that runs: {', '.join(told)}."), err=True)
    return settings.model_copy(update=taken)
