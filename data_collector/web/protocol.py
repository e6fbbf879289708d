"""uvicorn's HTTP protocol with limits on what a slow or hostile client can hold.

uvicorn bounds neither the size of a request's head nor the time that it may take, waits without end for a client that
does not read its answer, and has as many connections open as come. Used by our own server; `uvicorn api:app` keeps
uvicorn's protocol.
"""

from __future__ import annotations

import asyncio
import http
import json
from collections import Counter
from typing import TypeGuard

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from data_collector.web.bounds import client_at
from data_collector.web.capacity import ANSWERS_MAX
from data_collector.web.reading import Reading

HEAD_TIMEOUT_S = 5.0
"""From the opening of a connection, or the first byte of a later request, to the end of its headers."""

HEAD_BYTES_MAX = 32 * 1024
"""Above what the application accepts (URL 4 KiB, headers 16 KiB), so that it can say what was too large."""

WRITE_TIMEOUT_S = 20.0
"""For a client to take anything of what it is sent."""

READING_LOOK_S = 2.5

BODY_FIELDS = (b"content-length", b"transfer-encoding")

OPEN_MAX = ANSWERS_MAX + 30
"""Connections, with those on which no answer is under way: one of these is closed for a further one."""


class BoundedProtocol(HttpToolsProtocol):
    """One client connection."""

    _head_bytes = 0
    _in_head = False
    answering = False
    idle_since_s = 0.0
    place = "local"
    _garbage: str | None = None
    _head_deadline: asyncio.TimerHandle | None = None
    _reading_look: asyncio.TimerHandle | None = None
    _reading: Reading
    _body_told: bytes | None = None
    """The head of a request that asks for another protocol, as far as it tells of a body."""
    _is_resuming = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio calls this."""
        assert _is_stream(transport), "HTTP runs over streams"
        super().connection_made(transport)
        self.idle_since_s = self.loop.time()
        self.place = "local" if self.client is None else client_at(self.client[0])
        if len(self.connections) > OPEN_MAX:
            self._make_room()
        self._expect_head()
        self._reading = Reading(transport)
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio calls this."""
        self._head_arrived()
        if self._reading_look is not None:
            self._reading_look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """asyncio calls this."""
        was_in_head = self._in_head
        self._unset_keepalive_if_required()
        self._parse(data)
        if self.transport.is_closing():
            return
        # What a head shares with the end of the request before it is not counted: it is one read at most.
        self._head_bytes = self._head_bytes + len(data) if self._in_head and was_in_head else 0
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(431, f"URL and headers have more than {HEAD_BYTES_MAX} bytes.")
        if not self.answering and self._head_deadline is None:
            # Blank lines between requests end the keep-alive timer and begin no request.
            self._expect_head()

    def on_message_begin(self) -> None:
        """The parser calls this at the first byte of a request."""
        if self._is_resuming:
            return
        super().on_message_begin()
        self._in_head = True
        if self._head_deadline is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """The parser calls this."""
        if self._is_resuming:
            return
        self._head_arrived()
        if self.parser.get_method() == b"CONNECT":
            raise ValueError("What follows would be for somebody else, and this is no proxy.")
        if self.parser.should_upgrade():
            told = [b"%s: %s\r\n" % field for field in self.headers if field[0] in BODY_FIELDS]
            self._body_told = b"".join((b"POST / HTTP/1.1\r\n", *told, b"\r\n")) if told else None
        # It raises where the URL is none: then nothing is being answered.
        super().on_headers_complete()
        self.answering = True

    def on_url(self, url: bytes) -> None:
        """The parser calls this."""
        if not self._is_resuming:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser calls this."""
        if not self._is_resuming:
            super().on_header(name, value)

    def on_message_complete(self) -> None:
        """The parser calls this, too early where a request with a body asks for another protocol."""
        if self._body_told is None:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """uvicorn calls this when an answer has been handed to the transport."""
        self.answering = bool(self.pipeline)
        self.idle_since_s = self.loop.time()
        super().on_response_complete()
        if self._garbage is not None and not self.answering and not self.transport.is_closing():
            self._refuse(400, self._garbage)

    def send_400_response(self, msg: str) -> None:
        """uvicorn calls this for what is no HTTP; like every error, the answer is JSON.

        It comes after the answers to whole requests before it.
        """
        if self.answering and not self.cycle.more_body:
            self._garbage = msg
        else:
            self._refuse(400, msg)

    def _parse(self, data: bytes) -> None:
        """What has come, as if nobody had asked for another protocol (RFC 9110, 7.8): there is none here.

        The parser takes what follows such a request for that protocol, and so for a request of its own when it is fed
        again: another one goes on, from the body on.
        """
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self._resume()
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
                return
            else:
                return

    def _resume(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        if self._body_told is not None:
            head, self._body_told, self._is_resuming = self._body_told, None, True
            self.parser.feed_data(head)
            self._is_resuming = False

    def _make_room(self) -> None:
        """Close the connection of whoever has most of those that are not being answered, the longest of them first.

        There is one, this very one at least. A probe that sends its head at once is not what is found here.
        """
        idle = [each for each in self.connections if isinstance(each, BoundedProtocol) and not each.answering]
        of = Counter(each.place for each in idle)
        min(idle, key=lambda each: (-of[each.place], each.idle_since_s)).transport.abort()

    def _look_later(self) -> None:
        self._reading_look = self.loop.call_later(READING_LOOK_S, self._look)

    def _look(self) -> None:
        """A client that takes nothing is cut off, also one whose answer has been handed to the transport."""
        if self._reading.idle_s(self.loop.time()) >= WRITE_TIMEOUT_S:
            if self.answering and not self.cycle.response_complete:
                # Its handler, which goes on until it hears of this, writes no more.
                self.cycle.disconnected = True
            self.transport.abort()
        else:
            self._look_later()

    def _expect_head(self) -> None:
        self._head_deadline = self.loop.call_later(HEAD_TIMEOUT_S, self._head_is_late)

    def _head_arrived(self) -> None:
        self._in_head = False
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _head_is_late(self) -> None:
        self._head_deadline = None
        if self.answering:
            # What is told to the one before must not be cut in two.
            self._expect_head()
        elif self._in_head:
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
