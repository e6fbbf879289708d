"""A TCP proxy that delays, holds, cuts, and loses replies to what was carried out."""

from __future__ import annotations

import asyncio
from typing import Self

PIECE_BYTES = 65_536


class _Tunnel:
    """One client's connection and ours to the server; `loses_reply` once a marked command has gone through."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self.writers = writers
        self.loses_reply = False

    def cut(self) -> None:
        """Both sides at once, by reset."""
        for writer in self.writers:
            writer.transport.abort()


class Proxy:
    """`async with` it; clients connect to `port`, and get to what answers at `port_behind`."""

    def __init__(self, port_behind: int) -> None:
        self.port_behind = port_behind
        """May be changed: for connections that are made afterwards."""
        self.port = 0
        self.latency_s = 0.0
        """How long every piece of bytes is under way, in each direction."""
        self.lost_replies = 0
        self._replies_to_lose = 0
        self._mark = b""
        self._passing = asyncio.Event()
        self._passing.set()
        self._tunnels: set[_Tunnel] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None, "it was entered"
        self._server.close()
        self._passing.set()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def lose_replies(self, count: int, mark: bytes) -> None:
        """The next `count` replies to commands with `mark` in them never come: the connection is cut in their place."""
        self._replies_to_lose, self._mark = count, mark

    def hold(self) -> None:
        """Let no byte through from now on; what is under way is kept."""
        self._passing.clear()

    def release(self) -> None:
        """Let through what was held."""
        self._passing.set()

    def cut(self) -> None:
        """Reset every connection; what is under way is lost."""
        for tunnel in list(self._tunnels):
            tunnel.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            reader_behind, writer_behind = await asyncio.open_connection("127.0.0.1", self.port_behind)
        except OSError:
            writer.transport.abort()
            return
        tunnel = _Tunnel(writer, writer_behind)
        self._tunnels.add(tunnel)
        ways = [
            asyncio.create_task(self._pass_on(reader, writer_behind, tunnel, replies=False)),
            asyncio.create_task(self._pass_on(reader_behind, writer, tunnel, replies=True)),
        ]
        self._tasks.update(ways)
        await asyncio.wait(ways)
        self._tasks.difference_update(ways)
        self._tunnels.discard(tunnel)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tunnel: _Tunnel, *, replies: bool
    ) -> None:
        try:
            while piece := await reader.read(PIECE_BYTES):
                await asyncio.sleep(self.latency_s)
                await self._passing.wait()
                if replies and tunnel.loses_reply:
                    self.lost_replies += 1
                    break
                if not replies and self._replies_to_lose and self._mark in piece:
                    self._replies_to_lose -= 1
                    tunnel.loses_reply = True
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass
        finally:
            tunnel.cut()
