"""Answering a whole range as CSV or Arrow: piece by piece, as the client takes them.

The end of the answer is that of its chunks: what fails after the first piece closes the connection without it, so a
client tells a cut answer from a whole one. Asked again from there, the answer is the sentence.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from data_collector.api.series.stretches import Piece
from data_collector.api.series.tables import NoDecimal, Table
from data_collector.model.errors import SinkUnavailable
from data_collector.model.records import Kline, Sourced, Trade
from data_collector.observe.logs import get_log
from data_collector.time_limit import time_limit
from data_collector.web.answers import masked

STREAMS_MAX = 4
"""At a time; each holds two pieces, some 10 MB."""

SENT_BYTES = 256 * 1024
SEND_TIMEOUT_S = 20.0
"""For a client to take so many bytes, or to make place for them in its buffers."""

RecordsPiece = Piece[Sourced[Kline]] | Piece[Sourced[Trade]]

_log = get_log()


class Streams:
    """Those under way; a few at a time, and they end with the server."""

    def __init__(self) -> None:
        self._under_way = 0
        self._ending = asyncio.Event()

    @contextmanager
    def one(self) -> Iterator[None]:
        """For as long as one lasts. Raises `SinkUnavailable` when there are enough."""
        if self._under_way >= STREAMS_MAX:
            raise SinkUnavailable(
                f"{STREAMS_MAX} long answers are being read already; come back later, or ask for pages with limit=.",
                retry_after_s=10,
            )
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def end(self) -> None:
        """Cut all: the server stops."""
        self._ending.set()

    async def ended(self) -> None:
        """Wait for that."""
        await self._ending.wait()


async def parts_of(
    table: Table, pieces: AsyncIterator[Piece[Sourced[Kline]] | Piece[Sourced[Trade]]]
) -> AsyncIterator[bytes]:
    """The bytes of a table, a piece of rows at a time. Raises what the pieces raise, and `NoDecimal`."""
    head = table.head()
    async for piece in pieces:
        yield head + await asyncio.to_thread(_written, table, piece)
        head = b""
    yield table.tail()


def _written(table: Table, piece: RecordsPiece) -> bytes:
    return table.lines(piece.text) if piece.text else table.rows(piece.rows)


class StreamedTable(Response):
    """Sends a part while the next one is read."""

    def __init__(
        self, streams: Streams, begin: bytes, parts: AsyncIterator[bytes], *, media_type: str,
        headers: Mapping[str, str],
    ) -> None:  # fmt: skip
        """`begin` is the first part, so that what is wrong with that could still be told."""
        super().__init__(headers=headers, media_type=media_type)
        # Its length is not known.
        del self.headers["content-length"]
        self._streams = streams
        self._begin = begin
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._streams.one():
            writing = asyncio.create_task(self._write(send))
            gone, ended = asyncio.create_task(_gone(receive)), asyncio.create_task(self._streams.ended())
            tasks = (writing, gone, ended)
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            if gone.cancelled() and (reason := _why_cut(writing)) is not None:
                _log.warning("answer_cut", path=scope["path"], reason=masked(reason))

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        part: bytes | None = self._begin
        while part is not None:
            following = asyncio.create_task(self._following())
            try:
                for start in range(0, len(part), SENT_BYTES):
                    async with time_limit(SEND_TIMEOUT_S):
                        await _send(send, part[start : start + SENT_BYTES])
                part = await following
            finally:
                following.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _following(self) -> bytes | None:
        return await anext(self._parts, None)


def _why_cut(writing: asyncio.Task[None]) -> str | None:
    """None when it is whole. Raises what was not foreseen."""
    if writing.cancelled():
        return "the service stops"
    try:
        writing.result()
    except (SinkUnavailable, NoDecimal) as error:
        return str(error)
    except TimeoutError:
        return f"the client has not taken {SENT_BYTES} bytes within {SEND_TIMEOUT_S:g} s"
    return None


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
