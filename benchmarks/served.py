"""The whole service as users run it, before a feeder, and what it tells of itself over HTTP."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.rig import READY_TIMEOUT_S
from data_collector.embedded.peer import free_port
from data_collector.model.status import Histogram
from data_collector.observe.counters import quantiles_between

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
LATENCY = "data_collector_received_to_stored_seconds"


async def p99_of(port: int, seconds: int, query: str = "") -> float:
    """Seconds from socket to store that all but one record in a hundred stay below, over the next `seconds`."""
    before = await asyncio.to_thread(histogram_of, port, query)
    await asyncio.sleep(seconds)
    after = await asyncio.to_thread(histogram_of, port, query)
    return quantiles_between(before, after, (0.99,))[0]


def histogram_of(port: int, query: str = "") -> Histogram:
    """As the service publishes it, where each bucket holds those below it too."""
    families = text_string_to_metric_families(get(port, f"/metrics/prometheus{query}"))
    samples = [sample for family in families for sample in family.samples if sample.name == f"{LATENCY}_bucket"]
    sums = [int(sample.value) for sample in samples]
    counts = [now - below for now, below in zip(sums, [0, *sums], strict=False)]
    bounds = [float(sample.labels["le"]) for sample in samples[:-1]]
    return Histogram(LATENCY, bounds, counts, 0.0)


def get(port: int, path: str) -> str:
    """The text of an answer; asked again while there were too many requests. Raises `OSError`."""
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                body: bytes = answer.read()
                return body.decode()
        except urllib.error.HTTPError as refusal:
            if refusal.code != 429:
                raise


@asynccontextmanager
async def serving(ws_url: str, symbols: Sequence[str] = tuple(SYMBOLS), **settings: str) -> AsyncIterator[int]:
    """The whole service, as `data-collector run` starts it; yields its port when it answers."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        environment = os.environ | {
            "SYMBOLS": ",".join(symbols), "INTERVALS": "1m", "VAR_DIR": folder, "REDIS_URL": "", "GX_AUDIT": "0",
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
        return bool(get(port, "/health/live"))
    except OSError:
        return False
