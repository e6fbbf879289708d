"""The collector's HTTP side, by the standard library."""

from __future__ import annotations

import http.client
import os
import ssl
from contextlib import suppress
from threading import Lock
from typing import NamedTuple
from urllib.parse import SplitResult, urlencode, urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from data_collector.client.errors import ApiAway, WrongQuestion, reason_of
from data_collector.client.reading.questions import BUSY, ApiAnswer, ApiRequest
from data_collector.model.wire import NOT_STORED

TIMEOUT_S = 30.0
"""Of each exchange with it; the HTTP side itself gives up on its stores earlier."""

OPTIONAL_TIMEOUT_S = 3.0
"""The same where it is done without an answer."""

PIECE_BYTES = 4 * 1024 * 1024
"""Of a range, at a time: some 25,000 rows."""

RANGES_AT_ONCE = 3
"""The HTTP side has four for everybody. One that is given up goes on with a request of its own."""

WARNING = "x-warning"
"""What an answer lacks, because a store is away."""

EXCHANGE = "x-exchange"
"""Of which an answer is, or that are collected."""

DEFAULT_API = "http://127.0.0.1:8001"


class _Problem(Struct):
    """The body of a refusal."""

    detail: str


class _Range(NamedTuple):
    """A long answer that is being read."""

    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse
    left: bytes
    """The begin of its next line."""


class Api:
    """Answers requests; one at a time."""

    def __init__(self, url: str) -> None:
        """Raises `WrongQuestion` for what is no URL."""
        parts, port = _parts_of(url)
        self._place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._host, self._port, self._folder = parts.hostname or "", port, parts.path.rstrip("/")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None
        self._ranges: dict[int, _Range] = {}
        """Those of which more is to come, by the number of the answer before; the oldest first."""
        self._number = 0
        self._turn = Lock()
        self._process = os.getpid()

    def get(self, request: ApiRequest) -> ApiAnswer:
        """Raises `ApiAway` and `WrongQuestion`."""
        if self._process != os.getpid():
            # Forked: the connections are the other process's, and somebody there may have held the lock.
            self._process, self._turn = os.getpid(), Lock()
            self.close()
        with self._turn:
            if request.is_optional:
                return self._tried(request)
            if request.in_pieces:
                return self._piece(request)
            return self._checked(request, self._get(self._target(request)))

    def _tried(self, request: ApiRequest) -> ApiAnswer:
        connection = self._connected(OPTIONAL_TIMEOUT_S)
        try:
            response = _sent(connection, self._target(request))
            return _answer_of(response, response.read())
        except (http.client.HTTPException, OSError):
            return ApiAnswer(503, {}, b"")
        finally:
            connection.close()

    def _checked(self, request: ApiRequest, answer: ApiAnswer) -> ApiAnswer:
        if answer.status in BUSY and not request.is_last_try:
            return answer
        if answer.status == 200 and WARNING in answer.headers:
            raise ApiAway(f"The collector's HTTP side cannot answer in full now: {answer.headers[WARNING]}")
        if answer.status == 200 and request.names:
            names, rows = _names_of(request), answer.body
            if not rows.startswith(names) or not rows.endswith(b"\n"):
                raise self._stranger(request, 200)
            return replace(answer, body=rows[len(names) :])
        if answer.status == 200 or (answer.status == 404 and _is_of_collector(answer)):
            return answer
        raise self._refusal(request, answer)

    def _piece(self, request: ApiRequest) -> ApiAnswer:
        """The next lines of a range. One that was cut meanwhile, as of slow readers, is asked for anew."""
        range_ = self._ranges.pop(request.behind, None)
        if range_ is not None:
            with suppress(http.client.HTTPException, OSError):
                return self._read(range_)
            range_.connection.close()
        if len(self._ranges) >= RANGES_AT_ONCE:
            self._ranges.pop(next(iter(self._ranges))).connection.close()
        connection = self._connected()
        try:
            response = _sent(connection, self._target(request))
            if response.status == 200 and response.getheader(WARNING) is None:
                if response.readline() == _names_of(request):
                    return self._read(_Range(connection, response, b""))
                connection.close()
                raise self._stranger(request, 200)
            answer = _answer_of(response, b"" if response.status == 200 else response.read())
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            raise self._away(error) from error
        connection.close()
        return self._checked(request, answer)

    def _read(self, range_: _Range) -> ApiAnswer:
        """Whole lines of a range. Raises `HTTPException` where it was cut."""
        piece = range_.response.read(PIECE_BYTES)
        is_over, lines = range_.response.isclosed(), range_.left + piece
        if (is_over and lines and not lines.endswith(b"\n")) or (not is_over and len(piece) < PIECE_BYTES):
            raise http.client.IncompleteRead(piece, range_.response.length)
        if is_over:
            range_.connection.close()
            return _answer_of(range_.response, lines)
        lines, newline, left = lines.rpartition(b"\n")
        self._number += 1
        self._ranges[self._number] = _Range(range_.connection, range_.response, left)
        return _answer_of(range_.response, lines + newline, self._number)

    def _refusal(self, request: ApiRequest, answer: ApiAnswer) -> ApiAway | WrongQuestion:
        sentence = _detail_of(answer)
        if answer.status == 404 or not sentence:
            return self._stranger(request, answer.status)
        if answer.status == 422:
            return WrongQuestion(sentence)
        return ApiAway(f"The collector's HTTP side cannot answer now: {sentence}")

    def _stranger(self, request: ApiRequest, status: int) -> ApiAway:
        return ApiAway(
            f"{self._place} answers {request.path} with status {status}, and not as a collector's HTTP side does: name "
            'that with api= or DATA_COLLECTOR_API, or do without it with api="".'
        )

    def _get(self, target: str) -> ApiAnswer:
        is_kept = self._connection is not None
        try:
            return self._exchange(target)
        except (http.client.HTTPException, OSError) as error:
            self._hang_up()
            if not is_kept:
                raise self._away(error) from error
        # A kept connection may have been closed meanwhile.
        return self._get(target)

    def _away(self, error: Exception) -> ApiAway:
        return ApiAway(
            f"The collector's HTTP side at {self._place} does not answer ({reason_of(error)}); start it, name it "
            'with api= or DATA_COLLECTOR_API, or do without it with api="".'
        )

    def close(self) -> None:
        """Hang up."""
        with self._turn:
            self._hang_up()
            for range_ in self._ranges.values():
                range_.connection.close()
            self._ranges.clear()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, target: str) -> ApiAnswer:
        if self._connection is None:
            self._connection = self._connected()
        response = _sent(self._connection, target)
        return _answer_of(response, response.read())

    def _target(self, request: ApiRequest) -> str:
        return f"{self._folder}{request.path}?{urlencode(request.query)}"

    def _connected(self, timeout_s: float | None = None) -> http.client.HTTPConnection:
        timeout_s = TIMEOUT_S if timeout_s is None else timeout_s
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=self._tls)


def _sent(connection: http.client.HTTPConnection, target: str) -> http.client.HTTPResponse:
    """Raises `HTTPException` also for an answer that could be cut unseen."""
    connection.request("GET", target, headers={"Accept": "text/csv, application/json"})
    response = connection.getresponse()
    if response.length is None and not response.chunked:
        raise http.client.HTTPException("its answers do not tell where they end")
    return response


def _names_of(request: ApiRequest) -> bytes:
    return f"{','.join(request.names)}\n".encode()


def _is_of_collector(answer: ApiAnswer) -> bool:
    """Of one that has nothing of the symbol, or collects from other exchanges, which it names."""
    return EXCHANGE in answer.headers or NOT_STORED in _detail_of(answer)


def _detail_of(answer: ApiAnswer) -> str:
    """The sentence of a refusal; empty where it is none of a collector."""
    try:
        return msgspec.json.decode(answer.body, type=_Problem).detail
    except (msgspec.MsgspecError, RecursionError):
        return ""


def _parts_of(url: str) -> tuple[SplitResult, int | None]:
    """And the port. Raises `WrongQuestion`."""
    with suppress(ValueError):
        parts = urlsplit(url)
        port = parts.port
        if parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment:
            return parts, port
    raise WrongQuestion(f"api={url!r} is no address of a collector; write one such as {DEFAULT_API}.")


def _answer_of(response: http.client.HTTPResponse, body: bytes, number: int = 0) -> ApiAnswer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return ApiAnswer(response.status, headers, body, number)
