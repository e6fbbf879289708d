"""Clients that ask for much and read nothing, clients that say nothing, and parts of ours that are held."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Protocol

from tests.soak.kind import Kind, Untouched
from tests.soak.scene import Scene
from tests.soak.service import ServedCollector, Service

STUCK_S = (2.0, 12.0)
LIVENESS_S = 3.0
"""How soon a probe is answered, whoever else waits."""

PROBE_S = 0.5
HOLD_S = (1.0, 15.0)
TOLD_S = 8.0

IDLE = b""
ASKED = (
    b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /trades/%s?from=0&format=csv HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /trades/%s?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20,
    b"GET /completeness?symbol=%s&klines=1 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20,
)


class Held(Protocol):
    """What can be held."""

    def hold(self) -> None:
        """SIGSTOP."""

    def go_on(self) -> None:
        """SIGCONT."""


def _service(scene: Scene) -> Service:
    assert scene.service is not None, "an adversary strikes a whole service"
    return scene.service


@asynccontextmanager
async def _clients(port: int, count: int, text: bytes) -> AsyncIterator[None]:
    """Connections that have said this, and read nothing; a client that is refused is none."""
    writers: list[asyncio.StreamWriter] = []
    try:
        for _ in range(count):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
                writers.append(writer)
                writer.write(text)
        yield
    finally:
        for writer in writers:
            writer.transport.abort()


async def _endure(scene: Scene, port: int, count: int, text: bytes, random: Random) -> None:
    service, end = _service(scene), time.monotonic() + random.uniform(*STUCK_S)
    async with _clients(port, count, text):
        while time.monotonic() < end:
            asked = time.monotonic()
            try:
                said = await service.get("/health/live")
            except OSError as error:
                said = str(error)
            took = time.monotonic() - asked
            # Of a collector that is held it says that it is silent.
            if '"status"' not in said or took > LIVENESS_S:
                scene.findings.lie(f"/health/live took {took:.1f} s beside {count} stuck clients: {said[:200]}")
            await asyncio.sleep(PROBE_S)


async def http_readers(scene: Scene, random: Random) -> None:
    """They ask for much and read nothing."""
    symbol = random.choice(scene.feed(random).symbols).encode()
    asked = random.choice(ASKED)
    text = asked.replace(b"%s", symbol)
    await _endure(scene, _service(scene).port, random.choice((5, 20, 40)), text, random)


async def http_idlers(scene: Scene, random: Random) -> None:
    """They say nothing at all."""
    await _endure(scene, _service(scene).port, random.choice((40, 110, 150)), IDLE, random)


async def redis_readers(scene: Scene, random: Random) -> None:
    """They ask the store for all it has, or for all that happens, and read nothing."""
    key = random.choice(scene.oracles).trades.key
    text = random.choice((f"XRANGE {key} - +\r\n" * 3, f"XREAD BLOCK 0 STREAMS {key} $\r\n", "MONITOR\r\n"))
    await _endure(scene, scene.pair.primary.port, random.choice((2, 10, 30)), text.encode(), random)


async def held_collector(scene: Scene, random: Random) -> None:
    """SIGSTOP of the collector, for a moment or for long."""
    collector = random.choice(scene.collectors)
    assert isinstance(collector, ServedCollector), "the service's"
    if collector.pid is None:
        raise Untouched
    await _held(scene, random, collector, "the collector")


async def held_store(scene: Scene, random: Random) -> None:
    """SIGSTOP of the store."""
    await _held(scene, random, scene.pair.primary, "the store")


async def _held(scene: Scene, random: Random, part: Held, name: str) -> None:
    """Long enough, and `/health` has to tell."""
    seconds, said = random.uniform(*HOLD_S), ["nothing yet"]
    part.hold()
    try:
        await asyncio.sleep(seconds)
        if seconds > TOLD_S:
            with contextlib.suppress(OSError):
                said = await _service(scene).reasons()
    finally:
        part.go_on()
    if not said:
        scene.findings.lie(f"/health was healthy when {name} had been held for {seconds:.1f} s")


KINDS = (
    Kind("http-readers", "readers", 3, http_readers),
    Kind("http-idlers", "readers", 2, http_idlers),
    Kind("redis-readers", "readers", 3, redis_readers),
    Kind("held-collector", "collectors", 3, held_collector),
    Kind("held-store", "collectors", 2, held_store),
)
