"""Answering a whole range as CSV or Arrow: piece by piece, as the client takes them.

The end of the answer is that of its chunks: what fails after the first piece closes the connection without it, so a
client tells a cut answer from a whole one. Asked again from there, the answer is the sentence.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from data_collector.api.series.stretches import Piece
from data_collector.api.series.tables import NoDecimal, Table, piece_of
from data_collector.model.errors import SinkUnavailable
from data_collector.model.records import Kline, Sourced, Trade
from data_collector.observe.logs import get_log
from data_collector.time_limit import time_limit
from data_collector.web.answers import masked

STREAMS_MAX = 4
"""At a time; each holds three pieces, some 10 MB."""

SENT_BYTES = 256 * 1024
SEND_TIMEOUT_S = 20.0
"""For a client to take so many bytes, or to make place for them in its buffers."""

Item = TypeVar("Item")

RecordsPiece = TypeVar("RecordsPiece", Piece[Sourced[Kline]], Piece[Sourced[Trade]])

_log = get_log()


class Streams:
    """Those under way; a few at a time, and they end with the server."""

    def __init__(self) -> None:
        self._under_way = 0
        self._ending = asyncio.Event()

    def demand_place(self) -> None:
        """Raise `SinkUnavailable` when there are enough."""
        if self._under_way >= STREAMS_MAX:
            raise SinkUnavailable(
                f"{STREAMS_MAX} long answers are being read already; come back later, or ask for pages with limit=.",
                retry_after_s=10,
            )

    @contextmanager
    def one(self) -> Iterator[None]:
        """For as long as one lasts. Raises as `demand_place`."""
        self.demand_place()
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


async def parts_of(table: Table, pieces: AsyncGenerator[RecordsPiece, None]) -> AsyncGenerator[bytes, None]:
    """The bytes of a table, a piece of rows at a time. Raises what the pieces raise, and `NoDecimal`."""
    head = table.head()
    async with aclosing(_ahead(pieces)) as following:
        async for piece in following:
            yield head + await asyncio.to_thread(piece_of, table, piece.rows, piece.text)
            head = b""
    yield table.tail()


async def _ahead(items: AsyncGenerator[Item, None]) -> AsyncGenerator[Item, None]:
    """The same items; the next one is made while one is used. Who leaves waits for it: a COPY is never broken off."""

    async def following() -> Item | None:
        return await anext(items, None)

    making = asyncio.create_task(following())
    try:
        while (item := await asyncio.shield(making)) is not None:
            making = asyncio.create_task(following())
            yield item
    finally:
        await asyncio.gather(asyncio.shield(making), return_exceptions=True)
        await items.aclose()


class StreamedTable(Response):
    """Sends a part while the next one is written, and the one behind it read."""

    def __init__(
        self, streams: Streams, begin: bytes, parts: AsyncGenerator[bytes, None], *, media_type: str,
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
        async with aclosing(_ahead(self._parts)) as following:
            await _send(send, self._begin)
            async for part in following:
                await _send(send, part)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


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


async def _send(send: Send, part: bytes) -> None:
    for start in range(0, len(part), SENT_BYTES):
        async with time_limit(SEND_TIMEOUT_S):
            await send({"type": "http.response.body", "body": part[start : start + SENT_BYTES], "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
