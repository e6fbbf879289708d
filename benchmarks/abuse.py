"""Abuse of the API beside the feed: p99 from socket to store meanwhile, against the same service left alone."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.feeder import Plan
from benchmarks.latency import tell_ratio
from benchmarks.rig import READY_TIMEOUT_S, feeding
from data_collector.embedded.peer import free_port
from data_collector.model.status import Histogram
from data_collector.observe.quantiles import quantiles_between

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
ROUNDS = 5
PER_S = 1_000
"""Trades."""

REQUESTS_PER_S = 500
"""Beside 50 clients that never end their request. More measures only how the machine's two cores are shared."""

LATENCY_BAR = 1.1
NAME = "data_collector_received_to_stored_seconds"


async def run(*, seconds: int) -> None:
    """In turn: left alone, abused, and with the same abuse of another service, which costs the machine as much."""
    print(f"p99 at {PER_S:,} trades/s beside {REQUESTS_PER_S:,} abusive requests/s ({ROUNDS} rounds):")
    frames = PER_S * (3 * ROUNDS * (seconds + 3) + 60)
    feed = feeding(Plan(SYMBOLS, frames=frames, per_s=PER_S))
    async with feed as url, _serving(url) as port, _serving("ws://127.0.0.1:9") as other:
        await asyncio.sleep(seconds)
        abused, machine = [], []
        for _ in range(ROUNDS):
            alone = await _p99(port, seconds)
            async with _abusing(other):
                beside = await _p99(port, seconds)
            async with _abusing(port) as told:
                ours = await _p99(port, seconds)
            abused.append(ours / alone)
            machine.append(ours / beside)
            print(
                f"  alone {alone * 1e3:5.2f} ms   abused {ours * 1e3:5.2f} ms ({abused[-1]:4.2f} times)   "
                f"another abused {beside * 1e3:5.2f} ms   answers {' '.join(told)}",
                flush=True,
            )
    tell_ratio("abused, against left alone", abused, bar=LATENCY_BAR)
    tell_ratio("abused, against the same abuse of another service", machine, bar=LATENCY_BAR)


async def _p99(port: int, seconds: int) -> float:
    before = await asyncio.to_thread(_histogram, port)
    await asyncio.sleep(seconds)
    after = await asyncio.to_thread(_histogram, port)
    return quantiles_between(before, after, (0.99,))[0]


def _histogram(port: int) -> Histogram:
    """As the service publishes it, where each bucket holds those below it too."""
    families = text_string_to_metric_families(_get(port, "/metrics/prometheus"))
    samples = [sample for family in families for sample in family.samples if sample.name == f"{NAME}_bucket"]
    sums = [int(sample.value) for sample in samples]
    counts = [now - below for now, below in zip(sums, [0, *sums], strict=False)]
    bounds = [float(sample.labels["le"]) for sample in samples[:-1]]
    return Histogram(NAME, bounds, counts, 0.0)


def _get(port: int, path: str) -> str:
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                body: bytes = answer.read()
                return body.decode()
        except urllib.error.HTTPError as refusal:
            if refusal.code != 429:
                raise


@asynccontextmanager
async def _serving(ws_url: str, **settings: str) -> AsyncIterator[int]:
    """The whole service, as `data-collector run` starts it; yields its port when it answers."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        environment = os.environ | {
            "SYMBOLS": ",".join(SYMBOLS), "INTERVALS": "1m", "VAR_DIR": folder, "REDIS_URL": "", "GX_AUDIT": "0",
            "BINANCE_WS_URL": ws_url, "BINANCE_REST_URL": "http://127.0.0.1:9", "PORT": str(port),
            "CONTROL_TOKEN": "only-the-operator-knows-this-token", **settings,
        }  # fmt: skip
        with (Path(folder) / "service.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "data_collector", "run", env=environment, stdout=log, stderr=log
            )
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while not await asyncio.to_thread(_answers, port):  # noqa: ASYNC110 - another process's state
                    await asyncio.sleep(0.2)
            yield port
        finally:
            process.terminate()
            await process.wait()


def _answers(port: int) -> bool:
    try:
        return bool(_get(port, "/health/live"))
    except OSError:
        return False


@asynccontextmanager
async def _abusing(port: int) -> AsyncIterator[list[str]]:
    """Abusers for as long as the block; what they were answered is in the list afterwards."""
    told: list[str] = []
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.abuser", str(port), str(REQUESTS_PER_S),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    await asyncio.sleep(1.0)
    try:
        yield told
    finally:
        answers, _ = await process.communicate(b"")
        told += answers.decode().split()
