"""Viewers of the dashboard that read slowly, or well: what they cost the collector, against nobody looking on."""

from __future__ import annotations

import asyncio
import socket
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.feeder import Plan
from benchmarks.latency import tell_ratio
from benchmarks.rig import feeding
from benchmarks.served import get, p99_of, serving

SYMBOLS = [f"B{number:03}USDT" for number in range(100)]
ROUNDS = 5
PER_S = 1_000
"""Trades."""

SLOW, QUICK = 20, 5
"""Viewers that never read, and that read all."""

BAR = 1.2
REQUEST = b"GET /live?symbol=B000USDT HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def run(*, seconds: int) -> None:
    """In turn: nobody, viewers that never read, viewers that do."""
    print(f"Viewers of {len(SYMBOLS)} symbols at {PER_S:,} trades/s ({ROUNDS} rounds):")
    frames = PER_S * (3 * ROUNDS * (seconds + 2) + 90)
    ratios: dict[str, list[tuple[float, float]]] = {"slow": [], "quick": []}
    async with feeding(Plan(SYMBOLS, frames=frames, per_s=PER_S)) as url, serving(url, SYMBOLS) as port:
        await asyncio.sleep(seconds)
        for _ in range(ROUNDS):
            alone = await _cost(port, seconds)
            async with _viewers(port, SLOW, reads=False):
                slow = await _cost(port, seconds)
            async with _viewers(port, QUICK, reads=True):
                quick = await _cost(port, seconds)
            for name, (cpu, p99) in {"slow": slow, "quick": quick}.items():
                ratios[name].append((cpu / alone[0], p99 / alone[1]))
            told = f"nobody {_told(alone)}   {SLOW} slow {_told(slow)}   {QUICK} quick {_told(quick)}"
            print(f"  CPU/message and p99: {told}", flush=True)
    for name, found in ratios.items():
        cpu = statistics.median(ratio for ratio, _ in found)
        print(f"  collector CPU per message, {name} viewers against nobody, median of {ROUNDS}: {cpu:.2f} times")
        tell_ratio(f"{name} viewers against nobody", [ratio for _, ratio in found], bar=BAR)


async def _cost(port: int, seconds: int) -> tuple[float, float]:
    """CPU of the collector per message in µs, and p99 from socket to store in s."""
    cpu, received = await asyncio.to_thread(_counts, port)
    p99 = await p99_of(port, seconds)
    cpu_after, received_after = await asyncio.to_thread(_counts, port)
    return (cpu_after - cpu) / (received_after - received) * 1e6, p99


def _counts(port: int) -> tuple[float, float]:
    families = text_string_to_metric_families(get(port, "/metrics/prometheus"))
    values = {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}
    return values["data_collector_process_cpu_seconds_total"], values["data_collector_messages_received_total"]


def _told(cost: tuple[float, float]) -> str:
    return f"{cost[0]:5.1f} µs {cost[1] * 1e3:5.2f} ms"


@asynccontextmanager
async def _viewers(port: int, count: int, *, reads: bool) -> AsyncIterator[None]:
    """Viewers for as long as the block; those that the service cuts off come again."""
    tasks = [asyncio.create_task(_view(port, reads=reads)) for _ in range(count)]
    await asyncio.sleep(1.0)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(1.0)


async def _view(port: int, *, reads: bool) -> None:
    while True:
        # As little as the system gives, so that what is not read fills it soon.
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, REQUEST)
            while reads and await loop.sock_recv(client, 65_536):
                pass
            await asyncio.sleep(30.0)
        except OSError:
            await asyncio.sleep(0.5)
        finally:
            client.close()
