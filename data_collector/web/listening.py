"""The socket that a service listens on, taken before anything else is started."""

from __future__ import annotations

import errno
import socket

from msgspec import Struct

from data_collector.model.errors import CollectorError, Misconfigured, Unavailable

BACKLOG = 128


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
