"""Who may call the routes that write: the right Host, our own pages, and the token where one is needed.

GET, HEAD and OPTIONS pass: they change nothing. Every other method is held back for every path, so that a route
added later is closed without anybody thinking of it. A POST that only computes its answer is let in by name.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection, Iterable
from typing import Literal

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from data_collector.web.answers import Rejection, Rejections

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""Names that only this machine has. A page of a rebound domain sends its own name instead."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

CLOSED = (
    "Routes that write are closed until CONTROL_TOKEN is set (open without it only in development, from this machine)."
)

_PAGE_HEADERS = ("origin", "sec-fetch-site")
"""A browser sends the first with every POST of a page; a program of somebody's own sends neither."""

_PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""Such a request came through a proxy on this machine, so its loopback address says nothing of its sender."""


class WritePolicy:
    """Decides by what a request says of itself; no state, no I/O.

    With `always_token` nobody writes without the token, not even in development on this machine. `closed` is what
    a client is told that cannot write because there is no token.
    """

    def __init__(
        self,
        *,
        environment: str,
        token: str | None,
        allowed_hosts: Iterable[str] | None,
        always_token: bool = False,
        closed: str = CLOSED,
    ) -> None:
        self._token = token
        self._open_to_this_machine = environment == "development" and not always_token
        self._closed = closed
        hosts = LOOPBACK_HOSTS if allowed_hosts is None else tuple(allowed_hosts)
        self._any_host = "*" in hosts
        self._hosts = {_bracketed(host.lower()) for host in hosts}

    def rejection(self, request: HTTPConnection) -> Rejection | None:
        """Why the request may not write; None when it may."""
        return self.foreign(request) or self._unauthorised(request) or _not_json(request)

    def foreign(self, request: HTTPConnection) -> Rejection | None:
        """Why the request does not come from where it should: for routes that write, and those that stream."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._knows(hosts[0].lower()):
            return Rejection(
                403, "host", "This Host header is not accepted here. ALLOWED_HOSTS names the ones that are."
            )
        origins = request.headers.getlist("origin")
        if any(origin.lower().partition("://")[2] != hosts[0].lower() for origin in origins):
            return Rejection(403, "origin", "Pages of another origin may not write here.")
        if request.headers.get("sec-fetch-site", "").lower() == "cross-site":
            return Rejection(403, "origin", "Pages of another site may not write here.")
        return None

    def foreign_page(self, request: HTTPConnection) -> Rejection | None:
        """Why a web page may not ask this. Programs that are none may, by whatever name they know this machine."""
        if any(name in request.headers for name in _PAGE_HEADERS):
            return self.foreign(request)
        return None

    def access(self, request: HTTPConnection) -> Literal["open", "token", "closed"]:
        """Whether who asks may write without a token, with it, or not at all."""
        if self._token is not None:
            return "token"
        return "open" if self._open_to_this_machine and _is_local(request) else "closed"

    def _knows(self, host: str) -> bool:
        return self._any_host or host in self._hosts or _without_port(host) in self._hosts

    def _unauthorised(self, request: HTTPConnection) -> Rejection | None:
        if self._token is None:
            return None if self.access(request) == "open" else Rejection(403, "token", self._closed)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            return Rejection(403, "token", "The bearer token is missing: send 'Authorization: Bearer CONTROL_TOKEN'.")
        if not hmac.compare_digest(given.strip().encode(), self._token.encode()):
            return Rejection(403, "token", "This bearer token is not the CONTROL_TOKEN of the service.")
        return None


class WriteGuard:
    """ASGI: lets a writing request in only when the policy has nothing against it.

    A POST to one of `open_paths` needs no token and may have any content type, which the route judges; only pages
    of other sites are kept out.
    """

    def __init__(
        self, app: ASGIApp, policy: WritePolicy, rejections: Rejections, *, open_paths: Collection[str] = ()
    ) -> None:
        self._app = app
        self._policy = policy
        self._rejections = rejections
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS:
            request = HTTPConnection(scope)
            is_open = scope["method"] == "POST" and scope["path"] in self._open_paths
            rejection = self._policy.foreign_page(request) if is_open else self._policy.rejection(request)
            if rejection is not None:
                await self._rejections.answer(rejection)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _not_json(request: HTTPConnection) -> Rejection | None:
    """A form of another site can send text/plain without asking first; JSON it cannot."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/json":
        return None
    given = f"not {media_type[:64]}" if media_type else "it is missing"
    return Rejection(422, "content_type", f"Send the header 'Content-Type: application/json' ({given}).")


def _is_local(request: HTTPConnection) -> bool:
    """True when both ends of the connection are loopback addresses and no proxy stands between."""
    server = request.scope.get("server")
    client = request.client
    if server is None or client is None or any(name in request.headers for name in _PROXY_HEADERS):
        return False
    return _is_loopback(str(server[0])) and _is_loopback(client.host)


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _bracketed(host: str) -> str:
    """An IPv6 address as a Host header has it."""
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isascii() and port.isdigit() else host
