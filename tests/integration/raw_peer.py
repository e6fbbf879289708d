"""A WebSocket server that says exactly the bytes it is told to, right or wrong."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from data_collector.model.protocols import UnknownEvent
from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.transport import Address, Resolver, open_websocket
from data_collector.pipeline.connections.websocket import WebSocket

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

Greet = Callable[[bytes], bytes]
"""The answer to a handshake, from its key."""


def accepted(key: bytes) -> str:
    """What proves that the handshake was read."""
    return base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest()).decode()


def upgraded(key: bytes, *more: str) -> bytes:
    """A good answer, with further headers."""
    lines = [
        "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accepted(key)}", *more,
    ]  # fmt: skip
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing and wait for the other side's end."""
    await reader.read(-1)


def saying(raw: bytes) -> Talk:
    """Send the bytes, and go on listening with the connection open."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        await listen(reader, writer)

    return talk


@asynccontextmanager
async def peer(
    talk: Talk = listen, *, greet: Greet = upgraded, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:  # fmt: skip
    """Listen, and give the URL; everybody who comes is greeted and talked to."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio makes one for each connection"
        tasks.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            request = await reader.readuntil(b"\r\n\r\n")
            (key,) = (
                line.split(b":")[1].strip()
                for line in request.split(b"\r\n")
                if line.lower().startswith(b"sec-websocket-key")
            )
            writer.write(greet(key))
            await talk(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"ws://127.0.0.1:{port}/stream" if tls is None else f"wss://localhost:{port}/stream"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def opened(url: str, received: list[bytes] | None = None) -> WebSocket:
    """The collector's own connection to it. Raises `VenueUnreachable`."""
    messages = [] if received is None else received

    def decode(message: memoryview, received_ns: int) -> UnknownEvent:
        messages.append(bytes(message))
        return UnknownEvent("")

    return await open_websocket(
        Address(url), decode, lambda _: None, lambda _: None, messages_per_s=4, connect=Resolver(Counters()).connect
    )  # fmt: skip
