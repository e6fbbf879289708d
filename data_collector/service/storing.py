"""The way from the outlet into the store: the pump that writes, and what keeps the store from taking it."""

from __future__ import annotations

import time

import structlog

from data_collector.model.status import Snapshot
from data_collector.observe.counters import Counters
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.outlet.pump import Pump
from data_collector.pipeline.repair.standby import Standby
from data_collector.pipeline.sequence.intake import Intake
from data_collector.service.part import Part, PartHealth, Spawn
from data_collector.service.repairs import oldest_debt_s
from data_collector.settings import Settings
from data_collector.sinks.redis.sink import RedisSink
from data_collector.time_limit import time_limit

LATE_S = 2.0
"""A store that owes an answer for so long is told; it is asked each second at least."""

DRAIN_S = 3.0
"""How long a stop waits for the store to take what is left; a reload has 5 s for everything."""


class Storing(Part):
    """One for all starts of the collection: the pump may hold a batch that the store has not taken yet."""

    def __init__(self, settings: Settings, outlet: Outlet, sink: RedisSink, intake: Intake, counters: Counters) -> None:
        self._outlet = outlet
        self.sink = sink
        self._counters = counters
        self._keeps_on_disk = settings.spool_bytes_max > 0
        self._lives = intake.trades.lives
        self._stands_by = settings.standby
        self.pump = Pump(
            outlet, sink, intake.trades.lives, counters, flush_s=settings.flush_ms / 1000, go_back=intake.klines.go_back
        )

    def start(self, spawn: Spawn) -> None:
        """See `Part`."""
        if self._stands_by:
            standby = Standby(self._outlet, self.sink, self._lives, self.pump.ask, self._counters, time.monotonic)
            standby.begin()
            spawn("standby", standby.run)
        spawn("pump", self.pump.run)

    def report(self, snapshot: Snapshot) -> PartHealth:
        """What waits, and why."""
        self._set_gauges()
        reasons: list[str] = []
        is_losing, down_reason = False, self._down_reason
        if down_reason is not None:
            spool_refuses = not self._keeps_on_disk or self._counters.value("data_collector_spool_full") > 0
            is_losing, kept = kept_where(self._outlet, spool_refuses=spool_refuses)
            reasons.append(f"{down_reason} {kept}")
        if self.sink.unsuited is not None:
            reasons.append(self.sink.unsuited)
        snapshot.foreign = dict(self.sink.broken_keys)
        reasons += [f"{key} is not ours: {error}" for key, error in snapshot.foreign.items()]
        reasons += [
            f"trades:{symbol} holds id {tail} already and the exchange sends {trade_id}: was the store filled from "
            "another market? Empty it or choose another"
            for symbol, (tail, trade_id) in self.sink.ahead.items()
        ]
        return PartHealth(reasons, ready=down_reason is None, is_losing=is_losing)

    @property
    def _down_reason(self) -> str | None:
        """What the store said last, or that it says nothing: long before its connection is given up."""
        silent_s = self.sink.silent_s
        if self.pump.down_reason is None and silent_s > LATE_S:
            return f"The store has not answered for {silent_s:.0f} s."
        return self.pump.down_reason

    async def drain(self) -> None:
        """Write out what waits, when nothing comes any more and the pump's task has ended."""
        try:
            async with time_limit(DRAIN_S):
                await self.pump.drain()
        except TimeoutError:
            records = self._outlet.records + self.pump.held
            structlog.get_logger().error("records_left", records=records, reason=self.pump.down_reason)
        self._outlet.end_runs()

    def _set_gauges(self) -> None:
        counters, outlet = self._counters, self._outlet
        counters.set("data_collector_outlet_records", outlet.records)
        counters.set("data_collector_outlet_records_max", outlet.records_max)
        counters.set("data_collector_outlet_oldest_seconds", self._oldest_waiting_s())
        counters.set("data_collector_store_up", 0 if self._down_reason else 1)
        counters.set("data_collector_outlet_retained_total", outlet.spooled_only)
        for channel, count in outlet.dropped.items():
            counters.set("data_collector_outlet_dropped_total", count, channel=channel)
        for channel, count in outlet.conflated.items():
            counters.set("data_collector_updates_conflated_total", count, channel=channel)

    def _oldest_waiting_s(self) -> float:
        """The age of the oldest trade that the store lacks: in the batch, in memory, or in the spool alone."""
        waiting = [ns for ns in (self.pump.oldest_ns, self._outlet.oldest_ns()) if ns]
        in_memory_s = (time.time_ns() - min(waiting)) / 1e9 if waiting else 0.0
        return max(in_memory_s, oldest_debt_s(self._outlet), 0.0)


def kept_where(outlet: Outlet, *, spool_refuses: bool) -> tuple[bool, str]:
    """Of records that the store does not take: whether they can be neither stored nor spooled, and a sentence."""
    if not outlet.is_full:
        return False, f"{outlet.records} records wait in memory"
    if spool_refuses:
        return True, "memory is full and nothing can be spooled: what comes now has to be asked of the exchange again"
    return False, "memory is full: trades wait in the spool"
