"""The whole service as users start it, asked over HTTP."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.rig import READY_TIMEOUT_S
from data_collector.embedded.peer import free_port
from data_collector.model.status import Histogram

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
NAME = "data_collector_received_to_stored_seconds"


def stored_histogram(port: int) -> Histogram:
    """From socket to store, as the service publishes it, where each bucket holds those below it too."""
    families = text_string_to_metric_families(get_text(port, "/metrics/prometheus"))
    samples = [sample for family in families for sample in family.samples if sample.name == f"{NAME}_bucket"]
    sums = [int(sample.value) for sample in samples]
    counts = [now - below for now, below in zip(sums, [0, *sums], strict=False)]
    bounds = [float(sample.labels["le"]) for sample in samples[:-1]]
    return Histogram(NAME, bounds, counts, 0.0)


def get_text(port: int, path: str) -> str:
    """What the service answers; while it refuses for being asked too often, it is asked again."""
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                body: bytes = answer.read()
                return body.decode()
        except urllib.error.HTTPError as refusal:
            if refusal.code != 429:
                raise


@asynccontextmanager
async def serving(ws_url: str, **settings: str) -> AsyncIterator[int]:
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
        return bool(get_text(port, "/health/live"))
    except OSError:
        return False
