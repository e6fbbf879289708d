"""Three exchanges as one service against one: memory and idle CPU by process, and what the death of one costs others.

One simulator tells all of them one market. Memory is PSS, so that what processes share is counted once (Linux only).
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from benchmarks.latency import tell_ratio
from benchmarks.rhythm import descendants
from benchmarks.served import get, histogram_of, p99_of, serving
from benchmarks.simulated import simulated
from data_collector.model.keys import FIRST_EXCHANGE
from data_collector.venues.discovery import find_venue

EXCHANGES: Final = ("binance", "coinbase", "kraken")
SYMBOLS: Final = {name: find_venue(name).default_symbols[:2] for name in EXCHANGES}

IDLE_PER_S: Final = 0.5
"""Trades of a symbol; with its statistics and candles that makes about a message a second."""

IDLE_S: Final = 60

AUDIT_S: Final = 10
"""Far more often than usual, so that its process is there soon: what it takes of a core is `rhythm`'s to tell."""

SETTLE_S: Final = 8.0
"""After the start, before anything is measured: imports, subscriptions, first records."""

CAUGHT_UP_S: Final = 4.0
"""After a start: what waited for repair has been stored."""

BUSY_PER_S: Final = 150.0
"""Trades of a symbol."""

BAR: Final = 1.2
POLL_S: Final = 0.1

PROCESSES: Final = {
    "HTTP": " run ",
    "collector": " collect ",
    "Great Expectations": "data_collector.validation.audit",
    "history writer": "history-writer ",
    "store": "-server ",
}
"""Each with what its command line holds."""


class Use(Struct, frozen=True):
    """Of one process."""

    name: str
    pss_bytes: int
    cpu_s: float


async def run(*, seconds: int) -> None:
    """Both; `seconds` is how long each phase of the second takes."""
    if sys.platform != "linux":
        print("What three exchanges cost: skipped, as this system tells nobody in /proc.")
        return
    print(
        f"Memory (PSS) and share of a core over {IDLE_S} s, two symbols an exchange, about a message/s each, audited"
        f" every {AUDIT_S} s:"
    )
    for exchanges in (EXCHANGES[:1], EXCHANGES):
        await _idle(exchanges)
    print(
        f"p99 from socket to store while a third exchange runs, and while it is killed whenever it collects again,"
        f" {2 * BUSY_PER_S:g} trades/s each:"
    )
    await _kills(seconds)


async def _idle(exchanges: Sequence[str]) -> None:
    async with _service(exchanges, IDLE_PER_S, GX_AUDIT="1", GX_AUDIT_SECONDS=str(AUDIT_S)) as port:
        while not any(use.name == "Great Expectations" for use in _uses().values()):  # noqa: ASYNC110 - the first audit
            await asyncio.sleep(POLL_S)
        received, before, at_s = await _received(port), _uses(), time.monotonic()
        await asyncio.sleep(IDLE_S)
        after, passed_s = _uses(), time.monotonic() - at_s
        rate = (await _received(port) - received) / passed_s
    print(f"  {', '.join(exchanges)} ({rate:.1f} messages/s in all)")
    shares = {pid: (use.cpu_s - before[pid].cpu_s) / passed_s for pid, use in after.items() if pid in before}
    for pid, use in sorted(after.items(), key=lambda item: item[1].name):
        print(f"    {use.name:24} {use.pss_bytes / 2**20:7.1f} MiB {shares.get(pid, 0.0):8.2%}")
    memory = sum(use.pss_bytes for use in after.values()) / 2**20
    print(f"    {'all':24} {memory:7.1f} MiB {sum(shares.values()):8.2%}", flush=True)


async def _kills(seconds: int) -> None:
    """Each in turn is the one that is killed: one that was begins again at once, one that was again and again waits."""
    ratios = []
    async with _service(EXCHANGES, BUSY_PER_S, GX_AUDIT="0") as port:
        for victim in EXCHANGES:
            others = [name for name in EXCHANGES if name != victim]
            await _until_well(port, EXCHANGES)
            calm = await _p99s(port, others, seconds)
            killed: list[int] = []
            killing = asyncio.create_task(_kill(port, victim, killed))
            struck = await _p99s(port, others, seconds)
            killing.cancel()
            with suppress(asyncio.CancelledError):
                await killing
            told = "   ".join(f"{name} {calm[name] * 1e3:.2f}, then {struck[name] * 1e3:.2f} ms" for name in others)
            print(f"  {victim} killed {len(killed)} times in {seconds} s: {told}", flush=True)
            ratios += [struck[name] / calm[name] for name in others]
    tell_ratio("beside one that is killed over beside one that runs", ratios, bar=BAR)
    print(f"    (least {min(ratios):.2f}, most {max(ratios):.2f}, mean {statistics.mean(ratios):.2f})")


async def _p99s(port: int, names: Sequence[str], seconds: int) -> dict[str, float]:
    found = await asyncio.gather(*(p99_of(port, seconds, f"?exchange={name}") for name in names))
    return dict(zip(names, found, strict=True))


async def _kill(port: int, name: str, killed: list[int]) -> None:
    while True:
        if await asyncio.to_thread(_is_well, port, f"?exchange={name}"):
            for pid, use in _uses().items():
                if use.name == f"collector {name}":
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
        await asyncio.sleep(POLL_S)


async def _until_well(port: int, exchanges: Sequence[str]) -> None:
    """Ready, and trades of each have been stored."""
    while not await asyncio.to_thread(_have_stored, port, exchanges):  # noqa: ASYNC110 - another process's state
        await asyncio.sleep(POLL_S)
    await asyncio.sleep(CAUGHT_UP_S)


def _have_stored(port: int, exchanges: Sequence[str]) -> bool:
    return _is_well(port) and all(histogram_of(port, f"?exchange={name}").counts for name in exchanges)


def _is_well(port: int, query: str = "") -> bool:
    with suppress(OSError):
        return bool(get(port, f"/health/ready{query}"))
    return False


@asynccontextmanager
async def _service(exchanges: Sequence[str], per_s: float, **settings: str) -> AsyncIterator[int]:
    """Ready, and a while after; yields its port."""
    symbols = list(dict.fromkeys(symbol for name in exchanges for symbol in SYMBOLS[name]))
    async with simulated(symbols, "--trades-per-s", f"{per_s:g}", exchanges=exchanges) as addresses:
        settings |= {f"{name}_{what}_URL".upper(): url for (name, what), url in addresses.items()}
        settings |= {
            "SYMBOLS" if name == FIRST_EXCHANGE else f"{name}_SYMBOLS".upper(): ",".join(SYMBOLS[name])
            for name in exchanges
        }
        async with serving("", EXCHANGES=",".join(exchanges), **settings) as port:
            await _until_well(port, exchanges)
            await asyncio.sleep(SETTLE_S)
            yield port


async def _received(port: int) -> int:
    text = await asyncio.to_thread(get, port, "/metrics/prometheus")
    (line,) = (line for line in text.splitlines() if line.startswith("data_collector_messages_received_total"))
    return int(float(line.rpartition(" ")[2]))


def _uses() -> dict[int, Use]:
    """Of the processes of the service, by their number."""
    found = {}
    for pid in descendants(os.getpid()):
        folder = Path("/proc") / str(pid)
        try:
            command = (folder / "cmdline").read_bytes().decode().replace("\0", " ")
            ticks = [int(text) for text in (folder / "stat").read_text().rpartition(")")[2].split()[11:13]]
            memory = (folder / "smaps_rollup").read_text()
            environment = (folder / "environ").read_bytes().decode().split("\0")
        except (OSError, ValueError):
            continue
        name = next((name for name, part in PROCESSES.items() if part in command), None)
        if name is None:
            continue
        if name == "collector":
            (exchange,) = (each.partition("=")[2] for each in environment if each.startswith("EXCHANGES="))
            name = f"collector {exchange}"
        (pss,) = (line.split()[1] for line in memory.splitlines() if line.startswith("Pss:"))
        found[pid] = Use(name, int(pss) * 1024, sum(ticks) / os.sysconf("SC_CLK_TCK"))
    return found
