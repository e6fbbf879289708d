"""Feeder, store and collector as real processes, and what each of them used."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import redis.asyncio as redis

from benchmarks.feeder import Plan
from data_collector.child import open_link
from data_collector.control import SNAPSHOTS, ControlClient, Request
from data_collector.model.status import Histogram, Snapshot

READY_TIMEOUT_S = 60.0
QUIET_POLLS = 12
"""So many equal counts in a row mean that all has been stored: the longest flush takes a few of them."""


class Reading(msgspec.Struct):
    """Counters of one moment."""

    collector_cpu_s: float
    store_cpu_s: float
    stored: dict[str, int]
    known: int
    """Trades that were offered and were there already."""
    received: int
    conflated: int
    memory_bytes: int
    latency: Histogram | None


class Rig:
    """A running collector that can be read."""

    def __init__(self, control: ControlClient, pid: int) -> None:
        self._control = control
        self.pid = pid

    async def snapshot(self) -> Snapshot:
        """What the collector says of itself."""
        return await self._control.ask(Request("status"), timeout_s=30)

    async def read(self) -> Reading:
        """CPU of both processes and what has been stored."""
        snapshot = await self.snapshot()
        assert snapshot.store_url is not None, "the store is open"
        values = {(sample.name, sample.labels.get("channel", "")): sample.value for sample in snapshot.samples}
        client = redis.from_url(snapshot.store_url)
        try:
            used = await client.info("cpu")
        finally:
            await client.aclose()
        channels = ("trade", "kline", "ticker")
        stored = {channel: int(values.get(("data_collector_records_stored_total", channel), 0)) for channel in channels}
        histograms = {histogram.name: histogram for histogram in snapshot.histograms}
        return Reading(
            collector_cpu_s=values["data_collector_process_cpu_seconds_total", ""],
            store_cpu_s=used["used_cpu_sys"] + used["used_cpu_user"],
            stored=stored,
            known=int(values.get(("data_collector_records_known_total", "trade"), 0)),
            received=snapshot.messages_received,
            conflated=int(values.get(("data_collector_updates_conflated_total", "kline"), 0)),
            memory_bytes=int(values["data_collector_resident_memory_bytes", ""]),
            latency=histograms.get("data_collector_received_to_stored_seconds"),
        )

    async def read_when_received(self, messages: int, *, timeout_s: float) -> Reading:
        """The reading after so many messages came and the store has acknowledged them."""
        totals: list[int] = []

        def quiet(reading: Reading) -> bool:
            totals.append(sum(reading.stored.values()))
            return reading.received >= messages and len(set(totals[-QUIET_POLLS:])) == 1

        return await self.read_until(quiet, timeout_s=timeout_s)

    async def read_until(self, reached: Callable[[Reading], bool], *, timeout_s: float) -> Reading:
        """The first reading that is as wanted."""
        async with asyncio.timeout(timeout_s):
            while not reached(reading := await self.read()):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.1)
            return reading


@asynccontextmanager
async def collecting(
    symbols: list[str], ws_url: str, rest_url: str = "http://127.0.0.1:9", *, module: str = "data_collector",
    **settings: str,
) -> AsyncIterator[Rig]:  # fmt: skip
    """A collector process on an embedded store, both empty. The default REST address is refused at once.

    `module` is what runs the command line.
    """
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ours, theirs:
        environment = os.environ | {
            "SYMBOLS": ",".join(symbols), "INTERVALS": "1m", "VAR_DIR": folder, "REDIS_URL": "", "GX_AUDIT": "0",
            "BINANCE_WS_URL": ws_url, "BINANCE_REST_URL": rest_url, **settings,
        }  # fmt: skip
        log = Path(folder) / "collector.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, "collect", "--control-fd", str(theirs.fileno()),
                env=environment, pass_fds=(theirs.fileno(),), stderr=output,
            )  # fmt: skip
        theirs.close()
        control = ControlClient(await open_link(ours, SNAPSHOTS))
        try:
            rig = Rig(control, process.pid)
            async with asyncio.timeout(READY_TIMEOUT_S):
                while not (await rig.snapshot()).collector_running:  # noqa: ASYNC110 - another process's state
                    await asyncio.sleep(0.02)
            yield rig
        except BaseException:
            sys.stderr.write(log.read_text()[-4000:])
            raise
        finally:
            control.close()
            await process.wait()


@asynccontextmanager
async def feeding(plan: Plan) -> AsyncIterator[str]:
    """A feeder process; yields its WebSocket base URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.feeder", msgspec.json.encode(plan).decode(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None, "asked for"
    try:
        port = int(await process.stdout.readline())
        yield f"ws://127.0.0.1:{port}"
    finally:
        assert process.stdin is not None, "asked for"
        process.stdin.close()
        await process.wait()
