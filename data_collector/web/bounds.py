"""How much a request may be: its URL, its headers, its body, and how often its sender comes."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data_collector.web.guard import SAFE_METHODS
from data_collector.web.rejections import Rejection, Rejections

BODY_BYTES_MAX = 64 * 1024
URL_BYTES_MAX = 4 * 1024
HEADERS_MAX = 64
HEADER_BYTES_MAX = 16 * 1024
BODY_TIMEOUT_S = 10.0
"""For the whole body. An honest client sends the few bytes we take at once."""

READS = RateLimitItemPerSecond(200, multiples=4, namespace="reads")
"""50 a second with bursts of 200: a dashboard asks once a second, a scraper every few seconds."""

WRITES = RateLimitItemPerSecond(10, multiples=10, namespace="writes")
"""Once a second: people write, programs read. It bounds the guessing of tokens too."""

_CLOSE = {"Connection": "close"}
"""What else such a client sends on this connection is of no interest."""


class RequestBounds:
    """ASGI: answers 413, 414 or 431 to what is too large, and 408 to a body that does not come."""

    def __init__(self, app: ASGIApp, rejections: Rejections) -> None:
        self._app = app
        self._rejections = rejections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        rejection = _too_large(scope)
        if rejection is None:
            await self._app(scope, _BoundedBody(receive, self._rejections).receive, send)
        else:
            await self._rejections.answer(rejection, _CLOSE)(scope, receive, send)


class RateLimit:
    """ASGI: answers 429 to a client that comes too often. Reading and writing are counted apart."""

    def __init__(self, app: ASGIApp, rejections: Rejections) -> None:
        self._app = app
        self._rejections = rejections
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            limit = READS if scope["method"] in SAFE_METHODS else WRITES
            client = client_of(scope)
            if not await self._limiter.hit(limit, client):
                headers = {"Retry-After": str(await self._retry_after_s(limit, client))}
                rejection = Rejection(429, "rate", "Too many requests; the Retry-After header says when to come back.")
                await self._rejections.answer(rejection, headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _retry_after_s(self, limit: RateLimitItem, client: str) -> int:
        stats = await self._limiter.get_window_stats(limit, client)
        return max(1, math.ceil(stats.reset_time - time.time()))


class _BoundedBody:
    """The body of one request, counted and timed as it is read."""

    def __init__(self, receive: Receive, rejections: Rejections) -> None:
        self._receive = receive
        self._rejections = rejections
        self._bytes_read = 0
        self._deadline: float | None = None
        self._complete = False

    async def receive(self) -> Message:
        """ASGI's `receive`. Raises `HTTPException`, which the application answers with."""
        if self._complete:
            # What comes now is the news that the client has gone, whenever that may be.
            return await self._receive()
        loop = asyncio.get_running_loop()
        self._deadline = self._deadline or loop.time() + BODY_TIMEOUT_S
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise self._refused(Rejection(408, "timeout", "The body did not come in time.")) from None
        self._bytes_read += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._bytes_read > BODY_BYTES_MAX:
            raise self._refused(_BODY_TOO_LARGE)
        return message

    def _refused(self, rejection: Rejection) -> HTTPException:
        self._rejections.answer(rejection)
        return HTTPException(rejection.status, rejection.detail, _CLOSE)


_BODY_TOO_LARGE = Rejection(413, "body", f"The body has more than {BODY_BYTES_MAX} bytes.")


def client_of(scope: Scope) -> str:
    """Whom a request counts for: an IPv4 address, or the /64 of an IPv6 one, which is what one customer gets."""
    client = HTTPConnection(scope).client
    if client is None:
        return "local"
    try:
        address = ipaddress.ip_address(client.host)
    except ValueError:
        return "other"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.IPv6Network((address, 64), strict=False).network_address)


def _too_large(scope: Scope) -> Rejection | None:
    headers = scope["headers"]
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > URL_BYTES_MAX:
        return Rejection(414, "url", f"The URL has more than {URL_BYTES_MAX} bytes.")
    if len(headers) > HEADERS_MAX or sum(len(name) + len(value) for name, value in headers) > HEADER_BYTES_MAX:
        return Rejection(431, "headers", f"More than {HEADERS_MAX} headers or {HEADER_BYTES_MAX} bytes of headers.")
    length = HTTPConnection(scope).headers.get("content-length", "0")
    # Longer digits than these are too large whatever they say, and int() of thousands of digits is slow.
    if not length.isdigit() or len(length) > 12 or int(length) > BODY_BYTES_MAX:
        return _BODY_TOO_LARGE
    return None
