"""`data-collector history-writer`: the process that writes to PostgreSQL, started by the collector, not by people."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Annotated

import typer

from data_collector.observe.logs import configure_logs
from data_collector.service.history_writer.writer import serve_history


def history_writer(*, fd: Annotated[int, typer.Option(help="Inherited socket on which orders come.")]) -> None:
    """Follow the store and write to PostgreSQL until the starter hangs up."""
    configure_logs()
    # Ctrl-C, and the end of a terminal, go to its whole group; the starter hangs up in its own time.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    asyncio.run(serve_history(socket.socket(fileno=fd)))
