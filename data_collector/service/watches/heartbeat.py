"""Notices an event loop that does not get round, and a process without memory: what cannot recover is ended.

A process that is ended so is like one that was killed: the next one goes on where the store ends, and loses nothing.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import threading
import time

import structlog

from data_collector.model.errors import CollectorError
from data_collector.model.status import Snapshot
from data_collector.observe.counters import Counters
from data_collector.observe.memory import SHORTAGE, free_descriptors, resident_bytes
from data_collector.observe.output import drain, dropped_lines, dropped_reasons, last_words
from data_collector.service.part import Part, PartHealth, Spawn

BEAT_S = 1.0

LAG_TOLERATED_S = 5.0
"""A loop that was later than this makes the service not ready: what it said of itself was old."""

STUCK_BEATS = 30
"""A loop that misses so many beats will not come back."""

SPARE_BYTES = 1024 * 1024
"""A process that cannot have so much has no use for what it still gets: half of what it does would fail."""


class Heartbeat(Part):
    """One eternal task on the loop that is watched, and a thread that watches, where the process is ours to end."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        counters.set("data_collector_start_time_seconds", time.time())
        self._beats = 0
        self._beaten_s = time.monotonic()
        self._late_s = 0.0
        self._ended = False

    @property
    def lag_s(self) -> float:
        """How late the newest beat was, or the next one is."""
        return max(self._late_s, time.monotonic() - self._beaten_s - BEAT_S, 0.0)

    def start(self, spawn: Spawn) -> None:
        """See `Part`."""
        spawn("heartbeat", self.run)

    def report(self, snapshot: Snapshot) -> PartHealth:
        """How late the loop is, what the process uses, and whether its log is heard."""
        counters = self._counters
        counters.set("data_collector_resident_memory_bytes", resident_bytes())
        counters.set("data_collector_process_cpu_seconds_total", time.process_time())
        counters.set("data_collector_output_lines_dropped_total", dropped_lines())
        free = free_descriptors()
        if free is not None:
            counters.set("data_collector_file_descriptors_free", free)
        reasons = dropped_reasons("the collector process")
        if self.lag_s <= LAG_TOLERATED_S:
            return PartHealth(reasons)
        return PartHealth([f"the event loop stood still for {self.lag_s:.0f} s", *reasons], ready=False)

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self._beaten_s = time.monotonic()
            await asyncio.sleep(BEAT_S)
            self._late_s = max(0.0, time.monotonic() - self._beaten_s - BEAT_S)
            self._beats += 1
            self._counters.observe("data_collector_loop_lag_seconds", self._late_s)
            if self._late_s > LAG_TOLERATED_S:
                structlog.get_logger().warning("loop_stalled", seconds=round(self._late_s, 1))

    def watch(self) -> None:
        """Start the thread that ends the process, with every stack on stderr, when it cannot recover."""
        SHORTAGE.ends_process = True
        asyncio.get_running_loop().set_exception_handler(_take_error)
        threading.Thread(target=self._watch, name="heartbeat", daemon=True).start()

    async def close(self) -> None:
        """End that thread: the loop is about to end too."""
        self._ended = True

    def _watch(self) -> None:
        try:
            self._count_beats()
        except MemoryError:
            SHORTAGE.give_up()

    def _count_beats(self) -> None:
        # Missed beats are counted, not seconds: a process that is held (SIGSTOP, a machine asleep) misses none.
        # What holds the interpreter's lock holds this thread too; then health's silence is all there is.
        beats = missed = 0
        while not self._ended:
            # Waiting for an event would need memory each time.
            time.sleep(BEAT_S)
            missed = missed + 1 if self._beats == beats else 0
            beats = self._beats
            if missed >= STUCK_BEATS and not self._ended:
                _end_stuck()
            try:
                # As the interpreter gets memory for its objects; what was freed before may have room for others.
                mmap.mmap(-1, SPARE_BYTES).close()
            except OSError:
                SHORTAGE.give_up()


def _take_error(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """What a callback of the loop raised."""
    error = context.get("exception")
    if isinstance(error, MemoryError):
        SHORTAGE.meet(error)
    loop.default_exception_handler(context)


def _end_stuck() -> None:
    structlog.get_logger().critical("loop_stuck")
    drain()
    last_words(b"", stacks=True)
    os._exit(CollectorError.exit_code)
