"""How soon there is something to see: from the start of what `make demo` runs until its page has a chart.

Each round is a demo of its own in an empty folder, as a newcomer's first one once pip is done. The clock begins before
the process does, and the API is asked as the page asks it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from data_collector.cli.screen.first_chart import CANDLES, candles_at, shown_first
from data_collector.embedded.peer import free_port
from data_collector.settings import load_settings

ROUNDS: Final = 3
LOOK_S: Final = 0.05
DEADLINE_S: Final = 300.0
STOP_S: Final = 60.0

_NOT_OF_A_NEWCOMER: Final = ("REDIS_URL", "DATABASE_URL", "VALIDATION_SERVICE_URL", "SYMBOLS", "INTERVALS", "EXCHANGES")


async def run() -> None:
    """Measure, and tell the median of each moment."""
    print(f"Seconds from the start of `make demo` (its environment is there), {ROUNDS} rounds:")
    rounds = [await asyncio.to_thread(_round) for _ in range(ROUNDS)]
    for moment in rounds[0]:
        found = [each[moment] for each in rounds]
        shown = ", ".join(f"{each:.1f}" for each in found)
        print(f"  {moment:34} {statistics.median(found):5.1f} s   ({shown})", flush=True)


def _round() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-demo-") as folder:
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_OF_A_NEWCOMER}
        port = free_port()
        environment |= {"VAR_DIR": folder, "PORT": str(port)}
        begun_s = time.monotonic()
        with _demo(Path(folder), environment) as process:
            return _moments(f"http://127.0.0.1:{port}", process, begun_s)


def _moments(url: str, process: subprocess.Popen[bytes], begun_s: float) -> dict[str, float]:
    settings = load_settings({}, None)
    symbol, interval = settings.symbols[0], shown_first(settings.intervals)
    assert interval is not None, "the usual settings have some"
    awaited: dict[str, Callable[[], bool]] = {
        "the page answers": lambda: _health(url) is not None,
        "the first chart has a candle": lambda: candles_at(url, symbol, interval) > 0,
        "/health is healthy": lambda: _health(url) == "healthy",
        f"the first chart has {CANDLES} candles": lambda: candles_at(url, symbol, interval) >= CANDLES,
    }
    reached: dict[str, float] = {}
    while len(reached) < len(awaited):
        for moment, is_there in awaited.items():
            if moment not in reached and is_there():
                reached[moment] = time.monotonic() - begun_s
        if process.poll() is not None:
            raise RuntimeError(f"the demo ended with exit code {process.returncode}")
        if time.monotonic() - begun_s > DEADLINE_S:
            raise RuntimeError(f"within {DEADLINE_S:g} s there was only: {', '.join(reached) or 'nothing'}")
        time.sleep(LOOK_S)
    return {moment: reached[moment] for moment in awaited}


def _health(url: str) -> str | None:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=DEADLINE_S) as answer:  # noqa: S310 - our own address
            return str(json.load(answer)["status"])
    except OSError:
        return None


@contextmanager
def _demo(folder: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "told.txt").open("wb") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "data_collector", "demo"], env=environment, stdout=told, stderr=told
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(STOP_S)
