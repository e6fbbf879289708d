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

DEFAULT_API = "http://127.0.0.1:8001"


async def exchange_of_store(settings: Settings, store: StoreAddress) -> Settings:
    """With the exchange whose records a running collector puts into this embedded store, told in one line.

    An exchange that is set stays, and a store is never joined with the exchange of a collector that fills another.
    """
    if "rest_url" in settings.given:
        return settings
    servers = await running_servers(settings.var_dir)
    places = {folder for folder, server in servers if server.address.place == store.place}
    for folder, record in await asyncio.to_thread(_collectors_of, settings):
        if record.servers_in(folder) in places:
            return _joined(settings, folder, record, [])
    return settings


def api_and_exchange(settings: Settings, url: str | None) -> tuple[Settings, str]:
    """With the API at `url`, or of the collector that runs, and that collector's exchange; told in one line. Blocks."""
    for folder, record in _collectors_of(settings):
        if record.api is not None and url in (None, record.api):
            told = [] if url else [f"API at {record.api}"]
            return _joined(settings, folder, record, told), record.api
    return settings, url or DEFAULT_API


def _collectors_of(settings: Settings) -> list[tuple[Path, CollectorRecord]]:
    return [pair for pair in running_collectors(settings.var_dir) if pair[1].exchange == settings.exchange]


def _joined(settings: Settings, folder: Path, record: CollectorRecord, told: list[str]) -> Settings:
    taken: dict[str, object] = {}
    if "rest_url" not in settings.given and record.rest_url != settings.rest_url:
        taken["rest_url"] = record.rest_url
        told = [*told, f"exchange at {record.rest_url}"]
    if told:
        typer.echo(escaped(f"As the collector in {folder.name} that runs: {', '.join(told)}."), err=True)
    return settings.model_copy(update=taken)
