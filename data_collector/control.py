"""The line between the collector process and whoever started it (the HTTP process).

One socket pair, frames of a 4-byte big-endian length and msgpack. The starter asks, the collector answers in
order. End of file on either side means that the other has died: the collector then stops in an orderly way.
The two live in processes of their own so that no HTTP client can take the event loop or the interpreter lock
away from the feed (docs/decisions/0001-two-processes.md).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec
from msgspec import Struct

from data_collector.model.errors import Transient
from data_collector.model.status import Snapshot
from data_collector.model.subscriptions import Wish

FRAME_BYTES_MAX = 16 * 1024 * 1024
"""A snapshot of 2,000 symbols is below 1 MiB; more than this is a broken peer."""

ANSWER_TIMEOUT_S = 2.0
"""The collector's loop answers in milliseconds; silence of this length is a stalled process."""

Action = Literal["status", "start", "stop", "subscriptions", "resubscribe"]


class Request(Struct):
    """What the starter asks. `start` and `stop` are answered when they are done; `resubscribe` when it is begun."""

    action: Action
    wish: Wish | None = None
    """For `resubscribe` only."""


_request_decoder = msgspec.msgpack.Decoder(Request)
_snapshot_decoder = msgspec.msgpack.Decoder(Snapshot)


class ControlClient:
    """The starter's side. Calls take turns; each gets a fresh snapshot."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Request, *, timeout_s: float = ANSWER_TIMEOUT_S) -> Snapshot:
        """Carry out a request and return the state after it.

        Raises `Transient` when the collector is gone or does not answer in time. After a timeout the line is
        closed, because a late answer would be taken for that of the next question.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(timeout_s):
                    if self._streams is None:
                        self._streams = await asyncio.open_connection(sock=self._connection)
                    reader, writer = self._streams
                    await _write_frame(writer, msgspec.msgpack.encode(request))
                    return _snapshot_decoder.decode(await _read_frame(reader))
            except (OSError, EOFError, TimeoutError, ValueError, RuntimeError) as error:
                # RuntimeError: uvloop's, for writing to a line that has just been closed.
                self.close()
                raise Transient("The collector process does not answer.") from error

    def close(self) -> None:
        """Hang up; the collector process then stops by itself."""
        if self._streams is not None:
            self._streams[1].close()
        self._connection.close()


async def serve_control(connection: socket.socket, answer: Callable[[Request], Awaitable[Snapshot]]) -> None:
    """The collector's side: answer requests until the starter hangs up or dies; then return."""
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        while True:
            request = _request_decoder.decode(await _read_frame(reader))
            await _write_frame(writer, msgspec.msgpack.encode(await answer(request)))
    except (OSError, EOFError):
        return
    finally:
        writer.close()


async def _write_frame(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(len(body).to_bytes(4, "big") + body)
    await writer.drain()


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await reader.readexactly(4), "big")
    if length > FRAME_BYTES_MAX:
        raise ValueError(f"a control frame of {length} bytes")
    return await reader.readexactly(length)
