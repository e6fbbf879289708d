"""What exactness costs: the collector with its spool (ring in memory, files, syncs) against the same one without."""

from __future__ import annotations

import statistics

from benchmarks.feeder import Plan
from benchmarks.latency import quantiles
from benchmarks.rig import collecting, feeding

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
BARE = "benchmarks.bare"
WHOLE = "data_collector"
PAIRS = 5
WARM_UP = 20_000
CPU_BAR_US = 2.0
LATENCY_BAR = 1.2
RATES = (1_000, 5_000)


async def run(*, messages: int, seconds: int) -> None:
    """Interleaved pairs of both."""
    print(f"CPU per trade at full rate, with retention and without ({PAIRS} pairs in turn):")
    more: list[float] = []
    for _ in range(PAIRS):
        without, whole = await cost(BARE, messages), await cost(WHOLE, messages)
        more.append(whole - without)
        print(f"  without {without:5.2f} µs   with {whole:5.2f} µs   more {whole - without:5.2f} µs", flush=True)
    _tell("more CPU a trade", statistics.median(more), CPU_BAR_US, "µs")
    for per_s in RATES:
        print(f"At {per_s:,} trades/s:")
        ratios: list[float] = []
        more = []
        for _ in range(PAIRS):
            without_us, without_p99 = await steady(BARE, per_s, seconds)
            whole_us, whole_p99 = await steady(WHOLE, per_s, seconds)
            ratios.append(whole_p99 / without_p99)
            more.append(whole_us - without_us)
            print(
                f"  p99 without {without_p99 * 1e3:5.2f} ms   with {whole_p99 * 1e3:5.2f} ms   ratio {ratios[-1]:4.2f}"
                f"   CPU without {without_us:5.2f} µs   with {whole_us:5.2f} µs",
                flush=True,
            )
        _tell("p99", statistics.median(ratios), LATENCY_BAR, "times")
        _tell("more CPU a trade", statistics.median(more), CPU_BAR_US, "µs")


def _tell(what: str, median: float, bar: float, unit: str) -> None:
    met = "met" if median <= bar else "missed"
    print(f"  {what}, median of {PAIRS}: {median:.2f} {unit}   bar {bar} {unit}: {met}", flush=True)


async def cost(module: str, messages: int, **settings: str) -> float:
    """CPU per trade in µs, at the highest rate that the collector takes."""
    plan = Plan(SYMBOLS, frames=WARM_UP + messages, warm_up=WARM_UP)
    async with feeding(plan) as url, collecting(SYMBOLS, url, module=module, **settings) as rig:
        before = await rig.read_when_received(WARM_UP, timeout_s=60)
        after = await rig.read_when_received(plan.frames, timeout_s=300)
    return (after.collector_cpu_s - before.collector_cpu_s) / (after.received - before.received) * 1e6


async def steady(module: str, per_s: int, seconds: int, **settings: str) -> tuple[float, float]:
    """CPU per trade in µs, and p99 from socket to store in s."""
    plan = Plan(SYMBOLS, frames=per_s * (seconds + 2), per_s=per_s)
    async with feeding(plan) as url, collecting(SYMBOLS, url, module=module, **settings) as rig:
        before = await rig.read_until(lambda reading: reading.received >= per_s, timeout_s=60)
        after = await rig.read_until(lambda reading: reading.received >= per_s * (seconds + 1), timeout_s=seconds + 60)
    cpu_us = (after.collector_cpu_s - before.collector_cpu_s) / (after.received - before.received) * 1e6
    return cpu_us, quantiles(before, after, (0.99,))[0]
