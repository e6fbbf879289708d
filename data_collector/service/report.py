"""The state of the collector for people and programs: health, readiness and every metric, made when asked for."""

from __future__ import annotations

import time
from collections.abc import Sequence

from data_collector.model.status import Condition, GapsStatus, Snapshot
from data_collector.observe.counters import Counters
from data_collector.observe.descriptors import free_descriptors
from data_collector.observe.memory import resident_bytes
from data_collector.pipeline.intake import Intake
from data_collector.pipeline.ledger import Ledger
from data_collector.pipeline.line import Line
from data_collector.pipeline.outlet import Outlet
from data_collector.pipeline.pump import Pump
from data_collector.service.consumer_groups import ConsumerGroups
from data_collector.service.heartbeat import LAG_TOLERATED_S, Heartbeat
from data_collector.service.history import History
from data_collector.service.lines import Group
from data_collector.service.silence import SilenceWatch, Stream
from data_collector.service.statistics import Statistics
from data_collector.service.validation import Validation
from data_collector.sinks.redis.sink import RedisSink

STOPPED = "stopped by operator"

NAMES_SHOWN = 5
"""Of many symbols a sentence names this many."""

FIRST_WORD_S = 10.0
"""A stream of a trading symbol speaks within this time after the subscription."""

GAP_TOLD_AFTER_S = 0.2
"""Before that a gap is no more than a record which another line may bring at once."""

GAP_TOLERATED_S = 5.0
"""A gap that is open longer makes the service not ready: readers wait for the repair."""


class Parts:
    """What a report is made of while records are collected."""

    def __init__(
        self, intake: Intake, outlet: Outlet, pump: Pump, sink: RedisSink, groups: Sequence[Group],
        statistics: Statistics, counters: Counters, validation: Validation, *, ledger: Ledger, watch: SilenceWatch,
        heartbeat: Heartbeat, consumer_groups: ConsumerGroups, history: History, keeps_on_disk: bool,
    ) -> None:  # fmt: skip
        self.intake = intake
        self.outlet = outlet
        self.pump = pump
        self.sink = sink
        self.groups = groups
        self.watch = watch
        self.statistics = statistics
        self.counters = counters
        self.validation = validation
        self.ledger = ledger
        self.heartbeat = heartbeat
        self.consumer_groups = consumer_groups
        self.history = history
        self.keeps_on_disk = keeps_on_disk

    @property
    def lines(self) -> list[Line]:
        """Of all groups."""
        return [line for group in self.groups for line in group.lines]


def fill(snapshot: Snapshot, parts: Parts) -> None:
    """Put counts, connections, metrics and reasons into `snapshot`."""
    intake = parts.intake
    held = intake.trades.holdback.count
    snapshot.messages_received = intake.received + held
    snapshot.messages_validated = intake.validated
    snapshot.validation_errors = intake.errors
    snapshot.messages_in_flight = held
    if intake.tally.last_received_ns:
        snapshot.last_message_seconds_ago = round((time.time_ns() - intake.tally.last_received_ns) / 1e9, 3)
    snapshot.connections = [line.status for line in parts.lines]
    unspoken, mute = parts.watch.unspoken(), parts.watch.mute()
    snapshot.gaps = parts.ledger.status()
    _set_gauges(parts, unspoken=len(unspoken), mute=len(mute))
    snapshot.samples = parts.counters.samples()
    snapshot.histograms = parts.counters.histograms()
    unhealthy, degraded = _reasons(parts, snapshot, unspoken, mute)
    snapshot.reasons += unhealthy + degraded
    snapshot.condition = _condition(unhealthy, degraded)
    connected = bool(parts.groups) and all(group.is_connected for group in parts.groups)
    flowing = connected and not unspoken and not mute and parts.pump.down_reason is None
    repaired = is_repaired(snapshot.gaps) and _oldest_debt_s(parts.outlet) <= GAP_TOLERATED_S
    awake = parts.heartbeat.lag_s <= LAG_TOLERATED_S
    snapshot.ready = snapshot.collector_running and flowing and repaired and awake


def _condition(unhealthy: list[str], degraded: list[str]) -> Condition:
    if unhealthy:
        return "unhealthy"
    return "degraded" if degraded else "healthy"


def _reasons(
    parts: Parts, snapshot: Snapshot, unspoken: Sequence[Stream], mute: Sequence[Stream]
) -> tuple[list[str], list[str]]:  # fmt: skip
    unhealthy: list[str] = []
    degraded: list[str] = []
    if not snapshot.collector_running:
        degraded.append(STOPPED)
        return unhealthy, degraded
    if parts.pump.down_reason is not None:
        spool_refuses = not parts.keeps_on_disk or parts.counters.value("data_collector_spool_full") > 0
        is_nowhere, kept = kept_where(parts.outlet, spool_refuses=spool_refuses)
        (unhealthy if is_nowhere else degraded).append(f"{parts.pump.down_reason} {kept}")
    degraded += [f"{key} is not ours: {error}" for key, error in parts.sink.broken_keys.items()]
    degraded += [
        f"trades:{symbol} holds id {tail} already and the exchange sends {trade_id}: was the store filled from another "
        "market? Empty it or choose another"
        for symbol, (tail, trade_id) in parts.sink.ahead.items()
    ]
    degraded += _strangers(parts.outlet)
    degraded += parts.consumer_groups.reasons()
    degraded += gap_reasons(snapshot.gaps)
    degraded += _debt_reasons(parts.outlet)
    degraded += _line_reasons(parts.lines)
    degraded += [
        f"line {line.name} brings messages {line.late_s:.0f} s later than it did: the way to the exchange is too slow"
        for line in parts.lines
        if line.late_s
    ]
    statistics = parts.statistics
    late = {stream.key.symbol for stream in unspoken if time.monotonic() - stream.begun_s > FIRST_WORD_S}
    if late:
        degraded.append(f"not all streams have spoken of {_names(sorted(late))}")
    if mute:
        degraded.append(f"the exchange trades, and these streams are mute: {_names([stream.name for stream in mute])}")
    if statistics.unlisted:
        degraded.append(f"the exchange does not list {_names(statistics.unlisted)}")
    if statistics.resting:
        states = [f"{symbol} ({status})" for symbol, status in sorted(statistics.resting.items())]
        degraded.append(f"waiting for symbols that do not trade now: {_names(states)}")
    if statistics.down_reason is not None:
        degraded.append(f"the exchange's REST side: {statistics.down_reason}")
    degraded += parts.validation.reasons()
    degraded += parts.history.reasons()
    if parts.heartbeat.lag_s > LAG_TOLERATED_S:
        degraded.append(f"the event loop stood still for {parts.heartbeat.lag_s:.0f} s")
    return unhealthy, degraded


def kept_where(outlet: Outlet, *, spool_refuses: bool) -> tuple[bool, str]:
    """Of records that the store does not take: whether they can be neither stored nor spooled, and a sentence."""
    if not outlet.is_full:
        return False, f"{outlet.records} records wait in memory"
    if spool_refuses:
        return True, "memory is full and nothing can be spooled: what comes now has to be asked of the exchange again"
    return False, "memory is full: trades wait in the spool"


def is_repaired(gaps: GapsStatus) -> bool:
    """Whether readers wait for nothing, or not for long."""
    return gaps.oldest_open_s <= GAP_TOLERATED_S


def gap_reasons(gaps: GapsStatus) -> list[str]:
    """A sentence for each of the oldest gaps that are being repaired, and one for all others."""
    if gaps.oldest_open_s < GAP_TOLD_AFTER_S:
        return []
    reasons: list[str] = []
    for life in gaps.open[:NAMES_SHOWN]:
        plural = "" if life.missing == 1 else "s"
        open_s = gaps.oldest_open_s - (life.opened_at_s - gaps.open[0].opened_at_s)
        reasons.append(f"repairing {life.missing:,} {life.key.unit}{plural} of {life.key.symbol} since {open_s:.0f} s")
    if gaps.open_count > len(reasons):
        reasons.append(f"repairing {gaps.open_count - len(reasons):,} more gaps")
    return reasons


def _debt_reasons(outlet: Outlet) -> list[str]:
    """What the store lacks and is being brought."""
    owing = [lane for lane in outlet.lanes.values() if lane.debt is not None and not lane.debt.stands_by]
    if not owing or _oldest_debt_s(outlet) < GAP_TOLD_AFTER_S:
        return []
    count = sum(lane.next_id - lane.debt.due_id for lane in owing if lane.debt is not None)
    return [f"bringing {count:,} trades of {_names([lane.symbol for lane in owing])} to the store"]


def _oldest_debt_s(outlet: Outlet) -> float:
    begun = [each.debt.since_s for each in outlet.lanes.values() if each.debt is not None and not each.debt.stands_by]
    return time.monotonic() - min(begun) if begun else 0.0


def _oldest_waiting_s(parts: Parts) -> float:
    """The age of the oldest trade that the store lacks: in the batch, in memory, or in the spool alone."""
    waiting = [ns for ns in (parts.pump.oldest_ns, parts.outlet.oldest_ns()) if ns]
    in_memory_s = (time.time_ns() - min(waiting)) / 1e9 if waiting else 0.0
    return max(in_memory_s, _oldest_debt_s(parts.outlet), 0.0)


def _strangers(outlet: Outlet) -> list[str]:
    """Symbols whose trades all come with ids from far behind."""
    return [
        f"trades of {lane.symbol} come with ids far below {lane.next_id}: have its ids begun anew, or was the "
        f"store filled from another market? Delete trades:{lane.symbol} and latest:{lane.symbol} while the collector "
        "runs, and they are collected from there on; or choose another store"
        for lane in outlet.lanes.values()
        if lane.is_stranded
    ]


def _line_reasons(lines: Sequence[Line]) -> list[str]:
    down = [line.status for line in lines if line.down_s > 0.0]
    if not down:
        return []
    reason = next((status.last_error for status in down if status.last_error), "connecting")
    advice = "" if len(down) < len(lines) else " (`make demo` needs no network)"
    return [f"{len(down)} of {len(lines)} connections to the exchange are down: {reason}{advice}"]


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def _set_gauges(parts: Parts, *, unspoken: int, mute: int) -> None:
    counters, outlet, intake = parts.counters, parts.outlet, parts.intake
    counters.set("data_collector_streams_silent", unspoken)
    counters.set("data_collector_streams_mute", mute)
    counters.set("data_collector_streams_quiet", parts.watch.quiet())
    counters.set("data_collector_connections", sum(line.down_s == 0.0 for line in parts.lines))
    counters.set("data_collector_outlet_records", outlet.records)
    counters.set("data_collector_outlet_records_max", outlet.records_max)
    counters.set("data_collector_outlet_oldest_seconds", _oldest_waiting_s(parts))
    counters.set("data_collector_store_up", 0 if parts.pump.down_reason else 1)
    counters.set("data_collector_outlet_retained_total", outlet.retained_only)
    for channel, count in outlet.dropped.items():
        counters.set("data_collector_outlet_dropped_total", count, channel=channel)
    for channel, count in outlet.conflated.items():
        counters.set("data_collector_updates_conflated_total", count, channel=channel)
    newest = intake.tally.newest_trade
    if newest is not None:
        counters.set("data_collector_event_lag_seconds", newest.received_ns / 1e9 - newest.event_ms / 1e3)
    parts.validation.set_gauges()
    parts.history.set_gauges()
    counters.set("data_collector_resident_memory_bytes", resident_bytes())
    counters.set("data_collector_process_cpu_seconds_total", time.process_time())
    free = free_descriptors()
    if free is not None:
        counters.set("data_collector_file_descriptors_free", free)
