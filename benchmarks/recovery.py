"""How fast it is whole again: after a restart with a minute of trades missing, and after trades that a stream lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from benchmarks.simulated import simulated
from data_collector.child import open_link
from data_collector.control import SNAPSHOTS, ControlClient, Request
from data_collector.model.keys import FIRST_EXCHANGE
from data_collector.model.status import HEAL_BOUNDS_S, Histogram, Snapshot
from data_collector.observe.counters import quantiles_between

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
PER_S = 1_000
"""Trades of all symbols together."""

MISSING_S = 60
MINUTE_S = 61.0
RESTARTS = 3
RESTART_BAR_S = 2.0
GAPS = 60
GAP_TRADES = 300
HEAL_BAR_S = 1.5
DEADLINE_S = 120.0
HEAL = "data_collector_gap_heal_seconds"


class Exchange:
    """A simulator as a process, asked over its own routes."""

    def __init__(self, ws_url: str, rest_url: str) -> None:
        self.ws_url = ws_url
        self.rest_url = rest_url

    async def act(self, action: str, **arguments: object) -> None:
        """Carry out an action."""
        await asyncio.to_thread(self._post, "actions", {"action": action, **arguments})

    async def fault(self, **order: object) -> None:
        """Put a fault in force."""
        await asyncio.to_thread(self._post, "faults", order)

    def _post(self, path: str, body: object) -> None:
        request = urllib.request.Request(  # noqa: S310 - the simulator's own address
            f"{self.rest_url}/simulator/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=DEADLINE_S):  # noqa: S310 - the same
            pass


async def run() -> None:
    """Both."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        options = ("--trades-per-s", str(PER_S / len(SYMBOLS)), "--kept-trades", "1000000")
        async with simulated(SYMBOLS, *options) as addresses:
            exchange = Exchange(addresses[FIRST_EXCHANGE, "ws"], addresses[FIRST_EXCHANGE, "rest"])
            print(f"A restart after kill -9, {PER_S:,} trades/s, {MISSING_S} s of them missing ({RESTARTS} times):")
            for _ in range(RESTARTS):
                await _restart(Path(folder), exchange)
            print(f"Gaps of {GAP_TRADES} ids that the only connection lost ({GAPS} of them, brought by REST):")
            await _heal(Path(folder), exchange)


async def _restart(folder: Path, exchange: Exchange) -> None:
    async with _collector(folder, exchange) as (control, process):
        await _until(control, lambda snapshot: snapshot.ready)
        # The exchange counts what is asked by the minute, and this start and the next are each half of what we may ask.
        await asyncio.sleep(MINUTE_S)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    for symbol in SYMBOLS:
        # The minute's trades at once: what matters is how many there are.
        await exchange.act("burst", symbol=symbol, trades=PER_S * MISSING_S // len(SYMBOLS))
    started = time.monotonic()
    async with _collector(folder, exchange) as (control, _):
        await _until(control, lambda snapshot: snapshot.collector_running)
        running_s = time.monotonic() - started
        await _until(control, lambda snapshot: _filled(snapshot) >= PER_S * MISSING_S and not snapshot.gaps.open_count)
        whole_s = time.monotonic() - started
        await _until(control, lambda snapshot: snapshot.ready)
        ready_s = time.monotonic() - started
    met = "met" if ready_s <= RESTART_BAR_S else "missed"
    print(
        f"  collecting after {running_s:.2f} s, repaired after {whole_s:.2f} s, ready after {ready_s:.2f} s"
        f"   bar {RESTART_BAR_S:g} s: {met}",
        flush=True,
    )


async def _heal(folder: Path, exchange: Exchange) -> None:
    async with _collector(folder, exchange) as (control, _):
        before = await _until(control, lambda snapshot: snapshot.ready and not snapshot.gaps.open_count)
        await asyncio.sleep(MINUTE_S)
        for number in range(GAPS):
            symbol = SYMBOLS[number % len(SYMBOLS)]
            filled = _filled(await control.ask(Request("status")))
            drop = {"kind": "drop", "stream": f"{symbol.lower()}@trade", "count": GAP_TRADES}
            await exchange.fault(frames=[drop])
            await exchange.act("burst", symbol=symbol, trades=GAP_TRADES + 20)
            wanted = filled + GAP_TRADES
            after = await _until(control, partial(_is_healed, wanted))
    p50, p99 = quantiles_between(_histogram(before), _histogram(after), (0.5, 0.99))
    met = "met" if p99 <= HEAL_BAR_S else "missed"
    # Measured from the end of the 150 ms in which another line may bring them.
    print(f"  until all had come: p50 {p50:.2f} s, p99 {p99:.2f} s   bar {HEAL_BAR_S:g} s: {met}", flush=True)


def _is_healed(wanted: float, snapshot: Snapshot) -> bool:
    return _filled(snapshot) >= wanted and not snapshot.gaps.open_count


def _filled(snapshot: Snapshot) -> float:
    name = "data_collector_gap_filled_total"
    return sum(each.value for each in snapshot.samples if each.name == name and each.labels["channel"] == "trade")


def _histogram(snapshot: Snapshot) -> Histogram:
    found = next((each for each in snapshot.histograms if each.name == HEAL), None)
    if found is not None:
        return found
    bounds = list(HEAL_BOUNDS_S)
    return Histogram(HEAL, bounds, [0] * (len(bounds) + 1), 0.0)


async def _until(control: ControlClient, reached: Callable[[Snapshot], bool]) -> Snapshot:
    """The first state that is as wanted."""
    async with asyncio.timeout(DEADLINE_S):
        while not reached(snapshot := await control.ask(Request("status"), timeout_s=30)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return snapshot


@asynccontextmanager
async def _collector(
    folder: Path, exchange: Exchange
) -> AsyncIterator[tuple[ControlClient, asyncio.subprocess.Process]]:  # fmt: skip
    """A collector that goes on with what the folder holds."""
    ours, theirs = socket.socketpair()
    environment = os.environ | {
        "SYMBOLS": ",".join(SYMBOLS), "INTERVALS": "1m", "VAR_DIR": str(folder / "var"), "REDIS_URL": "",
        "GX_AUDIT": "0", "BINANCE_WS_URL": exchange.ws_url, "BINANCE_REST_URL": exchange.rest_url,
    }  # fmt: skip
    with ours, theirs, (folder / "collector.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "data_collector", "collect", "--control-fd", str(theirs.fileno()),
            env=environment, pass_fds=(theirs.fileno(),), stderr=log,
        )  # fmt: skip
        theirs.close()
        control = ControlClient(await open_link(ours, SNAPSHOTS))
        try:
            yield control, process
        finally:
            control.close()
            await process.wait()
