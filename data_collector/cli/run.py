"""`data-collector run`: API and collector against the live exchange."""

from __future__ import annotations

import typer

from data_collector.api import serve
from data_collector.cli.welcome import welcome
from data_collector.observe.logs import configure_logs
from data_collector.settings import load_settings


def run() -> None:
    """Collect from the exchange and serve the API, until Ctrl-C. Settings: environment and .env (.env.example)."""
    configure_logs()
    settings = load_settings()
    raise typer.Exit(serve(settings, announce=lambda url, snapshot: print(welcome(url, snapshot, settings))))
