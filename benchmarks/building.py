"""What klines made of trades cost: the collector of an exchange that closes none against the same one without klines.

Run as a program it is the command line with Binance's klines built, whose trades the feeder sends.
"""

from __future__ import annotations

import statistics

from msgspec import structs

from benchmarks.feeder import Plan
from benchmarks.rig import collecting, feeding
from data_collector.__main__ import main
from data_collector.venues.binance import venue

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
BUILT = "benchmarks.building"
PAIRS = 5
WARM_UP = 20_000
INTERVALS = "1m,5m,15m,1h"
CPU_BAR_US = 3.0


async def run(*, messages: int) -> None:
    """Interleaved pairs of both."""
    print(f"CPU per trade at full rate, with klines of {INTERVALS} built and without ({PAIRS} pairs in turn):")
    more: list[float] = []
    ratios: list[float] = []
    for _ in range(PAIRS):
        without, built = await _cost("trade,ticker", messages), await _cost("kline,trade,ticker", messages)
        more.append(built - without)
        ratios.append(built / without)
        print(f"  without {without:5.2f} µs   built {built:5.2f} µs   more {built - without:5.2f} µs", flush=True)
    median, met = statistics.median(more), "met" if statistics.median(more) <= CPU_BAR_US else "missed"
    ratio = statistics.median(ratios)
    print(f"  more CPU a trade, median: {median:.2f} µs, {ratio:.2f} times   bar {CPU_BAR_US} µs: {met}", flush=True)


async def _cost(channels: str, messages: int) -> float:
    plan = Plan(SYMBOLS, frames=WARM_UP + messages, warm_up=WARM_UP)
    chosen = {"CHANNELS": channels, "INTERVALS": INTERVALS}
    async with feeding(plan) as url, collecting(SYMBOLS, url, module=BUILT, **chosen) as rig:
        before = await rig.read_when_received(WARM_UP, timeout_s=60)
        after = await rig.read_when_received(plan.frames, timeout_s=300)
    assert bool(after.stored["kline"]) == ("kline" in channels), "klines come where they are wanted, and nowhere else"
    return (after.collector_cpu_s - before.collector_cpu_s) / (after.received - before.received) * 1e6


if __name__ == "__main__":
    venue.VENUE = structs.replace(venue.VENUE, klines="built")
    main()
