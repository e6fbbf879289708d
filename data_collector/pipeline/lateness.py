"""A line without a twin that brings everything ever later: noticed by event times, and rolled over.

Life cycle: the service makes one per line that carries its streams alone and runs it in a task. Once a second one
message is sampled, so that a message costs nothing. How much later than the earliest of its connection it comes, on the
monotonic clock, is free of the error of both clocks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

import structlog

from data_collector.model.backoff import Backoff
from data_collector.model.records import Kline, Ticker, Trade
from data_collector.observe.counters import Counters
from data_collector.pipeline.line import Line
from data_collector.pipeline.websocket import Received

LOOK_S = 1.0

LATE_MS = 10_000.0
"""Later than ever before on the connection by so much: more than any burst waits."""

LATE_S = 5.0
"""For so long: what comes at once after a stall is read in less."""

AGAIN_S = 60.0
"""A line is rolled over again after so long, then after twice as long, and so on: another connection may not help."""

AGAIN_MAX_S = 3600.0


class Lateness:
    """Of one line."""

    def __init__(self, line: Line, counters: Counters, clock: Callable[[], float] = time.monotonic) -> None:
        self._line = line
        self._counters = counters
        self._clock = clock
        self._sampled_ms: float | None = None
        self._connected: datetime | None = None
        self._earliest_ms = 0.0
        self._late_since_s = 0.0
        self._not_before_s = float("-inf")
        self._backoff = Backoff(AGAIN_S, AGAIN_MAX_S, healthy_s=AGAIN_MAX_S, jitter=False)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Judge the message that came since the last time, and sample the next."""
        line, lag_ms = self._line, self._sampled_ms
        if line.connected_since is None or line.connected_since != self._connected:
            self._connected = line.connected_since
            self._earliest_ms = float("inf")
            self._calm()
        elif lag_ms is not None:
            self._judge(lag_ms)
        elif self._late_since_s:
            # Nothing came: it may just as well have nothing to bring.
            return
        self._sampled_ms = None
        line.sample(self._sample)

    def _judge(self, lag_ms: float) -> None:
        self._earliest_ms = min(self._earliest_ms, lag_ms)
        late_ms = lag_ms - self._earliest_ms
        if late_ms < LATE_MS:
            self._calm()
            return
        now_s = self._clock()
        self._late_since_s = self._late_since_s or now_s
        if now_s - self._late_since_s < LATE_S:
            return
        self._line.lag_s = late_ms / 1000
        if now_s < self._not_before_s:
            return
        # After a long time without it the first pause is long enough again.
        self._not_before_s = now_s + self._backoff.next_delay_s(served_s=now_s - self._not_before_s)
        self._counters.add("data_collector_watchdogs_total", kind="late")
        structlog.get_logger().warning("line_late", line=self._line.name, late_s=round(late_ms / 1000, 1))
        self._line.renew()

    def _calm(self) -> None:
        self._late_since_s = 0.0
        self._line.lag_s = 0.0

    def _sample(self, received: Received) -> None:
        if isinstance(received, Trade | Kline | Ticker):
            self._sampled_ms = self._clock() * 1000 - received.event_ms
