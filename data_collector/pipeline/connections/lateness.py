"""Lines that bring everything late: noticed by event times, and replaced.

Life cycle: the service makes a pair of twins per group of streams that has two lines, and one lateness per line that
carries its streams alone, and runs it in a task. One message is sampled now and then, so that a message costs nothing.
How much later than its event time it came, compared with the twin's or with the earliest of its connection on the
monotonic clock, is free of the error of both clocks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from operator import attrgetter

import structlog

from data_collector.model.backoff import Backoff
from data_collector.model.records import Kline, Ticker, Trade
from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.line import Line
from data_collector.pipeline.connections.websocket import Received

LOOK_S = 1.0
"""How often a line without a twin is sampled."""

LATE_MS = 10_000.0
"""Later than ever before on the connection by so much: more than any burst waits."""

LATE_S = 5.0
"""For so long: what comes at once after a stall is read in less."""

AGAIN_S = 60.0
"""A line is rolled over again after so long, then after twice as long, and so on: another connection may not help."""

AGAIN_MAX_S = 3600.0

SAMPLE_S = 0.25
"""How often twins are sampled."""

LAG_MS_MAX = 250.0
"""How far the twin may be ahead; it is then that a hole of one line cannot be filled by the other in time."""

LAGGING_S = 3.0
"""For how long."""

FRESH_S = 1.0
"""A line that brought nothing for longer says nothing about its twin: the streams may rest."""


def timed_record(received: Received) -> Trade | Kline | Ticker | None:
    """The newest record of a message; None where none tells its time, as a quote."""
    records = received if isinstance(received, list) else [received]
    timed = [record for record in records if isinstance(record, Trade | Kline | Ticker)]
    return max(timed, key=attrgetter("event_ms"), default=None)


class Lateness:
    """Of one line without a twin."""

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
        timed = timed_record(received)
        if timed is not None:
            self._sampled_ms = self._clock() * 1000 - timed.event_ms
        else:
            # The next message may.
            self._line.sample(self._sample)


class LineSample:
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
        timed = timed_record(received)
        if timed is not None:
            self.lag_ms = timed.received_ns / 1e6 - timed.event_ms
        else:
            # The next message may.
            self.line.sample(self._take)


class Twins:
    """Two lines that carry the same streams, A and B: the one that lags is replaced while the other carries on."""

    def __init__(self, first: Line, second: Line) -> None:
        self._samples = (LineSample(first), LineSample(second))
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
