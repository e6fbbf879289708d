"""`python -m benchmarks.spool`: CPU that keeping runs costs per trade, on the event loop and in the writing thread.

The first figure of each line is `append`, the second all CPU of the process less that of the same pace without a spool,
the third the part of it in the writing thread (frames, writes, syncs, waking up).
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from data_collector.model.batch import TradeRun
from data_collector.observe.counters import Counters
from data_collector.pipeline.spool.spool import Spool, SpoolLimits

TRADES_PER_S = 5_000
SECONDS = 4.0
PAUSE_S = 0.02
SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT")
FIRST_ID = 3_000_000_000


def trade_text(symbol: str, trade_id: int) -> str:
    """As long as a real one."""
    return (
        f'{{"symbol":"{symbol}","trade_id":{trade_id},"price":45180.50,"quantity":0.12300000,'
        f'"time":"2024-01-01T12:00:00.123Z","event_time":"2024-01-01T12:00:00.124Z","is_buyer_maker":true,'
        f'"received_at":"2024-01-01T12:00:00.125123Z"}}'
    )


def make_runs(trades: int, run_trades: int) -> list[TradeRun]:
    """Runs of all symbols in turn."""
    next_ids = dict.fromkeys(SYMBOLS, FIRST_ID)
    runs = []
    for number in range(trades // run_trades):
        symbol = SYMBOLS[number % len(SYMBOLS)]
        first_id = next_ids[symbol]
        next_ids[symbol] += run_trades
        entries: list[int | str] = []
        for trade_id in range(first_id, first_id + run_trades):
            entries += (1_704_110_400_123, trade_text(symbol, trade_id))
        runs.append(TradeRun(symbol, first_id, entries, "45180.50", "2024-01-01T12:00:00.123Z", 1, 2))
    return runs


async def paced(spool: Spool | None, runs: list[TradeRun], run_trades: int) -> tuple[float, float, float]:
    """CPU of the process, of this thread, and the time in `append`, for handing the runs over at an even pace."""
    append_s = 0.0
    loop = asyncio.get_running_loop()
    started, cpu, own_cpu = loop.time(), time.process_time(), time.thread_time()
    for number, run in enumerate(runs):
        if spool is not None:
            before = time.perf_counter()
            spool.append((run,))
            append_s += time.perf_counter() - before
        pause_s = started + (number + 1) * run_trades / TRADES_PER_S - loop.time()
        # Seldom, so that the waking up of this pace is not the larger part of what is measured.
        if pause_s > PAUSE_S:
            await asyncio.sleep(pause_s)
    return time.process_time() - cpu, time.thread_time() - own_cpu, append_s


async def measure(run_trades: int, folder: Path, group_s: float) -> str:
    """One line of the table."""
    runs = make_runs(int(TRADES_PER_S * SECONDS), run_trades)
    trades = len(runs) * run_trades
    without, own_without, _ = await paced(None, runs, run_trades)
    spool = Spool(folder, Counters(), symbols=SYMBOLS, limits=SpoolLimits(group_s=group_s))
    await spool.open()
    running = asyncio.create_task(spool.run())
    cpu, own_cpu, append_s = await paced(spool, runs, run_trades)
    running.cancel()
    await spool.close()
    writer = (cpu - own_cpu) - (without - own_without)
    return (
        f"  runs of {run_trades:3}, sync each {group_s * 1e3:3.0f} ms   append {append_s / trades * 1e6:5.2f} µs"
        f"   all {(cpu - without) / trades * 1e6:5.2f} µs   writing thread {writer / trades * 1e6:5.2f} µs a trade"
    )


async def full_speed(folder: Path) -> str:
    """As fast as one process can, with every frame synced."""
    runs = make_runs(200_000, 100)
    spool = Spool(folder, Counters(), symbols=SYMBOLS, limits=SpoolLimits(queue_bytes=1 << 30, ring_bytes=1 << 30))
    await spool.open()
    started, cpu = time.perf_counter(), time.process_time()
    spool.append(runs)
    await spool.close()
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    return f"  200,000 trades at once   {200_000 / took:,.0f} a second   {cpu / 200_000 * 1e6:.2f} µs of CPU a trade"


def main() -> None:
    """Print the table."""
    print(f"Spool, {TRADES_PER_S:,} trades a second")
    with tempfile.TemporaryDirectory() as folder:
        for number, (run_trades, group_s) in enumerate(((5, 0.02), (200, 0.02), (5, 0.1), (200, 0.1))):
            print(asyncio.run(measure(run_trades, Path(folder) / str(number), group_s)), flush=True)
        print(asyncio.run(full_speed(Path(folder) / "speed")))


if __name__ == "__main__":
    main()
