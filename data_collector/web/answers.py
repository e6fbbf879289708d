"""What every answer shares: how it is written, the one shape of errors, and no secret in either."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping
from typing import ClassVar

import msgspec
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from msgspec import Struct

from data_collector.model.errors import Transient
from data_collector.observe.logs import get_log
from data_collector.web.headers import SECURITY_HEADERS

FAULTS_TOLD_MAX = 10
"""A sentence about a body lists at most so many things that are wrong with it."""

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


ERROR_ANSWERS: dict[int | type[Exception], Callable[[Request, Exception], Coroutine[None, None, Response]]] = {
    RequestValidationError: answer_invalid,
    Transient: answer_unavailable,
    Exception: answer_bug,
}


def masked(text: str) -> str:
    """The text without passwords and keys of URLs. The collector masks its own; this is the last door before people."""
    return _SECRET_PARAMETER.sub(r"\1***", _LOGIN.sub(r"\1:***@", text))
