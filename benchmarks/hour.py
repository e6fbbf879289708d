"""An hour's volume as fast as the machine takes it: whether the collector's memory stays flat."""

from __future__ import annotations

import asyncio
import statistics
import time

from benchmarks.feeder import Plan
from benchmarks.rig import collecting, feeding
from data_collector.model.status import Snapshot

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
HOUR_TRADES = 18_000_000
"""At 5,000 trades/s."""

SETTLED_PART = 0.2
"""Before that the ring in memory fills up, which is meant to take what it takes."""

SAMPLE_S = 0.5
GROWTH_BAR_MIB = 8.0
"""Over the hour: what a sample moves by itself."""


async def run(*, trades: int) -> None:
    """Feed, and look at the memory twice a second."""
    print(f"Memory while {trades:,} trades come (an hour at 5,000/s has {HOUR_TRADES:,}):")
    samples: list[tuple[float, float]] = []
    async with feeding(Plan(SYMBOLS, frames=trades)) as url, collecting(SYMBOLS, url) as rig:
        started = time.monotonic()
        while (snapshot := await rig.snapshot()).messages_received < trades:
            samples.append((snapshot.messages_received, _mebibytes(snapshot)))
            await asyncio.sleep(SAMPLE_S)
        seconds = time.monotonic() - started
    settled = [sample for sample in samples if sample[0] >= trades * SETTLED_PART]
    slope, _ = statistics.linear_regression(*zip(*settled, strict=True))
    memory = [mebibytes for _, mebibytes in settled]
    grown = slope * HOUR_TRADES
    met = "met" if grown <= GROWTH_BAR_MIB else "missed"
    print(
        f"  {trades / seconds:,.0f} trades/s; {memory[0]:.0f} MiB after the first fifth, {memory[-1]:.0f} MiB at the "
        f"end, between {min(memory):.0f} and {max(memory):.0f} MiB"
    )
    tenths = [samples[len(samples) * tenth // 10][1] for tenth in range(10)]
    print(f"  at each tenth of the time: {' '.join(f'{mebibytes:.0f}' for mebibytes in tenths)} MiB")
    print(f"  slope {grown:+.1f} MiB an hour   bar {GROWTH_BAR_MIB:g} MiB: {met}", flush=True)


def _mebibytes(snapshot: Snapshot) -> float:
    name = "data_collector_resident_memory_bytes"
    return next(sample.value for sample in snapshot.samples if sample.name == name) / 2**20
