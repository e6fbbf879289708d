"""Serving the application: the port first, then the collector, then requests, until a signal or the collector's end."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI

from data_collector.api.app import create_app, surroundings_of_app
from data_collector.api.protocol import BoundedProtocol
from data_collector.model.errors import CollectorError, Misconfigured, Unavailable
from data_collector.model.status import Snapshot
from data_collector.settings import Settings

CONNECTIONS_MAX = 100
"""Open at a time; a request on a further one is answered 503."""

BACKLOG = 128
KEEP_ALIVE_S = 5
GRACE_S = 2
"""How long answers under way may take to finish at shutdown; a reload has 5 s for everything."""

INTERRUPTED = 130
"""What a shell expects of a program that Ctrl-C ended."""

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
    config = uvicorn.Config(
        app,
        lifespan="on",
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        workers=1,
        log_config=None,
        access_log=False,
        server_header=False,
        # A client could give itself any address with these headers, and escape the rate limit.
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_MAX,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    with _quiet_signals():
        _Server(config).run(sockets=[listener])
    return surroundings_of_app(app).collector.exit_code or 0


def main(app: FastAPI) -> int:
    """What `python api.py` does: serve `app` where its settings say; a fault is one sentence on standard error."""
    settings = surroundings_of_app(app).settings
    try:
        with listen(settings.host, settings.port) as listener:
            return serve_on(listener, app)
    except CollectorError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `Unavailable` for a taken port, `Misconfigured` for an impossible address."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise Misconfigured(f"HOST={host} is not an address of this machine ({error.strerror}).") from error
    # localhost means both; the one that every client tries is IPv4.
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # At once: a port is not ours before somebody listens, two may be bound to it.
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from error
    return listener


def base_url(listener: socket.socket) -> str:
    """Where people on this machine find the service."""
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (comparing, not listening)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come; Python calls this between any two steps of the program."""
        if self.should_exit and sig == signal.SIGINT:
            os.write(2, b"Leaving at once; the collector process ends by itself when it has written what it holds.\n")
            os._exit(INTERRUPTED)
        super().handle_exit(sig, frame)


@contextmanager
def _quiet_signals() -> Iterator[None]:
    """uvicorn raises the signal that ended it once more; here that has been dealt with."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _refused(host: str, port: int, error: OSError) -> CollectorError:
    if error.errno == errno.EADDRINUSE:
        return Unavailable(
            f"Port {port} on {host} is in use, perhaps by this service already."
            f" Choose another with PORT={port + 1 if port < 65_535 else port - 1}, or let PORT=0 find a free one."
        )
    if error.errno == errno.EACCES:
        return Misconfigured(
            f"Port {port} needs rights that this user lacks. Choose one above 1023, such as PORT=8001."
        )
    return Misconfigured(f"HOST={host} cannot be listened on ({error.strerror}). HOST=127.0.0.1 always can.")
