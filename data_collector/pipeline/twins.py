"""Two lines that carry the same streams: the one that lags is replaced while the other carries on.

Life cycle: the service makes one pair per group of streams and runs it in a task. Four times a second one message of
each line is sampled, so that a message costs nothing: how much later than its event time it came, compared between the
two, is free of both clocks' errors.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import structlog

from data_collector.model.records import Kline, Ticker, Trade
from data_collector.pipeline.line import Line
from data_collector.pipeline.websocket import Received

SAMPLE_S = 0.25

LAG_MS_MAX = 250.0
"""How far the twin may be ahead; it is then that a hole of one line cannot be filled by the other in time."""

LAGGING_S = 3.0
"""For how long."""

FRESH_S = 1.0
"""A line that brought nothing for longer says nothing about its twin: the streams may rest."""


class Sample:
    """What one line's newest sampled message tells."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.lag_ms: float | None = None
        """Receive time minus event time; None until a message has come."""

    def begin(self) -> None:
        """Wait for the next message."""
        self.lag_ms = None
        self.line.sample(self._take)

    def _take(self, received: Received) -> None:
        if isinstance(received, Trade | Kline | Ticker):
            self.lag_ms = received.received_ns / 1e6 - received.event_ms


class Twins:
    """A pair of lines, A and B."""

    def __init__(self, first: Line, second: Line) -> None:
        self._samples = (Sample(first), Sample(second))
        self._behind: Line | None = None
        self._times = 0
        self._compared: tuple[datetime | None, datetime | None] = (None, None)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(SAMPLE_S)
            self.compare()

    def compare(self) -> None:
        """Judge what has come since the last time, and look again."""
        first, second = (sample.line for sample in self._samples)
        connections = first.connected_since, second.connected_since
        if None in connections or connections != self._compared:
            self._compared = connections
            self._begin(again=True)
            return
        ahead_ms = self._ahead_ms()
        if ahead_ms is None:
            return
        behind = None if abs(ahead_ms) <= LAG_MS_MAX else (second if ahead_ms > 0 else first)
        self._times = self._times + 1 if behind is not None and behind is self._behind else 1
        self._behind = behind
        if behind is not None and self._times * SAMPLE_S >= LAGGING_S:
            structlog.get_logger().warning("line_lagging", line=behind.name, behind_ms=round(abs(ahead_ms)))
            behind.replace("lagging")
            self._begin(again=True)
        elif all(sample.lag_ms is not None for sample in self._samples):
            self._begin(again=False)

    def _ahead_ms(self) -> float | None:
        """How far the first is ahead of the second; None when there is nothing to compare."""
        first, second = self._samples
        if first.lag_ms is not None and second.lag_ms is not None:
            return second.lag_ms - first.lag_ms
        if first.lag_ms is None and second.lag_ms is None:
            return None
        # One of them has brought nothing since: that counts while the other goes on bringing something.
        newest_ns = max(first.line.last_message_ns, second.line.last_message_ns)
        if time.time_ns() - newest_ns > FRESH_S * 1e9:
            return None
        ahead_ms = (first.line.last_message_ns - second.line.last_message_ns) / 1e6
        return ahead_ms if (ahead_ms > 0) == (first.lag_ms is not None) else None

    def _begin(self, *, again: bool) -> None:
        if again:
            self._behind, self._times = None, 0
        for sample in self._samples:
            sample.begin()
