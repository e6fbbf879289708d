"""The feed while PostgreSQL is killed and stays away: p99 from socket to store, against PostgreSQL running and none."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from pathlib import Path

from benchmarks.feeder import Plan
from benchmarks.latency import quantiles, tell_ratio
from benchmarks.rig import Rig, collecting, feeding
from data_collector.embedded.peer import free_port
from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.observe.logs import get_log

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
ROUNDS = 5
PER_S = 1_000
"""Trades, all of which PostgreSQL gets too."""

LATENCY_BAR = 1.2
CATCH_UP_S = 60.0
WARM_UP_S = 3


async def run(*, seconds: int) -> None:
    """Five rounds of: no PostgreSQL, PostgreSQL running, PostgreSQL killed at the beginning and away until the end."""
    print(f"p99 at {PER_S:,} trades/s with and without PostgreSQL ({ROUNDS} rounds of {seconds} s):")
    folder = Path(tempfile.mkdtemp(prefix="dc-bench-"))
    server = EmbeddedPostgres(folder, log=get_log(), port=free_port())
    try:
        await server.start()
        await _compare(server, seconds)
    finally:
        await server.empty()
        shutil.rmtree(folder, ignore_errors=True)


async def _compare(server: EmbeddedPostgres, seconds: int) -> None:
    running, away = [], []
    for _ in range(ROUNDS):
        none_ms = await _without(seconds)
        running_ms, away_ms = await _with(server, seconds)
        running.append(running_ms / none_ms)
        away.append(away_ms / running_ms)
        print(
            f"  none {none_ms:5.2f} ms   running {running_ms:5.2f} ms ({running[-1]:4.2f} times)   killed and away "
            f"{away_ms:5.2f} ms ({away[-1]:4.2f} times that)",
            flush=True,
        )
    tell_ratio("killed and away, against running", away, bar=LATENCY_BAR)
    tell_ratio("running, against none", running, bar=LATENCY_BAR)


async def _without(seconds: int) -> float:
    async with feeding(_plan(seconds)) as url, collecting(SYMBOLS, url) as rig:
        return await _p99_ms(rig, seconds)


async def _with(server: EmbeddedPostgres, seconds: int) -> tuple[float, float]:
    settings = {"DATABASE_URL": server.dsn, "POSTGRES_TRADES": "1"}
    async with feeding(_plan(seconds)) as url, collecting(SYMBOLS, url, **settings) as rig:
        await _until_running(rig)
        running_ms = await _p99_ms(rig, seconds)
        os.kill(server.pid, signal.SIGKILL)
        away_ms = await _p99_ms(rig, seconds)
        assert (await rig.snapshot()).history.state != "running", "it is away"
        await server.start()
        await _until_running(rig)
    return running_ms, away_ms


def _plan(seconds: int) -> Plan:
    return Plan(SYMBOLS, frames=PER_S * (2 * seconds + round(2 * CATCH_UP_S)), per_s=PER_S)


async def _p99_ms(rig: Rig, seconds: int) -> float:
    await asyncio.sleep(WARM_UP_S)
    before = await rig.read()
    await asyncio.sleep(seconds)
    after = await rig.read()
    return quantiles(before, after, (0.99,))[0] * 1e3


async def _until_running(rig: Rig) -> None:
    async with asyncio.timeout(CATCH_UP_S):
        while (await rig.snapshot()).history.state != "running":  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.2)
