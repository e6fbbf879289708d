"""The collector's HTTP side, by the standard library: one connection, kept."""

from __future__ import annotations

import http.client
import ssl
from threading import Lock
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from data_collector.client.errors import ApiAway, WrongQuestion
from data_collector.client.reading.questions import BUSY, ApiAnswer, ApiRequest

TIMEOUT_S = 30.0
"""Of each exchange with it; the HTTP side itself gives up on its stores earlier."""

DEFAULT_API = "http://127.0.0.1:8001"


class _Problem(Struct):
    """The body of a refusal."""

    detail: str


class Api:
    """Answers requests; one at a time."""

    def __init__(self, url: str) -> None:
        """Raises `WrongQuestion` for what is no URL."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise WrongQuestion(f"api={url!r} is no address of a collector; write one such as {DEFAULT_API}.")
        self._place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._host, self._port, self._folder = parts.hostname, parts.port, parts.path.rstrip("/")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None
        self._turn = Lock()

    def get(self, request: ApiRequest) -> ApiAnswer:
        """Raises `ApiAway` and `WrongQuestion`."""
        with self._turn:
            answer = self._get(f"{self._folder}{request.path}?{urlencode(request.query)}")
        if answer.status in BUSY and not request.is_last_try:
            return answer
        if answer.status == 200 and "x-warning" in answer.headers:
            raise ApiAway(f"The collector's HTTP side cannot answer in full now: {answer.headers['x-warning']}")
        if answer.status in (200, 404):
            return answer
        raise self._refusal(request, answer)

    def _refusal(self, request: ApiRequest, answer: ApiAnswer) -> ApiAway | WrongQuestion:
        try:
            sentence = msgspec.json.decode(answer.body, type=_Problem).detail
        except msgspec.MsgspecError:
            return ApiAway(
                f"{self._place} answers {request.path} with status {answer.status} and no reason: is it a collector's "
                "HTTP side? api= or DATA_COLLECTOR_API names it."
            )
        if answer.status == 422:
            return WrongQuestion(sentence)
        return ApiAway(f"The collector's HTTP side cannot answer now: {sentence}")

    def _get(self, target: str) -> ApiAnswer:
        try:
            return self._exchange(target)
        except (http.client.HTTPException, ConnectionError):
            # A kept connection may have been closed meanwhile.
            self._hang_up()
        try:
            return self._exchange(target)
        except (http.client.HTTPException, OSError) as error:
            self._hang_up()
            raise ApiAway(
                f"The collector's HTTP side at {self._place} does not answer ({_reason(error)}); start it, name it "
                'with api= or DATA_COLLECTOR_API, or do without it with api="".'
            ) from error

    def close(self) -> None:
        """Hang up."""
        with self._turn:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, target: str) -> ApiAnswer:
        if self._connection is None:
            self._connection = self._connected()
        self._connection.request("GET", target, headers={"Accept": "text/csv, application/json"})
        response = self._connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return ApiAnswer(response.status, headers, response.read())

    def _connected(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        return http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT_S, context=self._tls)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
