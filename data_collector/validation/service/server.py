"""Serving the application: the port first, then the worker, then requests, until a signal."""

from __future__ import annotations

import socket
from collections.abc import Callable

from data_collector.model.errors import CollectorError
from data_collector.validation.service.app import create_app, surroundings_of_app
from data_collector.validation.service.line import Worker
from data_collector.validation.service.options import Options
from data_collector.web.serving import serve_until_signal

FAREWELL = "Leaving at once; the worker process ends by itself."


def serve(listener: socket.socket, options: Options, make_worker: Callable[[], Worker]) -> int:
    """Run the service on a listening socket until SIGTERM or Ctrl-C; return the exit code.

    0 when it was asked to end, 70 when one of its tasks died. A second Ctrl-C leaves at once.
    """
    app = create_app(options, make_worker)
    around = surroundings_of_app(app)
    serve_until_signal(listener, app, farewell=FAREWELL, on_exit=around.line.leave)
    return CollectorError.exit_code if around.running.fault else 0
