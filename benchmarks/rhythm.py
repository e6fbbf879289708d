"""What each of our processes takes of a core at everyday rates, with the audit on, in one run.

Great Expectations costs the same for one message as for ten thousand, so what it takes is said by its rhythm and by the
number of rules. A rhythm of five minutes would take this run half an hour: it is shortened, and what the audit takes of
a core in the usual one is calculated from what it took in the short one. All figures are CPU that the operating system
accounted to the processes (Linux only).
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from benchmarks.feeder import Plan
from benchmarks.rig import feeding
from benchmarks.served import get, serving
from benchmarks.validation import specimens
from data_collector.settings import Settings
from data_collector.validation.auditing.chunks import Sealed, seal
from data_collector.validation.auditing.ports import EmbeddedPort
from data_collector.validation.gate.gate import gate_of
from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.rules.suite import shipped_suite

SYMBOLS: Final = [f"S{number}USDT" for number in range(10)]
RATES: Final[dict[int, tuple[int, int, int]]] = {1: (1, 1, 1), 100: (90, 8, 2), 1_000: (90, 8, 2)}
"""Messages a second, and how many trades, klines and tickers in a row."""

COLLECTED: Final[tuple[Kind, ...]] = ("trade", "kline", "ticker")
USUAL_S: Final = Settings.model_fields["gx_audit_seconds"].default
SHARES: Final = {"trade": 90, "kline": 8, "ticker": 2}
ROUNDS: Final = 3
PAUSE_S: Final = 2.0
"""Before a look that is measured: right after another one the processor's caches hold all that it needs."""

FIXED_BAR: Final = 1.3
MESSAGE_BAR: Final = 0.25
SECOND_OF_30_000: Final = 30_000
AUDITS: Final = "data_collector_gx_audits_total"
CHECKED: Final = "data_collector_gx_audit_rows_total"

PROCESSES: Final = {
    "HTTP": "-m data_collector run ",
    "collector": "-m data_collector collect ",
    "audit": "-m data_collector.validation.audit ",
    "store": "-server ",
}
"""Each with what its command line holds."""


class Look(Struct, frozen=True):
    """CPU in seconds by process, and messages audited so far."""

    at_s: float
    cpu_s: dict[str, float]
    checked: int


async def run(*, seconds: int) -> None:
    """All of it. The rhythm is twice `seconds`."""
    if sys.platform != "linux":
        print("What processes take of a core: skipped, as this system tells nobody in /proc.")
        return
    every_s = 2 * seconds
    port = EmbeddedPort()
    try:
        message_s = await _look_s(port, SECOND_OF_30_000) / SECOND_OF_30_000
        print(
            f"Share of a core over one rhythm of the audit, {len(SYMBOLS)} symbols (GX_AUDIT_SECONDS={every_s}; in"
            f" brackets the audit's share calculated for {USUAL_S}). Looking each second, as it did before it had a"
            f" rhythm, Great Expectations takes {message_s * 1e6:.1f} µs a message at {SECOND_OF_30_000:,}/s:"
        )
        for per_s in RATES:
            before_s = await _look_s(port, 1)
            before, after = await rhythm(per_s, every_s)
            fixed_s = (before_s + await _look_s(port, 1)) / 2
            _tell(per_s, before, after, fixed_s, message_s if per_s == max(RATES) else 0.0)
    finally:
        await port.close()


async def rhythm(per_s: int, every_s: int) -> tuple[Look, Look]:
    """One rhythm, from the end of an audit to the end of the next one; the process was started before."""
    frames = per_s * (5 * every_s + 60)
    async with (
        feeding(Plan(SYMBOLS, frames=frames, per_s=per_s, mix=RATES[per_s])) as url,
        serving(url, SYMBOLS, GX_AUDIT="1", GX_AUDIT_SECONDS=str(every_s)) as port,
    ):
        # The second may follow the first at once, which had to wait for the start of the process.
        before = await _look_after_audit(port, 2)
        await asyncio.sleep(every_s)
        return before, await _look_after_audit(port, 3)


def _tell(per_s: int, before: Look, after: Look, fixed_s: float, message_s: float) -> None:
    """`fixed_s`: of a look at one row of each kind. `message_s`: of which a part may be spent on each message."""
    passed_s, messages = after.at_s - before.at_s, after.checked - before.checked
    used_s = {name: after.cpu_s[name] - before.cpu_s[name] for name in PROCESSES}
    of_messages_s = max(0.0, used_s["audit"] - fixed_s) * USUAL_S / passed_s
    told = "   ".join(f"{name} {100 * used / passed_s:5.2f} %" for name, used in used_s.items())
    print(f"  {per_s:6,} messages/s   {told}   (audit {100 * (fixed_s + of_messages_s) / USUAL_S:.2f} %)")
    rules = sum(not rule.disabled for kind in COLLECTED for rule in shipped_suite(kind).rules)
    bar_s = FIXED_BAR * fixed_s + MESSAGE_BAR * message_s * messages
    besides = f" and {MESSAGE_BAR:.0%} of {message_s * 1e6:.1f} µs a message" if message_s else ""
    print(
        f"    the audit took {used_s['audit']:.3f} s of CPU for {messages:,} messages; bar {bar_s:.3f} s,"
        f" {FIXED_BAR} times {rules} rules x {fixed_s / rules * 1e3:.2f} ms{besides}:"
        f" {'met' if used_s['audit'] <= bar_s else 'missed'}",
        flush=True,
    )


async def _look_s(port: EmbeddedPort, rows: int) -> float:
    """CPU of one look of Great Expectations at so many rows, of each kind one at least, by the shipped suites."""
    each = {kind: max(1, rows * SHARES[kind] // 100) for kind in COLLECTED}
    await port.audit(_sealed(each))
    seconds: list[float] = []
    for _ in range(ROUNDS):
        await asyncio.sleep(PAUSE_S)
        seconds.append((await port.audit(_sealed(each))).seconds)
    return statistics.median(seconds)


def _sealed(rows: dict[Kind, int]) -> Sequence[Sealed]:
    """Good records; each call's go on where the last one's ended."""
    gate = gate_of({kind: shipped_suite(kind) for kind in KINDS})
    found: list[Sealed] = []
    for kind, count in rows.items():
        suite = gate.suites[kind]
        records = [specimens(next(_numbers))[kind] for _ in range(count)]
        found += seal(suite, suite.suite.encoded(), records, {}, {}, 0.0)
    return found


_numbers = iter(range(1, 2**53))


async def _look_after_audit(port: int, audits: int) -> Look:
    while True:
        text = await asyncio.to_thread(get, port, "/metrics/prometheus")
        if _value(text, AUDITS) >= audits:
            break
        await asyncio.sleep(1.0)
    return Look(time.monotonic(), _cpu_by_process(), int(_value(text, CHECKED)))


def _value(text: str, name: str) -> float:
    """Over all labels."""
    lines = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def _cpu_by_process() -> dict[str, float]:
    """Of the processes that descend from us; 0 for one that does not run."""
    found = dict.fromkeys(PROCESSES, 0.0)
    for pid in descendants(os.getpid()):
        folder = Path("/proc") / str(pid)
        try:
            command = (folder / "cmdline").read_bytes().decode().replace("\0", " ")
            ticks = [int(text) for text in (folder / "stat").read_text().rpartition(")")[2].split()[11:13]]
        except (OSError, ValueError):
            continue
        for name, part in PROCESSES.items():
            if part in command:
                found[name] += sum(ticks) / os.sysconf("SC_CLK_TCK")
    return found


def descendants(pid: int) -> list[int]:
    """All that a process started, from whichever thread, and what these did."""
    children: list[str] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            children += task.read_text().split()
    return [each for child in children for each in (int(child), *descendants(int(child)))]
