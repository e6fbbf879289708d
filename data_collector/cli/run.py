"""`data-collector run`: API and collector against the live exchange."""

from __future__ import annotations

import os

import typer

from data_collector.api import serve
from data_collector.cli.screen.screen import Screen
from data_collector.observe.logs import configure_logs
from data_collector.settings import load_settings


def run(*, exchange: str | None) -> None:
    """What it takes and does stands in `cli.arguments.live`."""
    configure_logs()
    settings = load_settings(exchange=exchange)
    environment = {**os.environ, "EXCHANGES": settings.exchange}
    screen = Screen(settings, ending="Ctrl-C ends it.")
    raise typer.Exit(serve(settings, announce=screen.show, collector_environment=environment))
