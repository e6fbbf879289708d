"""Moves batches from the outlet to the sink, one at a time, for ever.

Life cycle: `run` until cancelled, then `drain` writes what is left. A batch that the sink did not take is written
again, the same, until it does: that is safe because sinks are idempotent. What comes meanwhile waits in the outlet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from data_collector.model.batch import Batch, Behind
from data_collector.model.errors import SinkUnavailable
from data_collector.model.protocols import Sink
from data_collector.observe.counters import Counters
from data_collector.pipeline.holdback import ARBITRATION_S
from data_collector.pipeline.outlet import Outlet

RETRY_FIRST_S = 0.05
RETRY_CAP_S = 2.0
PASS_OVER_S = 1.0
"""How long a refused trade waits for a good copy or a follower before the store's tail is moved over it."""


class Pump:
    """The task of one sink."""

    def __init__(
        self, outlet: Outlet, sink: Sink, counters: Counters, *, flush_s: float,
        go_back: Callable[[Behind], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`go_back` is told of what the store lacks."""
        self._go_back = go_back
        self._outlet = outlet
        self._sink = sink
        self._counters = counters
        self._flush_s = flush_s
        self._batch: Batch | None = None
        self._passed_over_s = time.monotonic()
        self._timer: asyncio.TimerHandle
        self.down_reason: str | None = None
        """What the sink said last, while it does not take batches."""

    @property
    def held(self) -> int:
        """Trades and klines in the batch that the sink has not taken yet."""
        batch = self._batch
        return 0 if batch is None else sum(run.count for run in batch.trades) + sum(map(len, batch.klines))

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        self._tick(loop)
        try:
            while True:
                if self._batch is None:
                    await self._outlet.waiting.wait()
                started = loop.time()
                await self._write_next()
                # A pause gathers records, so that each costs less; a full flush does not wait.
                pause_s = started + self._flush_s - loop.time()
                if pause_s > 0:
                    await asyncio.sleep(pause_s)
        finally:
            self._timer.cancel()

    async def drain(self) -> None:
        """Write what is left, once `run` is over and nothing comes any more; bounded by the caller's deadline."""
        while self._batch is not None or self._outlet.waiting.is_set():
            await self._write_next()
        # Refused trades that no good one has followed: nothing will now.
        self._passed_over_s = 0.0
        await self._write_next()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        if any(lane.refused for lane in self._outlet.lanes.values()):
            self._outlet.waiting.set()
        self._timer = loop.call_later(PASS_OVER_S, self._tick, loop)

    async def _write_next(self) -> None:
        if self._batch is None:
            batch = self._outlet.take()
            self._pass_over(batch)
            if not batch:
                return
            self._batch = batch
        started = time.perf_counter()
        await self._write(self._batch)
        self._batch = None
        self._counters.observe("data_collector_store_flush_seconds", time.perf_counter() - started)

    def _pass_over(self, batch: Batch) -> None:
        now = time.monotonic()
        if now - self._passed_over_s < PASS_OVER_S:
            return
        self._passed_over_s = now
        for lane in self._outlet.lanes.values():
            # A good copy of what was refused a moment ago may still come.
            young = [trade_id for trade_id, refused_s in lane.refused_s.items() if now - refused_s < ARBITRATION_S]
            run = self._outlet.pass_over(lane, before_id=min(young, default=None))
            if run is not None:
                batch.trades.append(run)

    async def _write(self, batch: Batch) -> None:
        delay_s = RETRY_FIRST_S
        while True:
            try:
                behind = await self._sink.write(batch)
            except SinkUnavailable as error:
                if self.down_reason is None:
                    structlog.get_logger().warning("store_down", reason=str(error))
                self.down_reason = str(error)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_CAP_S)
                continue
            if self.down_reason is not None:
                self.down_reason = None
                structlog.get_logger().info("store_up")
            for each in behind:
                self._go_back(each)
            return
