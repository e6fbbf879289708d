"""The `state` event: what health, metrics and status say, with rates and latency of the last seconds."""

from __future__ import annotations

import math
from collections import deque

from msgspec import Struct

from data_collector.api.answers import health_of, status_of
from data_collector.api.completeness.gap_answers import GapAnswer
from data_collector.api.live.events import AuditNow, Buffer, GapsNow, Latency, State, StoreState
from data_collector.model.status import Histogram, Snapshot
from data_collector.observe.counters import quantiles_between

WINDOW_S = 10.0
"""Rates and latency are those of so many seconds."""

_STORED = "data_collector_records_stored_total"
_LATENCY = "data_collector_received_to_stored_seconds"


class _Reading(Struct, frozen=True):
    at_s: float
    received: int
    stored: float
    latency: Histogram | None


class RecentState:
    """Compares each snapshot with the oldest one of the last seconds."""

    def __init__(self, exchange: str | None) -> None:
        """`exchange` where there are several."""
        self._exchange = exchange
        self._readings: deque[_Reading] = deque()

    def state_of(self, snapshot: Snapshot, environment: str, newest_gaps: list[GapAnswer], now_s: float) -> State:
        """`now_s` is on a monotonic clock; rates are None before there are two readings."""
        before, now = self._window(snapshot, now_s)
        status = status_of(snapshot)
        return State(
            health=health_of(snapshot, environment),
            metrics=status.metrics,
            connections=status.connections,
            received_per_second=_rate(before, now, now.received - before.received),
            stored_per_second=_rate(before, now, now.stored - before.stored),
            latency=_latency(before.latency, now.latency),
            stores=[_redis(snapshot, status.redis_url), _postgres(snapshot)],
            buffers=_buffers(snapshot),
            gaps=GapsNow(snapshot.gaps.open_count, snapshot.gaps.missing, snapshot.gaps.oldest_open_s, newest_gaps),
            audit=AuditNow(
                snapshot.validation.audit.state,
                status.metrics.gx_audit_coverage,
                snapshot.validation.audit.every_seconds,
                snapshot.validation.audit.next_seconds,
            ),
            exchange=self._exchange,
            silent_seconds=snapshot.silent_seconds,
        )

    def _window(self, snapshot: Snapshot, now_s: float) -> tuple[_Reading, _Reading]:
        latency = next((each for each in snapshot.histograms if each.name == _LATENCY), None)
        now = _Reading(now_s, snapshot.messages_received, _total(snapshot, _STORED) or 0.0, latency)
        # A collector that was started anew counts from nothing.
        if self._readings and self._readings[-1].received > now.received:
            self._readings.clear()
        while self._readings and now_s - self._readings[0].at_s > WINDOW_S:
            self._readings.popleft()
        self._readings.append(now)
        return self._readings[0], now


def _rate(before: _Reading, now: _Reading, count: float) -> float | None:
    seconds = now.at_s - before.at_s
    return round(count / seconds, 1) if seconds > 0 else None


def _latency(before: Histogram | None, after: Histogram | None) -> Latency:
    if before is None or after is None or sum(after.counts) <= sum(before.counts):
        return Latency(None, None)
    seconds = quantiles_between(before, after, (0.50, 0.99))
    return Latency(*(round(each * 1e3, 2) if math.isfinite(each) else None for each in seconds))


def _redis(snapshot: Snapshot, url: str | None) -> StoreState:
    up = None if snapshot.silent_seconds is not None else _total(snapshot, "data_collector_store_up") == 1
    return StoreState("Redis", up, url or "not known yet")


def _postgres(snapshot: Snapshot) -> StoreState:
    history = snapshot.history
    if history.state == "off":
        return StoreState("PostgreSQL", None, "not used: DATABASE_URL is not set")
    up = None if snapshot.silent_seconds is not None else history.state == "running"
    return StoreState("PostgreSQL", up, history.reason or history.database or "")


def _buffers(snapshot: Snapshot) -> list[Buffer]:
    def count(name: str) -> int:
        return int(_total(snapshot, name) or 0)

    if snapshot.silent_seconds is not None:
        return []
    return [
        Buffer("waiting for the store", records=count("data_collector_outlet_records")),
        Buffer("spool on disk", bytes=count("data_collector_spool_bytes")),
        Buffer("waiting for the audit", records=count("data_collector_gx_audit_waiting_rows")),
    ]


def _total(snapshot: Snapshot, name: str) -> float | None:
    """Over all labels; None when it is not told."""
    values = [sample.value for sample in snapshot.samples if sample.name == name]
    return sum(values) if values else None
