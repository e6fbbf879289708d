"""The socket that a service listens on, taken before anything else is started."""

from __future__ import annotations

import errno
import socket

from data_collector.model.errors import CollectorError, Misconfigured, Unavailable

BACKLOG = 128


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
