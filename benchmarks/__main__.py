"""`make bench`: cost per message, latency and memory of the whole collector, in one run.

Every figure is that of real processes: a feeder or the simulator, the collector as users run it, and the embedded
store. CPU is what the operating system accounted to each process, in user and system mode. The two noisy figures of
a shared machine are told with their spread.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import statistics
from collections.abc import Callable, Coroutine

from benchmarks import (
    abuse,
    building,
    commands,
    demo,
    exactness,
    exchanges,
    history,
    hour,
    load,
    outage,
    postgres,
    ranges,
    readers,
    reading,
    recording,
    recovery,
    rhythm,
    validation,
    viewers,
)  # fmt: skip
from benchmarks.feeder import Plan
from benchmarks.latency import quantiles
from benchmarks.rig import Reading, collecting, feeding

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
"""The default three; `--symbols 100` shows what many cost."""

WARM_UP = 20_000
"""Messages before the first reading: connection, first keys and caches are not what a message costs."""


async def cost(name: str, plan: Plan, *, measured: int) -> tuple[float, float]:
    """CPU of the collector and of the store per message, in µs, at the highest rate that the collector takes."""
    plan.frames, plan.warm_up = WARM_UP + measured, WARM_UP
    async with feeding(plan) as url, collecting(plan.symbols, url) as rig:
        before = await rig.read_when_received(WARM_UP, timeout_s=60)
        after = await rig.read_when_received(plan.frames, timeout_s=300)
    return _per_message(name, before, after)


def _per_message(name: str, before: Reading, after: Reading) -> tuple[float, float]:
    messages = after.received - before.received
    collector = (after.collector_cpu_s - before.collector_cpu_s) / messages * 1e6
    store = (after.store_cpu_s - before.store_cpu_s) / messages * 1e6
    written = sum(after.stored.values()) - sum(before.stored.values())
    print(
        f"  {name:18} collector {collector:5.2f} µs   store {store:5.2f} µs   ratio {collector / store:4.2f}"
        f"   ({messages:,} messages, {written:,} records written)",
        flush=True,
    )
    return collector, store


async def latency(per_s: int, *, seconds: int) -> None:
    """From the socket to the store's acknowledgement, at a steady rate of trades."""
    plan = Plan(SYMBOLS, frames=per_s * (seconds + 2), per_s=per_s)
    async with feeding(plan) as url, collecting(SYMBOLS, url) as rig:
        before = await rig.read_until(lambda reading: reading.received >= per_s, timeout_s=60)
        await asyncio.sleep(seconds)
        after = await rig.read()
    rate = (after.received - before.received) / seconds
    cpu = (after.collector_cpu_s - before.collector_cpu_s) / (after.received - before.received) * 1e6
    p50, p99 = (seconds_ * 1e3 for seconds_ in quantiles(before, after, (0.50, 0.99)))
    print(
        f"  {per_s:6,} messages/s  p50 {p50:5.2f} ms   p99 {p99:5.2f} ms   collector {cpu:5.2f} µs a message"
        f"   (measured at {rate:,.0f}/s)",
        flush=True,
    )


async def memory(symbols: int) -> None:
    """Resident memory of the collector with that many symbols, each with a kline, trades and a ticker."""
    names = [f"SYM{number:04d}USDT" for number in range(symbols)]
    plan = Plan(names, frames=max(20_000, symbols * 12), mix=(8, 2, 1), per_s=20_000)
    async with feeding(plan) as url, collecting(names, url) as rig:
        lines = len((await rig.snapshot()).connections)
        reading = await rig.read_when_received(plan.frames, timeout_s=120)
    print(f"  {symbols:5,} symbols  {reading.memory_bytes / 2**20:6.1f} MiB   ({lines} connections)", flush=True)


async def feed(arguments: argparse.Namespace) -> None:
    """Cost, latency and memory of the way from the socket to the store."""
    symbols = (
        SYMBOLS if arguments.symbols == len(SYMBOLS) else [f"S{number}USDT" for number in range(arguments.symbols)]
    )
    print(f"CPU per message from socket to acknowledged write, {len(symbols)} symbols, at full rate:")
    collectors, stores = [], []
    for _ in range(arguments.rounds):
        collector, store = await cost("trades", Plan(symbols, 0), measured=arguments.messages)
        collectors.append(collector)
        stores.append(store)
    await cost("klines", Plan(symbols, 0, mix=(0, 1, 0)), measured=arguments.messages // 2)
    await cost("mix 90/8/2", Plan(symbols, 0, mix=(90, 8, 2)), measured=arguments.messages)
    collector, store = statistics.median(collectors), statistics.median(stores)
    ratio = collector / store
    print(f"  trades, median of {arguments.rounds}: {collector:.2f} µs, {ratio:.2f} times the store's own CPU")
    print(f"    bar 7 µs: {_met(collector <= 7)};  bar 2.5 times: {_met(ratio <= 2.5)}")
    print("Received to stored (acknowledged), trades:")
    for per_s in (1_000, 10_000):
        await latency(per_s, seconds=arguments.seconds)
    print("Resident memory of the collector process:")
    for count in (1, 100, 2_000):
        await memory(count)


def _hour_trades(arguments: argparse.Namespace) -> int:
    trades: int = hour.HOUR_TRADES if arguments.part == "hour" else arguments.messages
    return trades


PARTS: dict[str, Callable[[argparse.Namespace], Coroutine[None, None, None]]] = {
    "feed": feed,
    "exactness": lambda given: exactness.run(messages=given.messages, seconds=given.seconds),
    "building": lambda given: building.run(messages=given.messages),
    "recording": lambda given: recording.run(messages=given.messages, seconds=given.seconds),
    "outage": lambda given: outage.run(trades=given.messages),
    "hour": lambda given: hour.run(trades=_hour_trades(given)),
    "recovery": lambda _: recovery.run(),
    "abuse": lambda given: abuse.run(seconds=given.seconds),
    "viewers": lambda given: viewers.run(seconds=given.seconds),
    "history": lambda given: history.run(seconds=given.seconds),
    "reading": lambda given: reading.run(seconds=given.seconds),
    "ranges": lambda given: ranges.run(rows=min(given.messages, 400_000), seconds=given.seconds),
    "readers": lambda given: readers.run(rows=min(given.messages, 400_000), seconds=given.seconds),
    "postgres": lambda given: postgres.run(rows=min(given.messages, 100_000)),
    "load": lambda given: load.run(rows=min(given.messages, 400_000)),
    "validation": lambda given: validation.run(seconds=given.seconds),
    "exchanges": lambda given: exchanges.run(seconds=given.seconds),
    "rhythm": lambda given: rhythm.run(seconds=given.seconds),
    "commands": lambda _: commands.run(),
    "demo": lambda _: demo.run(),
}
"""In the order in which they run."""


async def run(arguments: argparse.Namespace) -> None:
    """The parts that are asked for."""
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    for name, part in PARTS.items():
        if arguments.part in {"all", name}:
            await part(arguments)


def _met(met: bool) -> str:
    return "met" if met else "missed"


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n\n")[0])
    parser.add_argument("--symbols", type=int, default=len(SYMBOLS))
    parser.add_argument("--messages", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--part", choices=["all", *PARTS], default="all")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
