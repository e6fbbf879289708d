"""How much a request may be: its URL, its headers, its body, and how often its sender comes."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections.abc import Collection, Mapping

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data_collector.time_limit import time_limit
from data_collector.web.answers import Rejection, Rejections
from data_collector.web.guard import SAFE_METHODS

BODY_BYTES_MAX = 64 * 1024
URL_BYTES_MAX = 4 * 1024
HEADERS_MAX = 64
HEADER_BYTES_MAX = 16 * 1024
BODY_TIMEOUT_S = 10.0
"""For the whole body. An honest client sends the few bytes we take at once."""

LARGE_BODY_TIMEOUT_S = 30.0
"""For the whole body where a larger one is taken; 16 MiB come in time at 5 Mbit/s."""

READS = RateLimitItemPerSecond(200, multiples=4, namespace="reads")
"""50 a second with bursts of 200: a dashboard asks once a second, a scraper every few seconds."""

WRITES = RateLimitItemPerSecond(10, multiples=10, namespace="writes")
"""Once a second: people write, programs read. It bounds the guessing of tokens too."""

WORK = RateLimitItemPerSecond(200, multiples=4, namespace="work")
"""What a program posts to get an answer and changes nothing by; as often as it may read."""

HEALTH = RateLimitItemPerSecond(200, multiples=4, namespace="health")
"""Asking for health, which is not held against who reads much, nor the other way round."""

LIVENESS_PATH = "/health/live"
"""Never refused for its rate: the refusal would cost as much, and restart the service for what others ask."""

HEALTH_PATHS = frozenset({"/health", "/health/ready"})

_CLOSE = {"Connection": "close"}
"""What else such a client sends on this connection is of no interest."""


class RequestBounds:
    """ASGI: answers 413, 414 or 431 to what is too large, and 408 to a body that does not come.

    `large_bodies` has the limits, in bytes, of the paths that take more than `body_bytes_max`, and more time.
    """

    def __init__(
        self,
        app: ASGIApp,
        rejections: Rejections,
        *,
        body_bytes_max: int = BODY_BYTES_MAX,
        large_bodies: Mapping[str, int] | None = None,
    ) -> None:
        self._app = app
        self._rejections = rejections
        self._body_bytes_max = body_bytes_max
        self._large_bodies = large_bodies or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        large = self._large_bodies.get(scope["path"])
        body_bytes_max = self._body_bytes_max if large is None else large
        timeout_s = BODY_TIMEOUT_S if large is None else LARGE_BODY_TIMEOUT_S
        rejection = _too_large(scope, body_bytes_max)
        if rejection is None:
            body = _BoundedBody(receive, self._rejections, bytes_max=body_bytes_max, timeout_s=timeout_s)
            await self._app(scope, body.receive, send)
        else:
            await self._rejections.answer(rejection, _CLOSE)(scope, receive, send)


class RateLimit:
    """ASGI: answers 429 to a client that comes too often. Reading, health, writing and working are counted apart.

    A POST to one of `work_paths` is work.
    """

    def __init__(self, app: ASGIApp, rejections: Rejections, *, work_paths: Collection[str] = ()) -> None:
        self._app = app
        self._rejections = rejections
        self._work_paths = frozenset(work_paths)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            limit = self._limit_of(scope)
            client = client_of(scope)
            if limit is not None and not await self._limiter.hit(limit, client):
                headers = {"Retry-After": str(await self._retry_after_s(limit, client))}
                rejection = Rejection(429, "rate", "Too many requests; the Retry-After header says when to come back.")
                await self._rejections.answer(rejection, headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _limit_of(self, scope: Scope) -> RateLimitItem | None:
        if scope["method"] in SAFE_METHODS:
            if scope["path"] == LIVENESS_PATH:
                return None
            return HEALTH if scope["path"] in HEALTH_PATHS else READS
        return WORK if scope["method"] == "POST" and scope["path"] in self._work_paths else WRITES

    async def _retry_after_s(self, limit: RateLimitItem, client: str) -> int:
        stats = await self._limiter.get_window_stats(limit, client)
        return max(1, math.ceil(stats.reset_time - time.time()))


class _BoundedBody:
    """The body of one request, counted and timed as it is read."""

    def __init__(self, receive: Receive, rejections: Rejections, *, bytes_max: int, timeout_s: float) -> None:
        self._receive = receive
        self._rejections = rejections
        self._bytes_max = bytes_max
        self._timeout_s = timeout_s
        self._bytes_read = 0
        self._deadline: float | None = None
        self._complete = False

    async def receive(self) -> Message:
        """ASGI's `receive`. Raises `HTTPException`, which the application answers with."""
        if self._complete:
            # What comes now is the news that the client has gone, whenever that may be.
            return await self._receive()
        loop = asyncio.get_running_loop()
        self._deadline = self._deadline or loop.time() + self._timeout_s
        try:
            async with time_limit(self._deadline - loop.time()):
                message = await self._receive()
        except TimeoutError:
            raise self._refused(Rejection(408, "timeout", "The body did not come in time.")) from None
        self._bytes_read += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._bytes_read > self._bytes_max:
            raise self._refused(_body_too_large(self._bytes_max))
        return message

    def _refused(self, rejection: Rejection) -> HTTPException:
        self._rejections.answer(rejection)
        return HTTPException(rejection.status, rejection.detail, _CLOSE)


def client_of(scope: Scope) -> str:
    """Whom a request counts for: an IPv4 address, or the /64 of an IPv6 one, which is what one customer gets.

    Whoever is on this machine has millions of loopback addresses, and is one client.
    """
    client = HTTPConnection(scope).client
    return "local" if client is None else client_at(client.host)


def client_at(host: str) -> str:
    """`client_of` a connection from this address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "other"
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    if address.is_loopback:
        return "loopback"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((address, 64), strict=False).network_address)


def _too_large(scope: Scope, body_bytes_max: int) -> Rejection | None:
    headers = scope["headers"]
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > URL_BYTES_MAX:
        return Rejection(414, "url", f"The URL has more than {URL_BYTES_MAX} bytes.")
    if len(headers) > HEADERS_MAX or sum(len(name) + len(value) for name, value in headers) > HEADER_BYTES_MAX:
        return Rejection(431, "headers", f"More than {HEADERS_MAX} headers or {HEADER_BYTES_MAX} bytes of headers.")
    length = HTTPConnection(scope).headers.get("content-length", "0")
    # Longer digits than these are too large whatever they say, and int() of thousands of digits is slow.
    if not length.isdigit() or len(length) > 12 or int(length) > body_bytes_max:
        return _body_too_large(body_bytes_max)
    return None


def _body_too_large(bytes_max: int) -> Rejection:
    return Rejection(413, "body", f"The body has more than {bytes_max} bytes.")
