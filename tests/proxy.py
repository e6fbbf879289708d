"""A TCP proxy that hurts what goes through it: resets, silence, slowness, and replies that get lost.

Everything that happens, happens to connections as they are; new ones work unless the fault is still in force.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from random import Random
from typing import Self

from tests.integration.waiting import until_async

CHUNK_BYTES = 65_536
DRIP_CHUNKS_PER_S = 20


class Tunnel:
    """A client's connection and ours to the server; `is_marked` while a reply to a marked command is due."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.is_marked = False
        self._writers = (client, server)

    def reset(self) -> None:
        """Cut both sides by RST, whatever is under way."""
        for writer in self._writers:
            connection = writer.get_extra_info("socket")
            with suppress(OSError):  # closed already
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def close(self) -> None:
        """Let both sides end in an orderly way."""
        for writer in self._writers:
            writer.close()


class Proxy:
    """Clients connect to `port`, between `start` and `stop` or in `async with`, and get to `target` on this machine."""

    def __init__(self, target: int) -> None:
        self.target = target
        """May be changed: for connections that are made afterwards."""
        self.port = 0
        self.latency_s = 0.0
        """How long every chunk is under way, in each direction."""
        self.drip_bytes_per_s = 0
        """How much of what the server sends is passed on; 0 is all."""
        self.refuses = False
        self.lost_replies = 0
        self._replies_to_lose = 0
        self._mark = b""
        self._tunnels: set[Tunnel] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        self._flows.set()
        self.reset()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()
        await until_async(lambda: not self._tunnels, "the end of every connection")

    def reset(self, share: float = 1.0, random: Random | None = None) -> None:
        """Cut a share of the connections by RST."""
        for tunnel in tuple(self._tunnels):
            if random is None or random.random() < share:
                tunnel.reset()

    def hold(self) -> None:
        """Pass nothing on any more, in either direction, and close nothing: half-open for whoever listens."""
        self._flows.clear()

    def go_on(self) -> None:
        """Pass on again what was held, and what comes."""
        self._flows.set()

    def point_to(self, port: int) -> None:
        """Another server from now on; who was connected to the old one is cut."""
        self.target = port
        self.reset()

    def lose_replies(self, count: int, mark: bytes = b"") -> None:
        """The next `count` commands with `mark` in them are executed, and a reset takes the place of each reply."""
        self._replies_to_lose, self._mark = count, mark

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.refuses:
                raise ConnectionRefusedError
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        tunnel = Tunnel(writer, up_writer)
        self._tunnels.add(tunnel)
        try:
            await asyncio.gather(
                self._pass_on(tunnel, reader, up_writer), self._pass_on(tunnel, up_reader, writer, replies=True)
            )
        except (OSError, EOFError):
            tunnel.reset()
        finally:
            self._tunnels.discard(tunnel)

    async def _pass_on(
        self, tunnel: Tunnel, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool = False
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            await self._flows.wait()
            if replies and self._replies_to_lose and (tunnel.is_marked or not self._mark):
                self._replies_to_lose -= 1
                self.lost_replies += 1
                tunnel.reset()
                return
            tunnel.is_marked = not replies and (tunnel.is_marked or (self._mark != b"" and self._mark in chunk))
            if replies and self.drip_bytes_per_s:
                await self._drip(writer, chunk)
            else:
                writer.write(chunk)
                await writer.drain()
        tunnel.close()

    async def _drip(self, writer: asyncio.StreamWriter, chunk: bytes) -> None:
        position = 0
        while position < len(chunk):
            size = max(1, self.drip_bytes_per_s // DRIP_CHUNKS_PER_S) if self.drip_bytes_per_s else len(chunk)
            writer.write(chunk[position : position + size])
            await writer.drain()
            position += size
            await asyncio.sleep(1 / DRIP_CHUNKS_PER_S)
