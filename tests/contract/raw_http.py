"""HTTP as bytes, for requests that no honest client sends."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from tests.contract.http_service import DEADLINE_S, HttpService


def connected(service: HttpService) -> socket.socket:
    """A connection of its own."""
    place = urlsplit(service.url)
    return socket.create_connection((str(place.hostname), place.port or 0), timeout=DEADLINE_S)


def received(connection: socket.socket) -> bytes:
    """All until the other side closes."""
    content = b""
    try:
        while chunk := connection.recv(65536):
            content += chunk
    except ConnectionResetError:
        # It closed while we still had something to say.
        pass
    return content


def is_cut_off(service: HttpService, endless_head: bytes) -> bool:
    """True when the server ends the connection on its own; it does not read on, so its 431 may be lost."""
    with connected(service) as connection:
        try:
            connection.sendall(endless_head)
        except (BrokenPipeError, ConnectionResetError):
            return True
        answer = received(connection)
    return not answer or answer.startswith(b"HTTP/1.1 431 ")


def raw(service: HttpService, request: bytes) -> bytes:
    """What comes back for bytes that an HTTP client would not send."""
    with connected(service) as connection:
        connection.sendall(request)
        return received(connection)
