"""What is told of a collector that does not answer: its last word is no state of now, and ages go on."""

from __future__ import annotations

from typing import Final

from msgspec import structs

from data_collector.model.status import AuditStatus, GapsStatus, HistoryStatus, Sample, Snapshot
from data_collector.observe.metrics import METRICS

_GAUGES: Final = frozenset(metric.name for metric in METRICS if metric.kind == "gauge")
_AGES: Final = frozenset((
    "data_collector_history_lag_seconds", "data_collector_gx_audit_lag_seconds",
    "data_collector_gaps_oldest_open_seconds", "data_collector_outlet_oldest_seconds",
))  # fmt: skip
_LASTING: Final = (
    "_timestamp_seconds", "_time_seconds", "_until_seconds", "_expires_seconds", "_every_seconds", "_max", "_ratio",
)  # fmt: skip
"""How gauges end that nothing changes while nobody tells them: moments, limits, shares of what was counted."""


def unanswered(last: Snapshot, fault: str | None, silent_s: float) -> Snapshot:
    """The last word, so old, of a collector that does not answer for the reason `fault`; None: it has not begun."""
    reasons = last.reasons if fault is None else [fault]
    ago = last.last_message_seconds_ago
    connections = [
        structs.replace(line, last_message_seconds_ago=_older(line.last_message_seconds_ago, silent_s))
        for line in last.connections
    ]
    audit = _audit(last.validation.audit, fault, silent_s)
    return structs.replace(
        last, condition="unhealthy", ready=False, collector_running=False, reasons=reasons, silent_seconds=silent_s,
        last_message_seconds_ago=_older(ago, silent_s), connections=connections,
        samples=[aged for sample in last.samples if (aged := _aged(sample, silent_s)) is not None],
        history=_history(last.history, fault, silent_s), gaps=_gaps(last.gaps, silent_s),
        validation=structs.replace(last.validation, audit=audit),
    )  # fmt: skip


def _older(age_s: float | None, silent_s: float) -> float | None:
    return None if age_s is None else round(age_s + silent_s, 3)


def _aged(sample: Sample, silent_s: float) -> Sample | None:
    """Counters stay what was counted; what is unknown now is left out."""
    if sample.name in _AGES:
        return structs.replace(sample, value=round(sample.value + silent_s, 3))
    return sample if sample.name not in _GAUGES or sample.name.endswith(_LASTING) else None


def _history(last: HistoryStatus, fault: str | None, silent_s: float) -> HistoryStatus:
    if last.state == "off":
        return last
    reason = last.reason if last.state == "down" else fault
    return structs.replace(last, state="down", reason=reason, lag_seconds=round(last.lag_seconds + silent_s, 3))


def _gaps(last: GapsStatus, silent_s: float) -> GapsStatus:
    return structs.replace(last, oldest_open_s=last.oldest_open_s + silent_s) if last.open_count else last


def _audit(last: AuditStatus, fault: str | None, silent_s: float) -> AuditStatus:
    if last.state != "running":
        return last
    oldest_s = last.oldest_seconds + silent_s if last.waiting else last.oldest_seconds
    return structs.replace(last, state="down", reason=fault, oldest_seconds=oldest_s, next_seconds=None)
