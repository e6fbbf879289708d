"""Serving the application: the port first, then the collector, then requests, until a signal or the collector's end."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Mapping, Sequence

from fastapi import FastAPI

from data_collector.api.app import context_of_app, create_app
from data_collector.model.errors import CollectorError
from data_collector.model.status import Snapshot
from data_collector.settings import Settings
from data_collector.web.serving import base_url, listen, serve_until_signal

FAREWELL = "Leaving at once; the collector process ends by itself when it has written what it holds."

Announce = Callable[[str, Snapshot], None]
"""Gets our base URL and the first snapshot that knows the store, once."""


def serve(
    settings: Settings,
    *,
    announce: Announce | None = None,
    collector_command: Sequence[str] | None = None,
    collector_environment: Mapping[str, str] | None = None,
) -> int:
    """Run API and collector until a signal, or until the collector ends; return the exit code.

    0 after SIGTERM or Ctrl-C, the collector's own code when it ended by itself. A second Ctrl-C leaves at once.
    Raises `Unavailable` when the port is taken and `Misconfigured` when it cannot be had at all, before anything
    is started.
    """
    with listen(settings.host, settings.port) as listener:
        url = base_url(listener)
        app = create_app(
            settings,
            collector_command=collector_command,
            collector_environment=collector_environment,
            on_ready=None if announce is None else lambda snapshot: announce(url, snapshot),
        )
        return serve_on(listener, app)


def serve_on(listener: socket.socket, app: FastAPI) -> int:
    """Run an application on a listening socket; as `serve`."""
    serve_until_signal(listener, app, farewell=FAREWELL)
    return context_of_app(app).collector.exit_code or 0


def main(app: FastAPI) -> int:
    """What `python api.py` does: serve `app` where its settings say; a fault is one sentence on standard error."""
    settings = context_of_app(app).settings
    try:
        with listen(settings.host, settings.port) as listener:
            return serve_on(listener, app)
    except CollectorError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
