"""`data-collector collect`: the collector's own process, started by the HTTP process and not by people."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from data_collector.cli.arguments.exchange import ExchangeOption
from data_collector.observe.logs import configure_logs, name_exchange
from data_collector.observe.memory import SHORTAGE
from data_collector.service.service import Service
from data_collector.settings import load_settings


def collect(
    *,
    control_fd: Annotated[int, typer.Option(help="Inherited socket on which the starter asks and hangs up.")] = -1,
    folder: Annotated[str, typer.Option(help="Folder below VAR_DIR; default: the exchange's.")] = "",
    source: Annotated[str, typer.Option(help="What the store is filled from, when its address does not tell.")] = "",
    empty: Annotated[bool, typer.Option(help="Start with an empty embedded store.")] = False,
    servers: Annotated[
        Path | None, typer.Option(help="Folder of embedded servers that the starter runs for several collectors.")
    ] = None,
    audit_fd: Annotated[
        int, typer.Option(help="Inherited socket to the audit worker that the starter runs for several collectors.")
    ] = -1,
    api: Annotated[str | None, typer.Option(help="Address of the starter's API, for commands beside us.")] = None,
    exchange: ExchangeOption = None,
) -> None:
    """Collect until the control line hangs up or SIGTERM comes."""
    configure_logs()
    settings = load_settings(exchange=exchange)
    name_exchange(settings.exchange)
    service = Service(
        settings, folder=folder or None, empty=empty, source=source or None, servers=servers,
        audit=None if audit_fd < 0 else socket.socket(fileno=audit_fd), api=api,
    )  # fmt: skip
    control = None if control_fd < 0 else socket.socket(fileno=control_fd)
    try:
        uvloop.run(_run(service, control))
    except BaseException as error:
        SHORTAGE.meet(error)
        raise


async def _run(service: Service, control: socket.socket | None) -> None:
    loop = asyncio.get_running_loop()
    stops: set[asyncio.Task[None]] = set()

    def stop() -> None:
        stops.add(loop.create_task(service.stop()))

    loop.add_signal_handler(signal.SIGTERM, stop)
    if control is None:
        loop.add_signal_handler(signal.SIGINT, stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            # Not under nohup.
            loop.add_signal_handler(signal.SIGHUP, stop)
    else:
        # Ctrl-C, and the end of a terminal, go to its whole group; the starter gets them too and hangs up in its own
        # time.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    service.heartbeat.watch()
    await service.run(control)
