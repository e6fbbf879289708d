"""A collector process that is killed and started over and over, and what it told of itself before each end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.integration.processes import COLLECT, CollectorProcess, Exchange
from tests.soak.counters import Counters, resident_bytes

POLL_S = 1.0
STOP_TIMEOUT_S = 30.0


class OwnCollector:
    """A `Collector` that we start: the folder stays."""

    def __init__(self, folder: Path, exchange: Exchange, *, plant: str | None, **settings: str) -> None:
        self.spool = folder / "live" / "spool"
        self.peak_bytes = 0
        self.starts = 0
        self.ends: list[int] = []
        self._exchange = exchange
        self._folder = folder
        self._settings = settings
        self._command: Sequence[str] = COLLECT
        if plant is not None:
            self._command = (sys.executable, "-m", "tests.soak.planted", plant, *COLLECT[3:])
        self._running: CollectorProcess | None = None
        self._counters = Counters()
        self._starting = asyncio.Lock()

    @property
    def is_up(self) -> bool:
        """Whether a process is running, held ones too."""
        return self._running is not None and self._running.process.poll() is None

    async def start(self) -> None:
        """Start a process if none is running."""
        async with self._starting:
            if self.is_up:
                return
            if self._running is not None:
                self._bury()
            self._running = await asyncio.to_thread(
                CollectorProcess, self._folder, self._exchange, command=self._command, **self._settings
            )
            self.starts += 1

    async def watch(self) -> None:
        """Sample memory and counters; start anew what has ended by itself, as an operator's supervisor would."""
        while True:
            running = self._running
            if running is not None and running.process.poll() is None:
                self.peak_bytes = max(self.peak_bytes, resident_bytes(running.process.pid))
                await self._look(running)
            elif running is not None and running is self._running:
                self.ends.append(running.process.returncode)
                await self.start()
            await asyncio.sleep(POLL_S)

    async def kill(self) -> None:
        """kill -9."""
        running = self._take()
        if running is not None:
            await asyncio.to_thread(running.kill)

    async def terminate(self) -> None:
        """SIGTERM, and wait for the end."""
        running = self._take()
        if running is None:
            return
        running.process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await asyncio.to_thread(running.process.wait)
        except TimeoutError:
            running.process.kill()
            self.ends.append(-signal.SIGTERM)
        running.hang_up()

    def hold(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def counters(self) -> dict[str, float]:
        """What all its processes counted; of those that were killed, up to a second before."""
        return self._counters.totals()

    async def _look(self, running: CollectorProcess) -> None:
        try:
            snapshot = await asyncio.to_thread(running.status)
        except (OSError, AssertionError):
            return  # It was killed while it was asked.
        if running is self._running:
            self._counters.note(snapshot.samples)

    def _signal(self, number: signal.Signals) -> None:
        if self._running is not None and self._running.process.poll() is None:
            self._running.process.send_signal(number)

    def _take(self) -> CollectorProcess | None:
        running, self._running = self._running, None
        if running is not None:
            self._counters.bury()
        return running

    def _bury(self) -> None:
        assert self._running is not None
        self._counters.bury()
        self._running.hang_up()
        self._running = None
