"""An HTTP proxy as companies have them: CONNECT and absolute URLs, until it is told to refuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class ForwardProxy:
    """What it does and has seen."""

    url: str = ""
    refusal: bytes = b""
    """What everybody is answered with; empty while it serves."""
    asked: list[str] = field(default_factory=list)
    """The first line of each request."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def reset(self) -> None:
        """Cut all connections."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio makes one for each connection"
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._carry(reader, writer)
        writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusal:
            await reader.read(1024)
            writer.write(self.refusal)
            await writer.drain()
            return
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, rest = head.split(b" ", 2)
        self.asked.append(f"{method.decode()} {target.decode()}")
        parts = urlsplit(f"//{target.decode()}" if method == b"CONNECT" else target.decode())
        theirs, ours = await asyncio.open_connection(parts.hostname, parts.port)
        if method == b"CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            ours.write(b" ".join([method, path.encode(), rest.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)]))
        both = [asyncio.ensure_future(_copy(reader, ours)), asyncio.ensure_future(_copy(theirs, writer))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for copying in both:
                copying.cancel()
            ours.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def forward_proxy() -> AsyncIterator[ForwardProxy]:
    """Listen for the length of the block."""
    proxy = ForwardProxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.reset()
