"""Every Prometheus metric of the service: declared here, counted elsewhere, written as text by `observe.exposition`.

The collector process sends samples by name (`model.status`); the HTTP process renders them. Names are
`data_collector_<noun>_<unit>_total` for counters; labels take their values from closed sets only, never from a
symbol's number, an error's text or anything else that an outsider can grow (docs/metrics.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from data_collector.model.channels import CHANNELS

Kind = Literal["counter", "gauge", "histogram"]


class Label(Struct, frozen=True):
    """A label and, in words, the closed set of its values."""

    name: str
    values: str


class Metric(Struct, frozen=True):
    """One family: what it counts, and what it is broken down by."""

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()

    def values_of(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """The label values in declared order. Raises `KeyError` when other labels are given than declared."""
        names = [label.name for label in self.labels]
        if set(names) != set(labels):
            raise KeyError(f"{self.name} has the labels {names}, not {sorted(labels)}")
        return tuple(labels[name] for name in names)


CHANNEL = Label("channel", f"a channel: {', '.join(CHANNELS)}")
OLD_TABLE = Label("table", "market_data_ohlcv, market_data_ohlcv_revisions, market_data_trades, market_data_tickers")
SIDE_CHANNEL = Label("channel", "a channel, or quarantine or late")
DROP_CHANNEL = Label("channel", "kline, quarantine, late")
RULE = Label("rule", "an id of the validation rules")
SEVERITY = Label("severity", "warning, info")
HEALTH = Label("status", "healthy, degraded, unhealthy")
GROUP_STATE = Label("state", "at_risk (soon), lost (already)")
GAP_REASON = Label("reason", "lost, refused, absent, skipped")
FILL_SOURCE = Label("source", "ws, rest, spool, built")
BAD_FRAME_REASON = Label("reason", "why a frame was bad, from the codec's own list")
DISCONNECT_REASON = Label("reason", "why a line ended, from the pipeline's own list")
REST_OUTCOME = Label(
    "outcome", "ok, refused, limited, banned, forbidden, unserved, failed, timeout, unreachable, malformed"
)
ROLLOVER_RESULT = Label(
    "result", "overlap (proven by ids), unproven (the repair takes over), failed (the old connection goes on)"
)
CONNECT_FAILURE = Label("reason", "name, connection, timeout, tls, handshake, redirect, answer")
WATCHDOG_KIND = Label("kind", "connection, stream, late")
CONFLICT_OUTCOME = Label("outcome", "right, wrong, unknown")
ERROR_KIND = Label("kind", "first word of the server's error, or connection")
REJECTION = Label("reason", "body, url, headers, timeout, rate, host, origin, token, content_type, viewers")

METRICS: tuple[Metric, ...] = (
    Metric("data_collector_health", "gauge", "1 for the status that /health tells, 0 for the others", (HEALTH,)),
    Metric("data_collector_ready", "gauge", "1 while /health/ready is 200, else 0"),
    Metric("data_collector_running", "gauge", "1 while records are collected; 0 when stopped, or when nothing answers"),
    Metric("data_collector_messages_received_total", "counter", "Total messages received"),
    Metric("data_collector_messages_validated_total", "counter", "Total messages validated"),
    Metric("data_collector_validation_errors_total", "counter", "Total messages that validation refused"),
    Metric("data_collector_messages_in_flight", "gauge", "Messages received and neither validated nor refused yet"),
    Metric("data_collector_last_message_seconds_ago", "gauge", "Seconds since the newest message; absent before one"),
    Metric(
        "data_collector_gx_audit_coverage_ratio",
        "gauge",
        "Share of the validated messages that real Great Expectations has checked too",
    ),
    Metric("data_collector_messages_copies_total", "counter", "Further copies of messages already counted", (CHANNEL,)),
    Metric("data_collector_records_stored_total", "counter", "Records that the store acknowledged", (CHANNEL,)),
    Metric(
        "data_collector_records_unstorable_total",
        "counter",
        "Records dropped because a key of theirs is of another type",
        (SIDE_CHANNEL,),
    ),
    Metric("data_collector_statistics_refused_total", "counter", "24 h statistics by REST that broke a rule"),
    Metric("data_collector_records_known_total", "counter", "Records offered that the store had already", (CHANNEL,)),
    Metric("data_collector_records_refused_total", "counter", "Rules broken by refused records", (CHANNEL, RULE)),
    Metric(
        "data_collector_records_marked_total",
        "counter",
        "Rules broken that refuse nothing: warnings mark the record, infos are counted alone",
        (CHANNEL, RULE, SEVERITY),
    ),
    Metric("data_collector_suites_changed_total", "counter", "Times that other rules came into force"),
    Metric("data_collector_suites_refused", "gauge", "Suites that are offered and cannot be used"),
    Metric("data_collector_gx_audit_up", "gauge", "1 while Great Expectations audits, else 0"),
    Metric("data_collector_gx_audits_total", "counter", "Batches that Great Expectations has checked"),
    Metric("data_collector_gx_audit_busy_seconds_total", "counter", "Time that it spent on them"),
    Metric(
        "data_collector_gx_audit_rows_total", "counter", "Messages that it has checked, refused ones too", (CHANNEL,)
    ),
    Metric("data_collector_gx_audit_skipped_total", "counter", "Messages that it will never check", (CHANNEL,)),
    Metric("data_collector_gx_audit_waiting_rows", "gauge", "Messages that wait for it"),
    Metric("data_collector_gx_audit_waiting_bytes", "gauge", "Memory that they take"),
    Metric("data_collector_gx_audit_lag_seconds", "gauge", "How long the oldest of them has been waiting"),
    Metric("data_collector_gx_audit_worker_starts_total", "counter", "Times that its process was started"),
    Metric("data_collector_gx_audit_memory_bytes", "gauge", "Resident memory of its process"),
    Metric(
        "data_collector_gx_audit_broken_total",
        "counter",
        "Rows that it found to break a rule; batches for a rule about whole batches",
        (CHANNEL, RULE),
    ),
    Metric("data_collector_gx_audit_failures_total", "counter", "Rules that it could not evaluate", (CHANNEL, RULE)),
    Metric(
        "data_collector_gx_compiled_disagreements_total",
        "counter",
        "Rows of which gate and Great Expectations say different things",
        (CHANNEL, RULE),
    ),
    Metric("data_collector_history_up", "gauge", "1 while PostgreSQL takes rows, else 0; absent without DATABASE_URL"),
    Metric("data_collector_history_lag_seconds", "gauge", "Age of the oldest entry that waits for PostgreSQL"),
    Metric(
        "data_collector_history_lag_entries",
        "gauge",
        "About how many entries wait for PostgreSQL: trades by their ids, others by time; absent while not known",
    ),
    Metric("data_collector_history_rows_total", "counter", "Rows added to PostgreSQL", (CHANNEL,)),
    Metric(
        "data_collector_history_rows_deleted_total",
        "counter",
        "Rows of PostgreSQL that were older than their retention and went",
        (OLD_TABLE,),
    ),
    Metric(
        "data_collector_history_deletion_failures_total", "counter", "Deletions that PostgreSQL refused or broke off"
    ),
    Metric(
        "data_collector_history_deletion_completed_timestamp_seconds",
        "gauge",
        "Unix time at which no row was left that is older than its retention; absent before, and without a retention",
    ),
    Metric("data_collector_history_writer_starts_total", "counter", "Times that its writer process was started"),
    Metric(
        "data_collector_records_late_total", "counter", "Records that came after their place had passed", (CHANNEL,)
    ),
    Metric("data_collector_frames_bad_total", "counter", "Frames that could not be decoded", (BAD_FRAME_REASON,)),
    Metric("data_collector_standby_symbols", "gauge", "Symbols that another collector writes while this one stands by"),
    Metric("data_collector_takeovers_total", "counter", "Symbols taken over because nobody wrote them any more"),
    Metric(
        "data_collector_records_former_total",
        "counter",
        "Records of streams that had been unsubscribed a moment before: passed over",
    ),
    Metric("data_collector_events_unknown_total", "counter", "Well-formed events of a type that is not known"),
    Metric(
        "data_collector_updates_conflated_total",
        "counter",
        "Open klines and tickers replaced by newer ones before they were stored",
        (CHANNEL,),
    ),
    Metric("data_collector_gaps_total", "counter", "Ranges declared in gaps:", (CHANNEL, GAP_REASON)),
    Metric(
        "data_collector_klines_closed_total",
        "counter",
        "Closed klines that went to the store, each once",
        (Label("source", "ws, rest, built"),),
    ),
    Metric("data_collector_kline_revisions_total", "counter", "Closed klines that changed after they were stored"),
    Metric(
        "data_collector_candle_checks_total",
        "counter",
        "Closed 1m klines compared with our own trades",
        (Label("result", "ok, mismatch, unchecked"),),
    ),
    Metric("data_collector_gap_records_total", "counter", "Records inside declared ranges", (CHANNEL, GAP_REASON)),
    Metric("data_collector_gaps_open", "gauge", "Gaps that are being repaired"),
    Metric("data_collector_gaps_missing_records", "gauge", "Records of them that have not come yet"),
    Metric("data_collector_gaps_oldest_open_seconds", "gauge", "How long the oldest of them is open; 0 without one"),
    Metric(
        "data_collector_gap_filled_total",
        "counter",
        "Missing records that came after all, by where they came from",
        (CHANNEL, FILL_SOURCE),
    ),
    Metric("data_collector_gap_heal_seconds", "histogram", "Seconds that a gap was open until all of it had come"),
    Metric("data_collector_outlet_records", "gauge", "Records waiting for the store"),
    Metric("data_collector_outlet_records_max", "gauge", "How many of them memory has room for"),
    Metric(
        "data_collector_outlet_oldest_seconds",
        "gauge",
        "How long the oldest trade has been waiting for the store, in memory or in the spool",
    ),
    Metric(
        "data_collector_outlet_dropped_total", "counter", "Records dropped because the outlet was full", (DROP_CHANNEL,)
    ),
    Metric(
        "data_collector_outlet_retained_total",
        "counter",
        "Trades that memory had no room for: the spool has them until the store takes records again",
    ),
    Metric(
        "data_collector_trades_spilled_total",
        "counter",
        "Trades that wait in the spool for those before them, because memory had no room for more",
    ),
    Metric("data_collector_trade_conflicts_total", "counter", "Copies of a trade that differ from the first"),
    Metric(
        "data_collector_trade_conflicts_settled_total",
        "counter",
        "Such trades that the exchange was asked about, by whether it says the same as what is stored",
        (CONFLICT_OUTCOME,),
    ),
    Metric(
        "data_collector_implausible_total",
        "counter",
        "Times that the exchange itself did not know what a stream had brought",
        (RULE,),
    ),
    Metric("data_collector_connections", "gauge", "Open lines to the exchange"),
    Metric(
        "data_collector_connect_failures_total",
        "counter",
        "Attempts to connect to the exchange that failed",
        (CONNECT_FAILURE,),
    ),
    Metric(
        "data_collector_certificate_expires_seconds",
        "gauge",
        "Unix time at which the certificate ends that the exchange's streams showed last; absent without TLS",
    ),
    Metric("data_collector_dns_errors_total", "counter", "Lookups of the exchange's address that failed or took long"),
    Metric("data_collector_disconnects_total", "counter", "Lines that ended", (DISCONNECT_REASON,)),
    Metric(
        "data_collector_rollovers_total",
        "counter",
        "Connections replaced before the exchange would have closed them",
        (ROLLOVER_RESULT,),
    ),
    Metric("data_collector_server_shutdowns_total", "counter", "Announcements that the exchange closes a connection"),
    Metric(
        "data_collector_subscription_drift_total",
        "counter",
        "Streams that the exchange had dropped without a word, and that were subscribed to again",
    ),
    Metric(
        "data_collector_watchdogs_total",
        "counter",
        "Times that silence or lateness was found to be a fault: of a connection, a stream, or a line that came late",
        (WATCHDOG_KIND,),
    ),
    Metric(
        "data_collector_streams_silent", "gauge", "Subscribed streams that have not spoken and are not proven quiet"
    ),
    Metric("data_collector_streams_mute", "gauge", "Streams that do not speak though the exchange trades"),
    Metric("data_collector_streams_quiet", "gauge", "Streams that are silent because nothing is traded"),
    Metric("data_collector_control_messages_total", "counter", "Control messages sent to the exchange"),
    Metric(
        "data_collector_rest_weight_used", "gauge", "Request weight used in the running minute, as the exchange told"
    ),
    Metric("data_collector_rest_requests_total", "counter", "Requests to the exchange's REST side", (REST_OUTCOME,)),
    Metric(
        "data_collector_rest_bad_pages_total", "counter", "REST answers that contradicted the question or themselves"
    ),
    Metric(
        "data_collector_rest_banned_until_seconds",
        "gauge",
        "Unix time until which the exchange wants no requests; past when it is over, absent before the first time",
    ),
    Metric("data_collector_store_up", "gauge", "1 while the store answers, else 0"),
    Metric("data_collector_store_errors_total", "counter", "Errors that the store answered", (ERROR_KIND,)),
    Metric("data_collector_store_reconnects_total", "counter", "Times that the store was connected to again"),
    Metric(
        "data_collector_store_rollbacks_total",
        "counter",
        "Times that the store had lost the newest trades of a symbol that it had acknowledged",
    ),
    Metric("data_collector_store_wipes_total", "counter", "Times that the store had lost all trades of a symbol"),
    Metric(
        "data_collector_consumer_groups_behind",
        "gauge",
        "Consumer groups that trimming takes entries from which they have not done with",
        (GROUP_STATE,),
    ),
    Metric("data_collector_store_flush_seconds", "histogram", "Seconds from sending a batch to its last reply"),
    Metric(
        "data_collector_received_to_stored_seconds",
        "histogram",
        "Seconds from a frame's arrival to its acknowledgement",
    ),
    Metric("data_collector_spool_bytes", "gauge", "Size of the spool's files"),
    Metric("data_collector_spool_bytes_max", "gauge", "How large they may get in all (SPOOL_BYTES_MAX)"),
    Metric(
        "data_collector_spool_disk_free_bytes",
        "gauge",
        "What the disk under the spool has left for us, as its newest write found",
    ),
    Metric("data_collector_spool_full", "gauge", "1 while the disk refuses the spool (full, or failing), else 0"),
    Metric(
        "data_collector_spool_skipped_trades_total",
        "counter",
        "Trades that are kept in memory only, because the disk refused them or was too slow",
    ),
    Metric(
        "data_collector_spool_files_over_limit_total",
        "counter",
        "Spool files deleted before their time because of SPOOL_BYTES_MAX",
    ),
    Metric("data_collector_spool_corrupt_frames_total", "counter", "Damaged ends of spool files, left unread"),
    Metric("data_collector_spool_fsync_errors_total", "counter", "Syncs of the spool that failed"),
    Metric("data_collector_spool_fsync_seconds", "histogram", "Seconds that a sync of the spool took"),
    Metric("data_collector_event_lag_seconds", "gauge", "Receive time of the newest trade minus its event time"),
    Metric(
        "data_collector_traded_to_received_seconds",
        "histogram",
        "Seconds from a trade to its arrival, by the clocks of both; of one trade of each batch",
    ),
    Metric("data_collector_clock_offset_seconds", "gauge", "The exchange's clock minus ours"),
    Metric("data_collector_resident_memory_bytes", "gauge", "Resident memory of the collector process"),
    Metric(
        "data_collector_file_descriptors_free",
        "gauge",
        "Files and sockets that the collector process may still open; absent without a limit",
    ),
    Metric("data_collector_loop_lag_seconds", "histogram", "Seconds that the event loop's heartbeat was late"),
    Metric("data_collector_process_cpu_seconds_total", "counter", "CPU time of the collector process"),
    Metric("data_collector_start_time_seconds", "gauge", "When the collector process started, as Unix time"),
    Metric("data_collector_live_viewers", "gauge", "Viewers that look on at /live now"),
    Metric("data_collector_api_rejected_total", "counter", "HTTP requests refused at the door", (REJECTION,)),
)
