"""What validation costs: the gate against decoding, Great Expectations in rows, the feed with the audit on and off."""

from __future__ import annotations

import asyncio
import os
import statistics
import timeit
from collections.abc import Callable

import msgspec

from benchmarks.feeder import Plan, kline_at, ticker_at, trade_at
from benchmarks.latency import quantiles
from benchmarks.rig import collecting, feeding
from data_collector.validation.auditing.audit_worker import AuditWorker
from data_collector.validation.auditing.messages import Audit, AuditReport, Chunk, encode
from data_collector.validation.gate.gate import gate_of
from data_collector.validation.rules.columns import KINDS, Checked, Kind
from data_collector.validation.rules.suite import shipped_suite
from data_collector.venues.binance.codec import BinanceCodec
from data_collector.venues.binance.speaker.frames import encode as frame_of

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
CALLS = 20_000
ROUNDS = 25
START_MS = 1_704_110_400_000
BARS = {"kline": 1.2, "trade": 0.6}
PAIRS = 5
LATENCY_BAR = 1.2
CHUNK_ROWS = 1_000


def gate_against_decoder() -> None:
    """Time of the gate over time of the decoder, on the same message, rounds of both in turn."""
    codec = BinanceCodec()
    gate = gate_of({kind: shipped_suite(kind) for kind in KINDS})
    print("Gate against decoder (median of rounds in turn; text to number included):")
    for kind, record in specimens(0).items():
        frame = frame_of(record)
        check = gate.suites[kind].check
        assert check(record) is None, "a good record"
        decoding, gating = [], []
        for _ in range(ROUNDS):
            decoding.append(_per_call(codec.decode, frame, 1))
            gating.append(_per_call(check, record))
        ratio = statistics.median(one / other for one, other in zip(gating, decoding, strict=True))
        bar = BARS.get(kind)
        met = "" if bar is None else f"   bar {bar}: {'met' if ratio <= bar else 'missed'}"
        rules = len(gate.suites[kind].gated)
        print(
            f"  {kind:7} decode {statistics.median(decoding):5.2f} µs   gate {statistics.median(gating):5.2f} µs"
            f"   ratio {ratio:4.2f}   ({rules} rules){met}",
            flush=True,
        )


def _per_call(call: Callable[..., object], *arguments: object) -> float:
    """The loop's own cost is taken off both."""
    names = {"call": call, **{f"a{number}": argument for number, argument in enumerate(arguments)}}
    wanted = f"call({', '.join(f'a{number}' for number in range(len(arguments)))})"
    timer = timeit.Timer(wanted, globals=names)
    empty = timeit.Timer("pass")
    return (timer.timeit(CALLS) - empty.timeit(CALLS)) / CALLS * 1e6


def specimens(number: int) -> dict[Kind, Checked]:
    """A good record of each kind."""
    symbol = SYMBOLS[number % len(SYMBOLS)]
    return {
        "kline": kline_at(symbol, START_MS, number),
        "trade": trade_at(symbol, number + 1, START_MS + number),
        "ticker": ticker_at(symbol, START_MS + number * 1000 + 1000),
    }


async def audit_rows() -> None:
    """Rows that one worker process checks a second, from msgpack to verdict, by the shipped suites."""
    print("Great Expectations, one worker process (shipped suites, public API):")
    worker = AuditWorker()
    started = asyncio.get_running_loop().time()
    await worker.start()
    print(f"  ready after {asyncio.get_running_loop().time() - started:.1f} s")
    try:
        for kind in KINDS:
            for rows in (1_000, 10_000, 40_000):
                await _audit(worker, kind, rows)
    finally:
        await worker.close()


async def _audit(worker: AuditWorker, kind: Kind, rows: int) -> None:
    suite = shipped_suite(kind)
    records = [specimens(number)[kind] for number in range(rows)]
    chunks = [
        msgspec.Raw(encode(_chunk(kind, suite.digest, records[start : start + CHUNK_ROWS])))
        for start in range(0, rows, CHUNK_ROWS)
    ]
    walls: list[float] = []
    memory_bytes = 0
    for turn in range(3):
        request = Audit(f"bench {kind} {rows} {turn}", {suite.digest: suite.encoded()}, chunks)
        began = asyncio.get_running_loop().time()
        report = await worker.ask(request, timeout_s=120)
        walls.append(asyncio.get_running_loop().time() - began)
        assert isinstance(report, AuditReport), report
        assert not report.disagreements and not report.failures, report  # noqa: PT018 (both or none)
        memory_bytes = report.memory_bytes
    wall = statistics.median(walls)
    print(
        f"  {kind:7} {rows:6,} rows, {len(suite.rules)} rules: {wall * 1e3:7.0f} ms   {rows / wall:8,.0f} rows/s"
        f"   worker {memory_bytes / 2**20:.0f} MiB",
        flush=True,
    )


def _chunk(kind: Kind, digest: str, records: list[Checked]) -> Chunk:
    chunk = Chunk(kind, digest)
    getattr(chunk, f"{kind}s").extend(records)
    return chunk


async def coverage(per_s: int, *, seconds: int) -> None:
    """How much of a feed the audit has checked, and how far behind it was."""
    plan = Plan(SYMBOLS, frames=per_s * seconds, per_s=per_s, mix=(90, 8, 2))
    waiting: list[int] = []
    async with feeding(plan) as url, collecting(SYMBOLS, url, GX_AUDIT="1", GX_AUDIT_SECONDS="1") as rig:
        while True:
            snapshot = await rig.snapshot()
            audit = snapshot.validation.audit
            waiting.append(audit.waiting)
            # Of each message only the newest state may have come, so what came is told by the collector.
            if snapshot.messages_received and not audit.waiting and _is_over(snapshot.last_message_seconds_ago):
                break
            await asyncio.sleep(0.25)
    print(
        f"  {per_s:6,} messages/s for {seconds} s: coverage {100 * audit.coverage:.2f} % of"
        f" {snapshot.messages_validated:,} stored ({sum(audit.rows.values()):,} checked, {sum(audit.skipped.values())}"
        f" skipped, {sum(audit.disagreements.values())} disagreements), at most {max(waiting):,} waiting"
        f"   bar 100 %: {'met' if audit.coverage == 1.0 else 'missed'}",
        flush=True,
    )


def _is_over(last_message_s: float | None) -> bool:
    return last_message_s is not None and last_message_s > 2.0


async def latency_with_and_without(per_s: int, *, seconds: int) -> None:
    """Interleaved pairs: p99 from socket to store with the audit on over the same with it off."""
    ratios: list[float] = []
    for _ in range(PAIRS):
        off = await _p99(per_s, seconds, "0")
        on = await _p99(per_s, seconds, "1")
        ratios.append(on / off)
        print(f"  p99 off {off * 1e3:5.2f} ms   on {on * 1e3:5.2f} ms   ratio {on / off:4.2f}", flush=True)
    ratio = statistics.median(ratios)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    bar = f"bar {LATENCY_BAR}: {'met' if ratio <= LATENCY_BAR else 'missed'}" if cores >= 4 else "no bar below 4 cores"
    print(f"  {per_s:,} messages/s, median of {PAIRS} pairs: {ratio:.2f} times ({cores} cores: {bar})", flush=True)


async def _p99(per_s: int, seconds: int, audit: str) -> float:
    plan = Plan(SYMBOLS, frames=per_s * (seconds + 8), per_s=per_s)
    async with feeding(plan) as url, collecting(SYMBOLS, url, GX_AUDIT=audit, GX_AUDIT_SECONDS="1") as rig:
        # The worker's start is over by then.
        before = await rig.read_until(lambda reading: reading.received >= per_s * 6, timeout_s=90)
        await asyncio.sleep(seconds)
        after = await rig.read()
    return quantiles(before, after, (0.99,))[0]


async def run(*, seconds: int) -> None:
    """All of it."""
    gate_against_decoder()
    await audit_rows()
    print("Coverage of the audit (what waits at the end of the feed is waited for):")
    for per_s in (1_000, 10_000):
        await coverage(per_s, seconds=seconds)
    print("Received to stored with the audit off and on, trades:")
    await latency_with_and_without(5_000, seconds=seconds)
