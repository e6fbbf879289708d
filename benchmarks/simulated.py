"""A simulator as a process; nobody is refused for asking too much, as the figures are not the exchange's."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from data_collector.model.keys import FIRST_EXCHANGE

DEADLINE_S = 120.0


@asynccontextmanager
async def simulated(
    symbols: Sequence[str], *options: str, exchanges: Sequence[str] = (FIRST_EXCHANGE,)
) -> AsyncIterator[dict[tuple[str, str], str]]:  # fmt: skip
    """Yields the addresses: by exchange, and `ws` or `rest`."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ports = Path(folder) / "ports.json"
        command = [
            sys.executable, "-m", "data_collector", "simulate", "--symbols", ",".join(symbols), "--ws-port", "0",
            "--rest-port", "0", "--no-limits", "--history-days", "1", "--history-trades", "2000",
            *(word for name in exchanges for word in ("--exchange", name)), *options,
            "--port-file", str(ports), "--exit-with-parent",
        ]  # fmt: skip
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not ports.exists():  # noqa: ASYNC110 - another process's file
                    await asyncio.sleep(0.05)
            told = json.loads(ports.read_text())
            yield {(name, what): told[f"{name}_{what}_url"] for name in exchanges for what in ("ws", "rest")}
        finally:
            process.terminate()
            await process.wait()
