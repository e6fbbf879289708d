"""Whole ranges over HTTP beside PostgreSQL's own COPY of the same rows, their memory, and what they cost the feed."""

from __future__ import annotations

import asyncio
import http.client
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psutil

from benchmarks.feeder import Plan
from benchmarks.latency import tell_ratio
from benchmarks.postgres import BATCH, klines
from benchmarks.rig import feeding
from benchmarks.served import SYMBOLS, p99_of, serving
from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.model.records import Trade
from data_collector.observe.logs import get_log
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.writing import PostgresWriter

ROUNDS = 5
PER_S = 1_000
"""Trades that come in and go to PostgreSQL too, while ranges are read."""

OLD = "OLDUSDT"
"""Collected no more."""

BARS = {"csv": 0.25, "arrow": 0.40}
LATENCY_BAR = 1.2
READ_BYTES = 1 << 20

IDLE_LOOP = """
import os
if hasattr(os, "SCHED_IDLE"):
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while True:
    pass
"""
"""What any other process costs the feed on this machine: the ratio of a reader cannot be below that of this."""

BARE = {
    "klines": """select symbol, "timestamp", interval, open, high, low, close, volume, trades, quote_volume,
      taker_buy_base_volume, taker_buy_quote_volume from market_data_ohlcv
      where exchange = 'binance' and symbol = 'OLDUSDT' and interval = '1m' order by "timestamp" """,
    "trades": """select symbol, "timestamp", trade_id, price, quantity, buyer_order_id, seller_order_id, is_buyer_maker
      from market_data_trades where exchange = 'binance' and symbol = 'OLDUSDT' and epoch = 0 order by trade_id""",
}


async def run(*, rows: int, seconds: int) -> None:
    """Rates and memory while nothing comes in, then the feed's p99 while somebody reads."""
    print(f"Ranges of {rows:,} rows over HTTP, beside a bare COPY of them ({ROUNDS} rounds in turns):")
    folder = Path(tempfile.mkdtemp(prefix="dc-bench-"))
    server = EmbeddedPostgres(folder, log=get_log(), port=0)
    try:
        await server.start()
        await fill(server.dsn, rows)
        plan = Plan(SYMBOLS, frames=PER_S * (3 * ROUNDS * (seconds + 3) + 120), per_s=PER_S)
        async with feeding(plan) as url, serving(url, DATABASE_URL=server.dsn, POSTGRES_TRADES="1") as port:
            await _compare_feed(port, seconds)
        async with feeding(Plan(SYMBOLS, frames=10)) as url, serving(url, DATABASE_URL=server.dsn) as port:
            for kind, query in BARE.items():
                await _compare(port, server.dsn, kind, query, rows)
    finally:
        await server.empty()
        shutil.rmtree(folder, ignore_errors=True)


async def fill(dsn: str, rows: int) -> None:
    """Candles and trades of a symbol that is collected no more."""
    pool = await open_pool(dsn, size=1)
    async with pool.acquire() as connection:
        await migrate(connection)
    writer, candles = PostgresWriter(pool, "binance"), klines(rows, OLD)
    for start in range(0, rows, BATCH):
        await writer.put_klines(candles[start : start + BATCH], source="rest")
        trades = [
            Trade(OLD, number, each.open, each.volume, each.open_ms, each.open_ms, is_buyer_maker=number % 2 == 0)
            for number, each in enumerate(candles[start : start + BATCH], start)
        ]
        await writer.put_trades(trades, source="rest")
    async with pool.acquire() as connection:
        await connection.execute("vacuum analyze")
    await pool.close()


async def _compare(port: int, dsn: str, kind: str, query: str, rows: int) -> None:
    shares: dict[str, list[float]] = {form: [] for form in BARS}
    rates: dict[str, list[float]] = {form: [] for form in ("bare", *BARS)}
    pid = next(each.pid for each in psutil.Process().children() if each.cmdline()[-2:] == ["data_collector", "run"])
    before = _resident(pid)
    peak = before
    for number in range(ROUNDS + 1):
        bare = rows / await copied_s(dsn, query)
        for form in BARS:
            taken_s, highest = await asyncio.to_thread(_read, port, f"/{kind}/{OLD}?from=2000-01-01&format={form}", pid)
            if number:
                rates[form].append(rows / taken_s)
                shares[form].append(rows / taken_s / bare)
                peak = max(peak, highest)
            else:
                # Libraries are loaded and pools opened.
                before = peak = max(before, highest)
        if number:
            rates["bare"].append(bare)
    for form, found in rates.items():
        print(
            f"  {kind:6} {form:5} {statistics.median(found):11,.0f} rows/s   ({min(found):,.0f} to {max(found):,.0f})"
        )
    for form, bar in BARS.items():
        share = statistics.median(shares[form])
        print(f"  {kind:6} {form:5} {share:.0%} of the bare COPY, bar {bar:.0%}: {'met' if share >= bar else 'missed'}")
    print(f"  {kind:6} peak of the HTTP process while it reads: {(peak - before) / 2**20:+.1f} MiB", flush=True)


async def copied_s(dsn: str, query: str) -> float:
    """Seconds that a bare COPY takes."""
    size = 0

    async def drop(part: bytes) -> None:
        nonlocal size
        size += len(part)

    connection = await asyncpg.connect(dsn)
    try:
        begin = time.perf_counter()
        await connection.copy_from_query(query, output=drop, format="csv")
        return time.perf_counter() - begin
    finally:
        await connection.close()


def _read(port: int, path: str, pid: int, is_over: Callable[[], bool] = bool) -> tuple[float, int]:
    """Seconds until all was there, or it was over; and the most memory of the process meanwhile."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    begin, highest = time.perf_counter(), 0
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    buffer = bytearray(READ_BYTES)
    while answer.readinto(buffer) and not is_over():
        highest = max(highest, _resident(pid))
    connection.close()
    return time.perf_counter() - begin, highest


async def _compare_feed(port: int, seconds: int) -> None:
    """In turn: nobody reads; a loop of the lowest priority that touches no memory runs; one reads all the time."""
    ratios: list[float] = []
    await asyncio.sleep(seconds)
    for number in range(ROUNDS):
        alone = await p99_of(port, seconds)
        loop = await asyncio.create_subprocess_exec(sys.executable, "-c", IDLE_LOOP)
        beside = await p99_of(port, seconds)
        loop.kill()
        await loop.wait()
        measured = asyncio.create_task(p99_of(port, seconds))
        form = "csv" if number % 2 else "arrow"
        path = f"/klines/{OLD}?from=2000-01-01&format={form}"
        while not measured.done():
            await asyncio.to_thread(_read, port, path, 0, measured.done)
        ratios.append(await measured / alone)
        print(
            f"  feed from socket to store, p99: nobody reads {alone * 1e3:5.2f} ms   an idle loop runs "
            f"{beside * 1e3:5.2f} ms   {form} is read {await measured * 1e3:5.2f} ms ({ratios[-1]:4.2f} times)",
            flush=True,
        )
    tell_ratio("of the feed, ranges read against nobody", ratios, bar=LATENCY_BAR)


def _resident(pid: int) -> int:
    """Bytes; 0 where the system does not tell."""
    statm = Path(f"/proc/{pid}/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else 0
