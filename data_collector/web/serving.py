"""Serving an application: the socket first, then uvicorn with our limits, until a signal."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from msgspec import Struct
from starlette.types import ASGIApp

from data_collector.model.errors import CollectorError, Misconfigured, Unavailable
from data_collector.observe.output import last_words
from data_collector.web.protocol import BoundedProtocol

BACKLOG = 128
KEEP_ALIVE_S = 5
GRACE_S = 2
"""How long answers under way may take to finish at shutdown; a reload has 5 s for everything."""

INTERRUPTED = 130
"""What a shell expects of a program that Ctrl-C ended."""


class Spelling(Struct, frozen=True):
    """How a user writes the two settings of an address: what comes before the value."""

    host: str = "HOST="
    port: str = "PORT="
    port_proposed: int = 8001


def listen(host: str, port: int, spelling: Spelling = Spelling()) -> socket.socket:  # noqa: B008 (it is frozen)
    """A listening socket. Raises `Unavailable` for a taken port, `Misconfigured` for an impossible address."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise Misconfigured(f"{spelling.host}{host} is not an address of this machine ({error.strerror}).") from error
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
        raise _refused(host, port, error, spelling) from error
    return listener


def base_url(listener: socket.socket) -> str:
    """Where people on this machine find the service."""
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (comparing, not listening)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def serve_until_signal(
    listener: socket.socket, app: ASGIApp, *, farewell: str, on_exit: Callable[[], None] | None = None
) -> None:
    """Run an application on a listening socket; SIGTERM and Ctrl-C end it.

    `on_exit` is called at the first signal, before answers under way are waited for. A second Ctrl-C leaves at once,
    with the sentence `farewell` on standard error.
    """
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
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    with _quiet_signals():
        _Server(config, farewell, on_exit).run(sockets=[listener])


@contextmanager
def at_signal(callback: Callable[[], None]) -> Iterator[None]:
    """Call `callback` on the running event loop when SIGTERM or SIGINT comes, beside the handler that is there.

    Answers without end must be ended by us, or the server waits for them.
    Every server of uvicorn has one by the time its application starts, ours and `uvicorn api:app`. Elsewhere than in
    the main thread there are no signals, and nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def leave(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(callback)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number, handler in before.items():
        if callable(handler):
            signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is leave:
                signal.signal(number, handler)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, farewell: str, on_exit: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._farewell = farewell
        self._on_exit = on_exit

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come; Python calls this between any two steps of the program."""
        if self.should_exit and sig == signal.SIGINT:
            last_words(f"{self._farewell}\n".encode())
            os._exit(INTERRUPTED)
        if self._on_exit is not None and not self.should_exit:
            self._on_exit()
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


def _refused(host: str, port: int, error: OSError, spelling: Spelling) -> CollectorError:
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65_535 else port - 1
        return Unavailable(
            f"Port {port} on {host} is in use, perhaps by this service already."
            f" Choose another with {spelling.port}{other}, or let {spelling.port}0 find a free one."
        )
    if error.errno == errno.EACCES:
        return Misconfigured(
            f"Port {port} needs rights that this user lacks. Choose one above 1023,"
            f" such as {spelling.port}{spelling.port_proposed}."
        )
    local = f"{spelling.host}127.0.0.1"
    return Misconfigured(f"{spelling.host}{host} cannot be listened on ({error.strerror}). {local} always can.")
