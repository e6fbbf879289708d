"""Every Prometheus metric of the service: declared here, counted elsewhere, written as text by `observe.exposition`.

A name, its help and its labels are declared together, as a type: mypy knows every name where something is counted.

The collector process sends samples by name (`model.status`); the HTTP process renders them. Names are
`data_collector_<noun>_<unit>_total` for counters; labels take their values from closed sets only, never from a
symbol's number, an error's text or anything else that an outsider can grow (docs/metrics.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias, Union, get_args

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


def declared(counter: object, gauge: object, histogram: object = None) -> tuple[Metric, ...]:
    """The families of unions of names, each name an `Annotated[Literal[NAME], HELP, *LABELS]`."""
    kinds: tuple[tuple[Kind, object], ...] = (("counter", counter), ("gauge", gauge), ("histogram", histogram))
    families = []
    for kind, names in kinds:
        for name, text, *labels in map(get_args, get_args(names)):
            families.append(Metric(get_args(name)[0], kind, text, tuple(labels)))
    return tuple(families)


CHANNEL = Label("channel", f"a channel: {', '.join(CHANNELS)}")
OLD_TABLE = Label("table", "market_data_ohlcv, market_data_ohlcv_revisions, market_data_trades, market_data_tickers")
SIDE_CHANNEL = Label("channel", "a channel, or quarantine or late")
DROP_CHANNEL = Label("channel", "kline, quarantine, late")
RULE = Label("rule", "an id of the validation rules")
SEVERITY = Label("severity", "warning, info")
EXCHANGE = Label("exchange", "its name")
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
CONNECT_FAILURE = Label("reason", "name, proxy, connection, timeout, tls, handshake, redirect, answer")
WATCHDOG_KIND = Label("kind", "connection, stream, late")
CONFLICT_OUTCOME = Label("outcome", "right, wrong, unknown")
ERROR_KIND = Label("kind", "first word of the server's error, or connection")
MEMORY_OUTCOME = Label("outcome", "answered, wrong (422), conflict (409), later (503), failed (503)")
ALERT_OUTCOME = Label("outcome", "sent, failed (it is tried again), held (by ALERT_HOURLY_MAX)")
ALERT_SEVERITY = Label("severity", "critical, warning")
REJECTION = Label(
    "reason", "body, url, headers, timeout, rate, host, origin, token, content_type, viewers, connections"
)

CounterName: TypeAlias = Union[  # noqa: UP007 - as many are slow to join one by one
    Annotated[Literal["data_collector_epochs_begun_total"], "Times that trade ids of a symbol began anew"],
    Annotated[Literal["data_collector_messages_received_total"], "Total messages received"],
    Annotated[Literal["data_collector_messages_validated_total"], "Total messages validated"],
    Annotated[Literal["data_collector_validation_errors_total"], "Total messages that validation refused"],
    Annotated[Literal["data_collector_exchange_messages_received_total"], "Messages received, by exchange", EXCHANGE],
    Annotated[Literal["data_collector_exchange_messages_validated_total"], "Messages validated, by exchange", EXCHANGE],
    Annotated[Literal["data_collector_exchange_validation_errors_total"], "Messages refused, by exchange", EXCHANGE],
    Annotated[Literal["data_collector_messages_copies_total"], "Further copies of messages already counted", CHANNEL],
    Annotated[Literal["data_collector_records_stored_total"], "Records that the store acknowledged", CHANNEL],
    Annotated[
        Literal["data_collector_records_unstorable_total"],
        "Records dropped because somebody else uses a key of theirs, or wrote into it; trades are not, they wait",
        SIDE_CHANNEL,
    ],
    Annotated[Literal["data_collector_statistics_refused_total"], "24 h statistics by REST that broke a rule"],
    Annotated[Literal["data_collector_records_known_total"], "Records offered that the store had already", CHANNEL],
    Annotated[Literal["data_collector_records_refused_total"], "Rules broken by refused records", CHANNEL, RULE],
    Annotated[
        Literal["data_collector_records_marked_total"],
        "Rules broken that refuse nothing: warnings mark the record, infos are counted alone",
        CHANNEL,
        RULE,
        SEVERITY,
    ],
    Annotated[Literal["data_collector_suites_changed_total"], "Times that other rules came into force"],
    Annotated[Literal["data_collector_gx_audits_total"], "Batches that Great Expectations has checked"],
    Annotated[Literal["data_collector_gx_audit_busy_seconds_total"], "Time that it spent on them"],
    Annotated[Literal["data_collector_gx_audit_rows_total"], "Messages that it has checked, refused ones too", CHANNEL],
    Annotated[Literal["data_collector_gx_audit_skipped_total"], "Messages that it will never check", CHANNEL],
    Annotated[
        Literal["data_collector_gx_audit_pairs_total"],
        "Pairs of a rule in force and a message that it is about, in the batches that were checked",
        CHANNEL,
    ],
    Annotated[
        Literal["data_collector_gx_audit_evaluated_total"],
        "Those of them that Great Expectations reports as evaluated: as many, unless a rule cannot be evaluated",
        CHANNEL,
    ],
    Annotated[
        Literal["data_collector_gx_audit_worker_starts_total"],
        "Times that its process was started, which all exchanges share",
    ],
    Annotated[
        Literal["data_collector_gx_audit_broken_total"],
        "Rows that it found to break a rule; batches for a rule about whole batches",
        CHANNEL,
        RULE,
    ],
    Annotated[Literal["data_collector_gx_audit_failures_total"], "Rules that it could not evaluate", CHANNEL, RULE],
    Annotated[
        Literal["data_collector_gx_compiled_disagreements_total"],
        "Rows of which gate and Great Expectations say different things",
        CHANNEL,
        RULE,
    ],
    Annotated[Literal["data_collector_history_rows_total"], "Rows added to PostgreSQL", CHANNEL],
    Annotated[
        Literal["data_collector_history_rows_deleted_total"],
        "Rows of PostgreSQL that were older than their retention and went",
        OLD_TABLE,
    ],
    Annotated[
        Literal["data_collector_history_deletion_failures_total"], "Deletions that PostgreSQL refused or broke off"
    ],
    Annotated[
        Literal["data_collector_history_entries_unreadable_total"],
        "Entries of the store that are no records of ours and were left out",
    ],
    Annotated[Literal["data_collector_history_writer_starts_total"], "Times that its writer process was started"],
    Annotated[Literal["data_collector_records_late_total"], "Records that came after their place had passed", CHANNEL],
    Annotated[Literal["data_collector_frames_bad_total"], "Frames that could not be decoded", BAD_FRAME_REASON],
    Annotated[Literal["data_collector_takeovers_total"], "Symbols taken over because nobody wrote them any more"],
    Annotated[
        Literal["data_collector_records_former_total"],
        "Records of streams that had been unsubscribed a moment before: passed over",
    ],
    Annotated[Literal["data_collector_events_unknown_total"], "Well-formed events of a type that is not known"],
    Annotated[
        Literal["data_collector_updates_conflated_total"],
        "Open klines, and records of which the newest counts, replaced by newer ones before they were stored",
        CHANNEL,
    ],
    Annotated[Literal["data_collector_gaps_total"], "Ranges declared in gaps:", CHANNEL, GAP_REASON],
    Annotated[
        Literal["data_collector_klines_closed_total"],
        "Closed klines that went to the store, each once",
        Label("source", "ws, rest, built"),
    ],
    Annotated[Literal["data_collector_kline_revisions_total"], "Closed klines that changed after they were stored"],
    Annotated[
        Literal["data_collector_candle_checks_total"],
        "Closed 1m klines compared with our own trades, built ones with REST's",
        Label("result", "ok, mismatch, unchecked"),
    ],
    Annotated[Literal["data_collector_gap_records_total"], "Records inside declared ranges", CHANNEL, GAP_REASON],
    Annotated[
        Literal["data_collector_gap_filled_total"],
        "Missing records that came after all, by where they came from",
        CHANNEL,
        FILL_SOURCE,
    ],
    Annotated[
        Literal["data_collector_outlet_dropped_total"], "Records dropped because the outlet was full", DROP_CHANNEL
    ],
    Annotated[
        Literal["data_collector_outlet_retained_total"],
        "Trades that memory had no room for: the spool has them until the store takes records again",
    ],
    Annotated[
        Literal["data_collector_trades_spilled_total"],
        "Trades that wait in the spool for those before them, because memory had no room for more",
    ],
    Annotated[Literal["data_collector_trade_conflicts_total"], "Copies of a trade that differ from the first"],
    Annotated[
        Literal["data_collector_trade_conflicts_settled_total"],
        "Such trades that the exchange was asked about, by whether it says the same as what is stored",
        CONFLICT_OUTCOME,
    ],
    Annotated[
        Literal["data_collector_implausible_total"],
        "Times that the exchange itself did not know what a stream had brought",
        RULE,
    ],
    Annotated[
        Literal["data_collector_connect_failures_total"],
        "Attempts to connect to the exchange that failed",
        CONNECT_FAILURE,
    ],
    Annotated[Literal["data_collector_dns_errors_total"], "Lookups of the exchange's address that failed or took long"],
    Annotated[Literal["data_collector_disconnects_total"], "Lines that ended", DISCONNECT_REASON],
    Annotated[
        Literal["data_collector_rollovers_total"],
        "Connections replaced before the exchange would have closed them",
        ROLLOVER_RESULT,
    ],
    Annotated[Literal["data_collector_server_shutdowns_total"], "Announcements that the exchange closes a connection"],
    Annotated[
        Literal["data_collector_subscription_drift_total"],
        "Streams that the exchange had dropped without a word, and that were subscribed to again",
    ],
    Annotated[
        Literal["data_collector_watchdogs_total"],
        "Times that silence or lateness was found to be a fault: of a connection, a stream, or a line that came late",
        WATCHDOG_KIND,
    ],
    Annotated[Literal["data_collector_control_messages_total"], "Control messages sent to the exchange"],
    Annotated[Literal["data_collector_rest_requests_total"], "Requests to the exchange's REST side", REST_OUTCOME],
    Annotated[
        Literal["data_collector_rest_bad_pages_total"], "REST answers that contradicted the question or themselves"
    ],
    Annotated[Literal["data_collector_store_errors_total"], "Errors that the store answered", ERROR_KIND],
    Annotated[Literal["data_collector_store_reconnects_total"], "Times that the store was connected to again"],
    Annotated[
        Literal["data_collector_store_rollbacks_total"],
        "Times that the store had lost the newest trades of a symbol that it had acknowledged",
    ],
    Annotated[Literal["data_collector_store_wipes_total"], "Times that the store had lost all trades of a symbol"],
    Annotated[
        Literal["data_collector_spool_skipped_trades_total"],
        "Trades that are kept in memory only, because the disk refused them or was too slow",
    ],
    Annotated[Literal["data_collector_spool_files_over_limit_total"], "Spool files deleted early (SPOOL_BYTES_MAX)"],
    Annotated[
        Literal["data_collector_spool_corrupt_frames_total"],
        "Damaged ends of spool files, left unread, and files set aside (`*.broken`) that are larger than any of ours",
    ],
    Annotated[Literal["data_collector_spool_fsync_errors_total"], "Syncs of the spool that failed"],
    Annotated[Literal["data_collector_recording_left_out_total"], "Lines of the recording that the disk did not take"],
    Annotated[Literal["data_collector_recording_files_deleted_total"], "Its files deleted because of RECORD_BYTES_MAX"],
    Annotated[Literal["data_collector_process_cpu_seconds_total"], "CPU time of the collector process"],
    Annotated[
        Literal["data_collector_output_lines_dropped_total"],
        "Lines of the collector's log that were left out, because who reads it was stuck or gone",
    ],
    Annotated[Literal["data_collector_api_output_lines_dropped_total"], "Lines of the HTTP process's log left out"],
    Annotated[Literal["data_collector_api_rejected_total"], "HTTP requests refused at the door", REJECTION],
    Annotated[Literal["data_collector_memory_starts_total"], "Times that the process of Market Memory was started"],
    Annotated[Literal["data_collector_memory_questions_total"], "Questions to Market Memory", MEMORY_OUTCOME],
    Annotated[
        Literal["data_collector_alert_messages_total"], "Messages about alerts, each receiver's own", ALERT_OUTCOME
    ],
]

GaugeName: TypeAlias = Union[  # noqa: UP007 - as many are slow to join one by one
    Annotated[
        Literal["data_collector_epochs_awaited"],
        "Symbols whose trade ids seem to begin anew and of which nothing is stored until that is decided",
    ],
    Annotated[Literal["data_collector_health"], "1 for the status that /health tells, 0 for the others", HEALTH],
    Annotated[Literal["data_collector_exchange_info"], "1 for the exchange that is collected", EXCHANGE],
    Annotated[Literal["data_collector_ready"], "1 while /health/ready is 200, else 0"],
    Annotated[
        Literal["data_collector_running"], "1 while records are collected; 0 when stopped, or when nothing answers"
    ],
    Annotated[Literal["data_collector_messages_in_flight"], "Messages received and neither validated nor refused yet"],
    Annotated[
        Literal["data_collector_last_message_seconds_ago"], "Seconds since the newest message; absent before one"
    ],
    Annotated[
        Literal["data_collector_gx_audit_coverage_ratio"],
        "Share of the validated messages that real Great Expectations has checked too",
    ],
    Annotated[Literal["data_collector_suites_refused"], "Suites that are offered and cannot be used"],
    Annotated[Literal["data_collector_gx_audit_up"], "1 while Great Expectations audits, else 0"],
    Annotated[Literal["data_collector_gx_audit_waiting_rows"], "Messages that wait for it"],
    Annotated[Literal["data_collector_gx_audit_waiting_bytes"], "Memory that they take"],
    Annotated[Literal["data_collector_gx_audit_lag_seconds"], "How long the oldest of them has been waiting"],
    Annotated[
        Literal["data_collector_gx_audit_every_seconds"], "How long a message waits at most for it: `GX_AUDIT_SECONDS`"
    ],
    Annotated[
        Literal["data_collector_gx_audit_memory_bytes"], "Resident memory of its process, which all exchanges share"
    ],
    Annotated[
        Literal["data_collector_history_up"], "1 while PostgreSQL takes rows, else 0; absent without DATABASE_URL"
    ],
    Annotated[Literal["data_collector_history_lag_seconds"], "Age of the oldest entry that waits for PostgreSQL"],
    Annotated[Literal["data_collector_history_refused_symbols"], "Symbols whose rows PostgreSQL refuses as they are"],
    Annotated[
        Literal["data_collector_history_lag_entries"],
        "About how many entries wait for PostgreSQL: trades by their ids, others by time; absent while not known",
    ],
    Annotated[
        Literal["data_collector_history_deletion_completed_timestamp_seconds"],
        "Unix time at which no row was left that is older than its retention; absent before, and without a retention",
    ],
    Annotated[
        Literal["data_collector_standby_symbols"], "Symbols that another collector writes while this one stands by"
    ],
    Annotated[Literal["data_collector_gaps_open"], "Gaps that are being repaired"],
    Annotated[Literal["data_collector_gaps_missing_records"], "Records of them that have not come yet"],
    Annotated[Literal["data_collector_gaps_oldest_open_seconds"], "How long the oldest of them is open; 0 without one"],
    Annotated[Literal["data_collector_outlet_records"], "Records waiting for the store"],
    Annotated[Literal["data_collector_outlet_records_max"], "How many of them memory has room for"],
    Annotated[
        Literal["data_collector_outlet_oldest_seconds"],
        "How long the oldest trade has been waiting for the store, in memory or in the spool",
    ],
    Annotated[Literal["data_collector_connections"], "Open lines to the exchange"],
    Annotated[
        Literal["data_collector_certificate_expires_seconds"],
        "Unix time at which the certificate ends that the exchange's streams showed last; absent without TLS",
    ],
    Annotated[
        Literal["data_collector_streams_silent"], "Subscribed streams that have not spoken and are not proven quiet"
    ],
    Annotated[Literal["data_collector_streams_mute"], "Streams that do not speak though the exchange trades"],
    Annotated[Literal["data_collector_streams_quiet"], "Streams that are silent because nothing is traded"],
    Annotated[Literal["data_collector_streams_refused"], "Streams that the exchange refuses, and that are left out"],
    Annotated[
        Literal["data_collector_rest_weight_used"], "Request weight used in the running minute, as the exchange told"
    ],
    Annotated[
        Literal["data_collector_rest_banned_until_seconds"],
        "Unix time until which the exchange wants no requests; past when it is over, absent before the first time",
    ],
    Annotated[Literal["data_collector_store_up"], "1 while the store answers, else 0"],
    Annotated[
        Literal["data_collector_consumer_groups_behind"],
        "Consumer groups that trimming takes entries from which they have not done with",
        GROUP_STATE,
    ],
    Annotated[Literal["data_collector_recording_bytes"], "Size of the recording's files"],
    Annotated[Literal["data_collector_recording_down"], "1 while the disk takes nothing of the recording, else 0"],
    Annotated[Literal["data_collector_spool_bytes"], "Size of the spool's files"],
    Annotated[Literal["data_collector_spool_bytes_max"], "How large they may get in all (SPOOL_BYTES_MAX)"],
    Annotated[
        Literal["data_collector_spool_disk_free_bytes"],
        "What the disk under the spool has left for us, as its newest write found",
    ],
    Annotated[Literal["data_collector_spool_full"], "1 while the disk refuses the spool (full, or failing), else 0"],
    Annotated[Literal["data_collector_event_lag_seconds"], "Receive time of the newest trade minus its event time"],
    Annotated[Literal["data_collector_clock_offset_seconds"], "The exchange's clock minus ours"],
    Annotated[
        Literal["data_collector_clock_disagreement_seconds"],
        "The clock of the exchange's REST side minus that of its messages, when it was told last",
    ],
    Annotated[Literal["data_collector_resident_memory_bytes"], "Resident memory of the collector process"],
    Annotated[
        Literal["data_collector_file_descriptors_free"],
        "Files and sockets that the collector process may still open; absent without a limit",
    ],
    Annotated[Literal["data_collector_start_time_seconds"], "When the collector process started, as Unix time"],
    Annotated[
        Literal["data_collector_live_viewers"],
        "Viewers that look on at /live now; of several exchanges, one who looks at all counts at each",
    ],
    Annotated[Literal["data_collector_memory_up"], "1 while Market Memory can be asked; absent where it is off"],
    Annotated[Literal["data_collector_memory_candles"], "Candles that Market Memory can be asked about"],
    Annotated[Literal["data_collector_memory_resident_bytes"], "Memory of the process of Market Memory"],
    Annotated[Literal["data_collector_alerts_firing"], "Alerts that have begun and not ended", ALERT_SEVERITY],
]

HistogramName: TypeAlias = Union[  # noqa: UP007 - as many are slow to join one by one
    Annotated[Literal["data_collector_gap_heal_seconds"], "Seconds that a gap was open until all of it had come"],
    Annotated[Literal["data_collector_store_flush_seconds"], "Seconds from sending a batch to its last reply"],
    Annotated[
        Literal["data_collector_received_to_stored_seconds"], "Seconds from a frame's arrival to its acknowledgement"
    ],
    Annotated[Literal["data_collector_spool_fsync_seconds"], "Seconds that a sync of the spool took"],
    Annotated[
        Literal["data_collector_traded_to_received_seconds"],
        "Seconds from a trade to its arrival, by the clocks of both; of one trade of each batch",
    ],
    Annotated[Literal["data_collector_loop_lag_seconds"], "Seconds that the event loop's heartbeat was late"],
]

METRICS = declared(counter=CounterName, gauge=GaugeName, histogram=HistogramName)
