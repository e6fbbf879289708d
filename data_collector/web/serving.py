"""Running an application on uvicorn with our limits, until a signal."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from data_collector.web.listening import BACKLOG
from data_collector.web.protocol import BoundedProtocol

CONNECTIONS_MAX = 100
"""Open at a time; a request on a further one is answered 503."""

KEEP_ALIVE_S = 5
GRACE_S = 2
"""How long answers under way may take to finish at shutdown; a reload has 5 s for everything."""

INTERRUPTED = 130
"""What a shell expects of a program that Ctrl-C ended."""


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
        limit_concurrency=CONNECTIONS_MAX,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    with _quiet_signals():
        _Server(config, farewell, on_exit).run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, farewell: str, on_exit: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._farewell = farewell
        self._on_exit = on_exit

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come; Python calls this between any two steps of the program."""
        if self.should_exit and sig == signal.SIGINT:
            os.write(2, f"{self._farewell}\n".encode())
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
