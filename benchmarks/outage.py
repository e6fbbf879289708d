"""A store that stands still while trades come: what the collector's memory does, and how fast it catches up."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import redis.asyncio as redis

from benchmarks.feeder import Plan
from benchmarks.rig import Rig, collecting, feeding
from data_collector.model.status import Sample

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
WARM_UP = 20_000
HOUR_TRADES = 18_000_000
"""An hour at 5,000 trades/s."""

MEMORY_BAR_MIB = 64
DRAIN_BAR_S = 180


async def run(*, trades: int) -> None:
    """Stop the store, feed, let it go on."""
    print(f"A store that stands still while {trades:,} trades come (an hour at 5,000/s has {HOUR_TRADES:,}):")
    plan = Plan(SYMBOLS, frames=WARM_UP + trades, warm_up=WARM_UP)
    # What is owed comes from the spool: there is no exchange to ask in this measurement.
    async with feeding(plan) as url, collecting(SYMBOLS, url, SPOOL_BYTES_MAX=str(16 * 2**30)) as rig:
        before = await rig.read_when_received(WARM_UP, timeout_s=60)
        store_pid = await _store_pid(rig)
        os.kill(store_pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            peak = before.memory_bytes
            while (snapshot := await rig.snapshot()).messages_received < plan.frames:
                peak = max(peak, _memory(snapshot.samples))
                await asyncio.sleep(0.25)
            fed_s = time.monotonic() - started
        finally:
            os.kill(store_pid, signal.SIGCONT)
        started = time.monotonic()
        # A server that was stopped carries out what it had been sent, though the collector has given up waiting.
        after = await rig.read_until(lambda each: each.stored["trade"] + each.known >= plan.frames, timeout_s=1800)
        drained_s = time.monotonic() - started
        peak = max(peak, after.memory_bytes)
    grown = (peak - before.memory_bytes) / 2**20
    hour_s = drained_s * HOUR_TRADES / trades
    print(
        f"  fed in {fed_s:.1f} s ({trades / fed_s:,.0f}/s); stored in {drained_s:.1f} s ({trades / drained_s:,.0f}/s), "
        f"which makes {hour_s:.0f} s for an hour   bar {DRAIN_BAR_S} s: {'met' if hour_s <= DRAIN_BAR_S else 'missed'}"
    )
    print(
        f"  memory grew by {grown:.0f} MiB   bar {MEMORY_BAR_MIB} MiB: {'met' if grown <= MEMORY_BAR_MIB else 'missed'}"
    )


async def _store_pid(rig: Rig) -> int:
    snapshot = await rig.snapshot()
    assert snapshot.store_url is not None, "the store is open"
    client = redis.from_url(snapshot.store_url)
    try:
        return int((await client.info("server"))["process_id"])
    finally:
        await client.aclose()


def _memory(samples: list[Sample]) -> int:
    return next(int(sample.value) for sample in samples if sample.name == "data_collector_resident_memory_bytes")
