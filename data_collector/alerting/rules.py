"""The alerts: what each asks of the metrics, for how long that must hold, and what it tells.

Everything that is said of them follows from here: the files of rules for Prometheus (`make alerts` writes them) and
what the service itself evaluates. What to do about each stands in its section of docs/operations.md.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Severity = Literal["critical", "warning"]

RUNBOOK: Final = "docs/operations.md"


class Alert(Struct, frozen=True):
    """One alert. `expr` is PromQL; it holds for each set of labels that it has a value for."""

    name: str
    severity: Severity
    expr: str
    summary: str
    """`{who}` is the collector, `{value}` what `expr` found (also as `{value:duration}`, `{value:bytes}`,
    `{value:percentage}`), `{instance}`, `{channel}` and `{state}` are labels."""
    for_s: int = 0
    """How long it must hold without a break."""
    note: str = ""
    """Why it asks what it asks."""

    @property
    def anchor(self) -> str:
        """The section of the runbook."""
        return self.name.lower()


class Group(Struct, frozen=True):
    """What lies in one file of rules."""

    name: str
    about: str
    alerts: tuple[Alert, ...]


_COLLECTOR = (
    Alert(
        "CollectorDown",
        "critical",
        for_s=60,
        expr='up{job="data-collector"} == 0',
        summary="{instance} does not answer the scrape",
    ),
    Alert(
        "CollectorUnhealthy",
        "critical",
        for_s=60,
        expr='data_collector_health{status="unhealthy"} == 1',
        summary="The collector at {who} is unhealthy: nothing is collected, or nothing can be kept",
    ),
    Alert(
        "CollectorStopped",
        "warning",
        for_s=900,
        expr=(
            "data_collector_running == 0 "
            'unless on (job, instance, exchange) data_collector_health{status="unhealthy"} == 1'
        ),
        summary="Somebody has stopped collecting at {who}",
    ),
    Alert(
        "CollectorRestarting",
        "warning",
        expr="changes(data_collector_start_time_seconds[30m]) >= 3",
        summary="The collector at {who} was started {value} times in half an hour",
    ),
    Alert(
        "CollectorMemoryHigh",
        "warning",
        for_s=900,
        note="The most that was measured, in hours of outages at 5,500 trades/s, is 236 MiB (docs/soak.md).",
        expr="data_collector_resident_memory_bytes > 512 * 1024 * 1024",
        summary="The collector at {who} holds {value:bytes} of memory",
    ),
    Alert(
        "CollectorDescriptorsShort",
        "warning",
        for_s=300,
        expr="data_collector_file_descriptors_free < 100",
        summary="The collector at {who} may open {value} more files and sockets",
    ),
    Alert(
        "CollectorLoopLate",
        "warning",
        for_s=300,
        expr=("rate(data_collector_loop_lag_seconds_sum[5m]) / rate(data_collector_loop_lag_seconds_count[5m]) > 0.1"),
        summary="The event loop at {who} is {value:duration} late on average",
    ),
)

_FEED = (
    Alert(
        "CollectorFeedMute",
        "critical",
        for_s=60,
        expr=(
            "(data_collector_last_message_seconds_ago > 60 "
            "or data_collector_connections == 0) "
            "and on (job, instance, exchange) data_collector_running == 1"
        ),
        summary="{who} has heard nothing of the exchange for a minute",
    ),
    Alert(
        "CollectorStreamSilent",
        "warning",
        for_s=300,
        expr="data_collector_streams_silent > 0",
        summary="{value} streams of {who} have not spoken",
    ),
    Alert(
        "CollectorStreamMute",
        "warning",
        for_s=300,
        expr="data_collector_streams_mute > 0",
        summary="{value} streams of {who} are mute though the exchange trades",
    ),
    Alert(
        "CollectorStreamRefused",
        "warning",
        for_s=300,
        expr="data_collector_streams_refused > 0",
        summary="{value} streams of {who} are refused by the exchange",
    ),
    Alert(
        "CollectorFeedLate",
        "warning",
        for_s=300,
        note="By the exchange's clock, so that a clock of ours that is wrong is told by its own alert alone.",
        expr="data_collector_event_lag_seconds + data_collector_clock_offset_seconds > 5",
        summary="Trades reach {who} {value:duration} late",
    ),
    Alert(
        "CollectorClockOffset",
        "warning",
        for_s=900,
        expr="abs(data_collector_clock_offset_seconds) > 2",
        summary="The clock of {who} and the exchange's are {value:duration} apart",
    ),
    Alert(
        "CollectorRestBanned",
        "warning",
        for_s=120,
        expr="data_collector_rest_banned_until_seconds > time()",
        summary="The exchange answers no REST requests of {who}",
    ),
    Alert(
        "CollectorCertificateExpires",
        "warning",
        for_s=3600,
        expr="data_collector_certificate_expires_seconds - time() < 7 * 86400",
        summary="The exchange's certificate that {who} saw ends in {value:duration}",
    ),
    Alert(
        "CollectorEpochBegun",
        "warning",
        expr="increase(data_collector_epochs_begun_total[1h]) > 0",
        summary="Trade ids that {who} collects began anew",
    ),
    Alert(
        "CollectorEpochAwaited",
        "critical",
        for_s=60,
        expr="data_collector_epochs_awaited > 0",
        summary="{value} symbols of {who} come with new trade ids and are not stored",
    ),
)

_COMPLETENESS = (
    Alert(
        "CollectorGapNotHealed",
        "critical",
        for_s=60,
        expr="data_collector_gaps_oldest_open_seconds > 120",
        summary="{who} has been repairing a gap for {value:duration}",
    ),
    Alert(
        "CollectorRecordsLost",
        "critical",
        note="What is lost before the first scrape is no increase.",
        expr="""sum by (job, instance, exchange, channel) (
  increase(data_collector_gap_records_total{reason="lost"}[15m]) > 0
  or data_collector_gap_records_total{reason="lost"} > 0
  and on (job, instance, exchange) time() - data_collector_start_time_seconds < 900
)""",
        summary="{who} has lost {channel} records that existed",
    ),
    Alert(
        "CollectorTradeConflicts",
        "warning",
        expr="increase(data_collector_trade_conflicts_total[15m]) > 0",
        summary="The exchange has sent {who} two contents for one trade id",
    ),
)

_STORE = (
    Alert(
        "CollectorStoreDown",
        "critical",
        for_s=60,
        expr="data_collector_store_up == 0",
        summary="The store of {who} takes nothing",
    ),
    Alert(
        "CollectorStoreLostRecords",
        "warning",
        expr=(
            "increase(data_collector_store_rollbacks_total[15m]) + increase(data_collector_store_wipes_total[15m]) > 0"
        ),
        summary="The store of {who} had lost what it acknowledged; it is written again",
    ),
    Alert(
        "CollectorBufferFilling",
        "warning",
        for_s=60,
        expr=(
            "data_collector_outlet_records / data_collector_outlet_records_max > 0.5 "
            "or data_collector_outlet_oldest_seconds > 60"
        ),
        summary="Records wait for the store of {who}",
    ),
    Alert(
        "CollectorRecordsDropped",
        "warning",
        expr=("sum by (job, instance, exchange, channel) (increase(data_collector_outlet_dropped_total[15m])) > 0"),
        summary="{who} has dropped {channel} records that it had no room for",
    ),
    Alert(
        "CollectorConsumerGroupBehind",
        "warning",
        for_s=60,
        expr="data_collector_consumer_groups_behind > 0",
        summary="{value} consumer groups on the store of {who} lose entries to trimming ({state})",
    ),
    Alert(
        "CollectorSpoolFilling",
        "warning",
        for_s=300,
        expr="data_collector_spool_bytes / data_collector_spool_bytes_max > 0.8",
        summary="The spool of {who} has {value:percentage} of its size",
    ),
    Alert(
        "CollectorSpoolRefused",
        "critical",
        for_s=60,
        expr="data_collector_spool_full == 1",
        summary="The disk of {who} takes no more of the spool",
    ),
    Alert(
        "CollectorDiskFilling",
        "warning",
        for_s=900,
        expr="""data_collector_spool_disk_free_bytes < 2e9
or data_collector_spool_disk_free_bytes < 20e9
and predict_linear(data_collector_spool_disk_free_bytes[6h], 86400) < 0""",
        summary="The disk under the spool of {who} has {value:bytes} left, or soon nothing",
    ),
)

_HISTORY = (
    Alert(
        "CollectorHistoryDown",
        "warning",
        for_s=300,
        expr="data_collector_history_up == 0",
        summary="PostgreSQL takes no rows of {who}",
    ),
    Alert(
        "CollectorHistoryLagging",
        "warning",
        for_s=300,
        expr="data_collector_history_lag_seconds > 300",
        summary="PostgreSQL is {value:duration} behind the store of {who}",
    ),
    Alert(
        "CollectorHistoryRefused",
        "warning",
        for_s=300,
        expr="data_collector_history_refused_symbols > 0",
        summary="PostgreSQL refuses the rows of {value} symbols of {who}",
    ),
)

_VALIDATION = (
    Alert(
        "CollectorValidationFailing",
        "warning",
        for_s=300,
        note="Of several exchanges each by itself: what one is refused must not be lost in what others bring.",
        expr="""rate(data_collector_exchange_validation_errors_total[5m])
/ (
  rate(data_collector_exchange_messages_validated_total[5m])
  + rate(data_collector_exchange_validation_errors_total[5m])
) > 0.01
or rate(data_collector_validation_errors_total[5m])
/ (rate(data_collector_messages_validated_total[5m]) + rate(data_collector_validation_errors_total[5m])) > 0.01
unless on (job, instance) data_collector_exchange_messages_validated_total""",
        summary="Validation refuses {value:percentage} of what reaches {who}",
    ),
    Alert(
        "CollectorDisagreements",
        "warning",
        note="A series that begins with its first count has no increase.",
        expr="""sum by (job, instance, exchange) (increase(data_collector_gx_compiled_disagreements_total[1h])) > 0
or sum by (job, instance, exchange) (
  data_collector_gx_compiled_disagreements_total unless data_collector_gx_compiled_disagreements_total offset 1h
) > 0""",
        summary="Gate and Great Expectations of {who} say different things of a record",
    ),
    Alert(
        "CollectorAuditBehind",
        "warning",
        for_s=300,
        note=(
            "What waits for the next audit is not behind: how long that may be is GX_AUDIT_SECONDS, which the collector"
            " tells."
        ),
        expr=(
            "data_collector_gx_audit_lag_seconds > data_collector_gx_audit_every_seconds + 120 "
            "or sum by (job, instance, exchange) (increase(data_collector_gx_audit_skipped_total[15m])) > 0"
        ),
        summary="Great Expectations does not keep up with {who}, or does not run",
    ),
    Alert(
        "CollectorSuiteRefused",
        "warning",
        for_s=300,
        expr="data_collector_suites_refused > 0 or data_validation_suite_faults > 0",
        summary="{value} suites offered to {who} are wrong and not in force",
    ),
    Alert(
        "ValidationServiceDown",
        "warning",
        for_s=300,
        expr='up{job="data-validation"} == 0 or data_validation_worker_up == 0',
        summary="The validation service at {instance}, or its worker, does not answer",
    ),
)

GROUPS: Final = (
    Group("collector", "The collector as a process.", _COLLECTOR),
    Group("feed", "What comes from the exchange.", _FEED),
    Group("completeness", "What is missing.", _COMPLETENESS),
    Group("store", "The store, and what waits for it.", _STORE),
    Group("history", "PostgreSQL; absent without DATABASE_URL.", _HISTORY),
    Group("validation", "The rules, the audit, the service that keeps them.", _VALIDATION),
)

ALERTS: Final = tuple(alert for group in GROUPS for alert in group.alerts)
