"""uvicorn's HTTP protocol with limits on what a slow or hostile client can hold.

uvicorn bounds neither the size of a request's head nor the time that it may take, and waits without end for a
client that does not read its answer. Used by our own server; `uvicorn api:app` keeps uvicorn's protocol.
"""

from __future__ import annotations

import asyncio
import http
import json
from typing import TypeGuard

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIMEOUT_S = 5.0
"""From the opening of a connection, or the first byte of a later request, to the end of its headers."""

HEAD_BYTES_MAX = 32 * 1024
"""Above what the application accepts (URL 4 KiB, headers 16 KiB), so that it can say what was too large."""

WRITE_TIMEOUT_S = 20.0
"""For a client to take what fills its buffers."""


class BoundedProtocol(HttpToolsProtocol):
    """One client connection."""

    _head_bytes = 0
    _in_head = False
    _answering = False
    _head_deadline: asyncio.TimerHandle | None = None
    _write_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio calls this."""
        assert _is_stream(transport), "HTTP runs over streams"
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio calls this."""
        self._head_arrived()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """asyncio calls this."""
        was_in_head = self._in_head
        super().data_received(data)
        if self.transport.is_closing():
            return
        # What a head shares with the end of the request before it is not counted: it is one read at most.
        self._head_bytes = self._head_bytes + len(data) if self._in_head and was_in_head else 0
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(431, f"URL and headers have more than {HEAD_BYTES_MAX} bytes.")
        if not self._answering and self._head_deadline is None:
            # Blank lines between requests end the keep-alive timer and begin no request.
            self._expect_head()

    def on_message_begin(self) -> None:
        """The parser calls this at the first byte of a request."""
        super().on_message_begin()
        self._in_head = True
        if self._head_deadline is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """The parser calls this."""
        self._head_arrived()
        self._answering = True
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """uvicorn calls this when an answer has been handed to the transport."""
        self._answering = bool(self.pipeline)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The transport calls this when the client does not read."""
        super().pause_writing()
        self._write_deadline = self.loop.call_later(WRITE_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The transport calls this when the client reads again."""
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """uvicorn calls this for what is no HTTP; like every error, the answer is JSON."""
        self._refuse(400, msg)

    def _expect_head(self) -> None:
        self._head_deadline = self.loop.call_later(HEAD_TIMEOUT_S, self._head_is_late)

    def _head_arrived(self) -> None:
        self._in_head = False
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _head_is_late(self) -> None:
        self._head_deadline = None
        if self._in_head:
            self._refuse(408, "The headers did not come in time.")
        else:
            self.transport.close()

    def _refuse(self, status: int, sentence: str) -> None:
        body = json.dumps({"detail": sentence}).encode()
        self.transport.write(
            f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            + body
        )
        self.transport.close()


def _is_stream(transport: asyncio.BaseTransport) -> TypeGuard[asyncio.Transport]:
    """uvloop's transports are streams without inheriting from asyncio's class."""
    return hasattr(transport, "write")
