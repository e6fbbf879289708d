"""What every answer shares: how it is written, its headers, the one shape of errors, and no secret in either."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import ClassVar, Literal

import msgspec
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from msgspec import Struct
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data_collector.model.errors import Transient
from data_collector.model.status import Sample
from data_collector.observe.logs import get_log

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

FAULTS_TOLD_MAX = 10
"""A sentence about a body lists at most so many things that are wrong with it."""

_POLICY = "default-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"

SECURITY_HEADERS = {
    # Swagger UI has its icons as data: URLs in its style sheet; an image cannot run anything.
    "Content-Security-Policy": f"{_POLICY}; form-action 'self'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Put on an answer that does not say otherwise itself. Only the pages' own files may be kept by a browser."""

Reason = Literal[
    "body", "url", "headers", "timeout", "rate", "host", "origin", "token", "content_type", "viewers", "connections"
]
"""What a request was refused for; the label of `data_collector_api_rejected_total`."""

_LOGIN = re.compile(r"(://[^\s/:@]*):\S*@")
_SECRET_PARAMETER = re.compile(r"(?i)((?:key|token|secret|signature|password)=)[^&\s]+")

_log = get_log()


class Answer(Struct):
    """An answer in JSON; the docstrings of its fields are their descriptions in the OpenAPI page."""

    example: ClassVar[Mapping[str, object]] = {}
    """For the OpenAPI page."""


class Problem(Answer):
    """Every error has this shape."""

    detail: str
    """One sentence."""


def answered(content: Struct, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The response that has a struct as JSON."""
    return Response(msgspec.json.encode(content), status, headers, "application/json")


async def answer_invalid(_request: Request, error: Exception) -> JSONResponse:
    """One sentence that names every fault, and never what was given: that may be a secret in the wrong place."""
    assert isinstance(error, RequestValidationError), "registered for this class"
    faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    return JSONResponse({"detail": masked("; ".join(faults[:FAULTS_TOLD_MAX]))}, 422)


async def answer_unavailable(_request: Request, error: Exception) -> JSONResponse:
    """Somebody who must be asked is away: 503, and when to come back if that is known."""
    assert isinstance(error, Transient), "registered for this class"
    retry_after_s = error.retry_after_s
    headers = None if retry_after_s is None else {"Retry-After": f"{retry_after_s:.0f}"}
    return JSONResponse({"detail": masked(str(error))}, 503, headers)


async def answer_bug(request: Request, error: Exception) -> JSONResponse:
    """At the edge every bug becomes an answer; the log has the traceback, the client learns nothing of it.

    This answer is made outside of the layers that add headers to all others.
    """
    _log.error("request_failed", path=request.url.path, exc_info=error)
    return JSONResponse({"detail": "The service has a bug; its log tells more."}, 500, SECURITY_HEADERS)


async def answer_refused(request: Request, error: Exception) -> Response:
    """What a route or the framework refuses; 405 names the methods of all routes of the path."""
    assert isinstance(error, HTTPException), "registered for this class"
    status, headers = error.status_code, dict(error.headers or {})
    if status == 400 and error.__cause__ is not None:
        # What cannot be read is as wrong as other JSON: nested too deep, or in another encoding.
        status = 422
    if status == 405:
        headers["Allow"] = ", ".join(method for method in METHODS if _has_route(request, method))
    return JSONResponse({"detail": error.detail}, status, headers)


def _has_route(request: Request, method: str) -> bool:
    # HEAD is answered wherever GET is.
    asked = {**request.scope, "method": "GET" if method == "HEAD" else method}
    return any(route.matches(asked)[0] is Match.FULL for route in request.app.routes)


ERROR_ANSWERS: dict[int | type[Exception], Callable[[Request, Exception], Coroutine[None, None, Response]]] = {
    RequestValidationError: answer_invalid,
    HTTPException: answer_refused,
    Transient: answer_unavailable,
    Exception: answer_bug,
}


class Rejection(Struct, frozen=True):
    """The answer to a request that gets no further."""

    status: int
    reason: Reason
    detail: str


class Rejections:
    """Counts refusals since the HTTP process started; `metric` is the name that the program gives the count."""

    def __init__(self, metric: str = "data_collector_api_rejected_total") -> None:
        self._metric = metric
        self._counts: Counter[Reason] = Counter()

    def answer(self, rejection: Rejection, headers: Mapping[str, str] | None = None) -> JSONResponse:
        """Count it and make its response."""
        self._counts[rejection.reason] += 1
        return JSONResponse({"detail": rejection.detail}, rejection.status, headers)

    def samples(self) -> list[Sample]:
        """For the metrics page."""
        return [Sample(self._metric, count, {"reason": reason}) for reason, count in self._counts.items()]


class AnswerHeaders:
    """ASGI: adds the security headers, and answers HEAD as GET, up to where the body begins."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["method"] == "HEAD":
            only = _HeadersOnly(receive, send_with_headers)
            # A copy, because the server decides by its own scope whether a body is sent.
            await self._app({**scope, "method": "GET"}, only.receive, only.send)
        else:
            await self._app(scope, receive, send_with_headers)


class _HeadersOnly:
    """An answer that ends with its headers: whoever writes a long body hears that the client has gone."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._is_over = asyncio.Event()

    async def send(self, message: Message) -> None:
        """ASGI's `send`."""
        if self._is_over.is_set():
            return
        await self._send(message)
        if message["type"] == "http.response.start":
            self._is_over.set()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def receive(self) -> Message:
        """ASGI's `receive`."""
        message, over = asyncio.ensure_future(self._receive()), asyncio.ensure_future(self._is_over.wait())
        try:
            await asyncio.wait((message, over), return_when=asyncio.FIRST_COMPLETED)
            return {"type": "http.disconnect"} if over.done() else message.result()
        finally:
            message.cancel()
            over.cancel()


def masked(text: str) -> str:
    """The text without passwords and keys of URLs. The collector masks its own; this is the last door before people."""
    return _SECRET_PARAMETER.sub(r"\1***", _LOGIN.sub(r"\1:***@", text))
