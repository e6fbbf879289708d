"""How soon pages of records are answered while trades come in, and what those readers cost the feed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

import redis

from benchmarks.feeder import MINUTE_MS, Plan, kline_at
from benchmarks.latency import tell_ratio
from benchmarks.rig import feeding
from benchmarks.served import SYMBOLS, get, p99_of, serving
from data_collector.model.wire import json_text, kline_json, open_time_text

ROUNDS = 3
PER_S = 5_000
"""Trades."""

PAGES_PER_S = 10
"""Of each kind, one after the other: two charts and a few programs."""

ROWS = 1_000
LATENCY_BAR = 1.2
SYMBOL = SYMBOLS[0]
KLINE_LIFE_S = 3600


async def run(*, seconds: int) -> None:
    """In turn: nobody reads, and pages of klines and trades are read all the time."""
    print(f"Pages of {ROWS:,} records, {PAGES_PER_S} a second of each kind, at {PER_S:,} trades/s ({ROUNDS} rounds):")
    frames = PER_S * (2 * ROUNDS * (seconds + 3) + 60)
    ratios: list[float] = []
    klines: list[float] = []
    trades: list[float] = []
    async with feeding(Plan(SYMBOLS, frames=frames, per_s=PER_S)) as url, serving(url) as port:
        since_ms = await asyncio.to_thread(_fill, port)
        await asyncio.sleep(seconds)
        for _ in range(ROUNDS):
            alone = await p99_of(port, seconds)
            measured = asyncio.create_task(p99_of(port, seconds))
            await asyncio.to_thread(_read, port, since_ms, measured.done, klines, trades)
            beside = await measured
            ratios.append(beside / alone)
            print(
                f"  feed from socket to store, p99: nobody reads {alone * 1e3:5.2f} ms   pages are read "
                f"{beside * 1e3:5.2f} ms ({ratios[-1]:4.2f} times)",
                flush=True,
            )
    for name, times in (("GET /klines", klines), ("GET /trades", trades)):
        p50, p99 = (_quantile(times, part) for part in (0.50, 0.99))
        print(f"  {name}  p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   ({len(times)} pages)", flush=True)
    tell_ratio("of the feed, pages read against nobody", ratios, bar=LATENCY_BAR)


def _fill(port: int) -> int:
    """Put as many closed candles into the store as a page holds; the feed would take hours. When the first opens."""
    while (url := json.loads(get(port, "/status"))["redis_url"]) is None:
        time.sleep(0.1)
    first_ms = int(time.time() * 1000) // MINUTE_MS * MINUTE_MS - ROWS * MINUTE_MS
    with redis.from_url(url) as client:
        for number in range(ROWS):
            # The last state of its minute is the closed one.
            kline = kline_at(SYMBOL, first_ms, 30 * number + 29)
            key = f"kline:{SYMBOL}:1m:{open_time_text(kline.open_ms)}"
            client.set(key, kline_json(kline, json_text(SYMBOL)), ex=KLINE_LIFE_S)
    return first_ms


def _read(
    port: int, since_ms: int, is_over: Callable[[], bool], klines: list[float], trades: list[float]
) -> None:  # fmt: skip
    """Ask at an even pace until it is over; how long each page took, in ms, goes into the lists."""
    after = 0
    next_s = time.perf_counter()
    while not is_over():
        taken_ms, found = _timed(port, f"/klines/{SYMBOL}?interval=1m&from={since_ms}&limit={ROWS}")
        assert len(found) == ROWS, f"{len(found)} candles instead of {ROWS}"
        klines.append(taken_ms)
        taken_ms, found = _timed(port, f"/trades/{SYMBOL}?after={after}&limit={ROWS}")
        if len(found) == ROWS:
            trades.append(taken_ms)
        # Reading is quicker than the feed: at its end it begins anew.
        after = int(found[-1]["trade_id"]) if len(found) == ROWS else 0
        next_s = max(next_s + 1 / PAGES_PER_S, time.perf_counter())
        time.sleep(max(0.0, next_s - time.perf_counter()))


def _timed(port: int, path: str) -> tuple[float, list[dict[str, str]]]:
    """Milliseconds until a whole page was there, and its records."""
    begin = time.perf_counter()
    text = get(port, path)
    taken_ms = (time.perf_counter() - begin) * 1e3
    return taken_ms, json.loads(text)["records"]


def _quantile(times: list[float], part: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]
