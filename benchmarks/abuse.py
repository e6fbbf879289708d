"""Abuse of the API beside the feed: p99 from socket to store meanwhile, against the same service left alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.feeder import Plan
from benchmarks.latency import tell_ratio
from benchmarks.rig import feeding
from benchmarks.served import SYMBOLS, p99_of, serving

ROUNDS = 5
PER_S = 1_000
"""Trades."""

REQUESTS_PER_S = 500
"""Beside 50 clients that never end their request. More measures only how the machine's two cores are shared."""

LATENCY_BAR = 1.1


async def run(*, seconds: int) -> None:
    """In turn: left alone, abused, and with the same abuse of another service, which costs the machine as much."""
    print(f"p99 at {PER_S:,} trades/s beside {REQUESTS_PER_S:,} abusive requests/s ({ROUNDS} rounds):")
    frames = PER_S * (3 * ROUNDS * (seconds + 3) + 60)
    feed = feeding(Plan(SYMBOLS, frames=frames, per_s=PER_S))
    async with feed as url, serving(url) as port, serving("ws://127.0.0.1:9") as other:
        await asyncio.sleep(seconds)
        abused, machine = [], []
        for _ in range(ROUNDS):
            alone = await p99_of(port, seconds)
            async with _abusing(other):
                beside = await p99_of(port, seconds)
            async with _abusing(port) as told:
                ours = await p99_of(port, seconds)
            abused.append(ours / alone)
            machine.append(ours / beside)
            print(
                f"  alone {alone * 1e3:5.2f} ms   abused {ours * 1e3:5.2f} ms ({abused[-1]:4.2f} times)   "
                f"another abused {beside * 1e3:5.2f} ms   answers {' '.join(told)}",
                flush=True,
            )
    tell_ratio("abused, against left alone", abused, bar=LATENCY_BAR)
    tell_ratio("abused, against the same abuse of another service", machine, bar=LATENCY_BAR)


@asynccontextmanager
async def _abusing(port: int) -> AsyncIterator[list[str]]:
    """Abusers for as long as the block; what they were answered is in the list afterwards."""
    told: list[str] = []
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.abuser", str(port), str(REQUESTS_PER_S),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    await asyncio.sleep(1.0)
    try:
        yield told
    finally:
        answers, _ = await process.communicate(b"")
        told += answers.decode().split()
