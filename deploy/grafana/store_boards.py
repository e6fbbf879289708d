"""The dashboards of what becomes of it: validation, stores and buffers, process.

Every query is proven against the running demo (tests/deploy/test_grafana.py).
"""

from __future__ import annotations

from typing import Final

from deploy.grafana.panels import UP_DOWN, Dashboard, Panel, Query, figure, quantiles, rate

VALIDATION: Final = Dashboard(
    "validation",
    "validation",
    (
        Panel(
            "Refused",
            (
                Query(
                    "rate(data_collector_validation_errors_total[$__rate_interval])"
                    " / (rate(data_collector_messages_validated_total[$__rate_interval])"
                    " + rate(data_collector_validation_errors_total[$__rate_interval]))",
                ),
            ),
            "Share of the messages.", unit="percentunit",
        ),
        Panel(
            "Refused, by rule",
            (
                Query(
                    "sum by (channel, rule) (increase(data_collector_records_refused_total[$__rate_interval]))",
                    "{{channel}}: {{rule}}",
                ),
            ),
            "Records are in quarantine:, with the values that broke the rule.",
        ),
        Panel(
            "Disagreements and rules that cannot be evaluated",
            (
                # Neither has a series before it happens, and both must stay at nothing.
                Query("sum(data_collector_gx_compiled_disagreements_total) or vector(0)", "disagreements"),
                Query("sum(data_collector_gx_audit_failures_total) or vector(0)", "cannot be evaluated"),
            ),
            "A disagreement between the gate and Great Expectations is a bug of ours.",
        ),
        Panel(
            "Audit coverage", (Query("data_collector_gx_audit_coverage_ratio"),),
            "Share of the validated messages that real Great Expectations has checked too.", unit="percentunit",
        ),
        Panel(
            "Audit lag",
            (
                Query("data_collector_gx_audit_lag_seconds", "{{instance}}"),
                Query("data_collector_gx_audit_every_seconds", "at most, {{instance}}"),
            ),
            "How long the oldest message has been waiting for it; GX_AUDIT_SECONDS is how long it may.", unit="s",
        ),
        Panel(
            "Audited", (rate("data_collector_gx_audit_rows_total", "channel"),),
            "Messages that Great Expectations has checked, refused ones too.", unit="reqps",
        ),
        Panel(
            "Waiting for the audit, and skipped",
            (
                Query("data_collector_gx_audit_waiting_rows", "waiting {{instance}}"),
                Query("sum by (channel) (data_collector_gx_audit_skipped_total)", "skipped: {{channel}}"),
            ),
            "What is skipped was judged by the gate alone.",
        ),
        Panel(
            "Suites refused",
            (
                Query("data_collector_suites_refused", "by the collector {{instance}}"),
                Query("data_validation_suite_faults", "by the service {{instance}}"),
            ),
            "Suites that are offered and wrong; the rules before them stay in force.",
        ),
        Panel(
            "Validation service: its worker",
            (
                Query("data_validation_worker_up", "up {{instance}}"),
                Query("data_validation_waiting_requests", "waiting requests {{instance}}"),
            ),
            "The process that runs Great Expectations, where VALIDATION_SERVICE_URL is set.",
        ),
        Panel(
            "Validation service: requests",
            (
                Query(
                    "sum by (route, status) (rate(data_validation_requests_total[$__rate_interval]))",
                    "{{route}} {{status}}",
                ),
            ),
            "By route and status code.", unit="reqps",
        ),
        Panel(
            "Validation service: records audited",
            (
                Query(
                    "sum by (kind, outcome) (rate(data_validation_audit_rows_total[$__rate_interval]))",
                    "{{kind}} {{outcome}}",
                ),
            ),
            "Records of collectors, by what the collector did with them.", unit="reqps",
        ),
        Panel(
            "Validation service: memory of its worker", (Query("data_validation_worker_memory_bytes"),),
            "As its last audit told.", unit="bytes",
        ),
    ),
)  # fmt: skip

STORES: Final = Dashboard(
    "stores",
    "stores and buffers",
    (
        figure("Store", "data_collector_store_up", "Whether it takes records.", names=UP_DOWN),
        figure("PostgreSQL", "data_collector_history_up", "Whether it takes rows.", names=UP_DOWN),
        figure(
            "Memory for records", "data_collector_outlet_records / data_collector_outlet_records_max",
            "Beyond it trades wait in the spool.", unit="percentunit", bounds=((0.1, "orange"), (0.5, "red")),
        ),
        figure(
            "Oldest trade that waits", "data_collector_outlet_oldest_seconds", "In memory or in the spool.", unit="s",
            bounds=((5, "orange"), (60, "red")),
        ),
        figure(
            "Spool", "data_collector_spool_bytes / data_collector_spool_bytes_max", "Of SPOOL_BYTES_MAX.",
            unit="percentunit", bounds=((0.5, "orange"), (0.8, "red")),
        ),
        figure(
            "Disk under the spool", "data_collector_spool_disk_free_bytes", "What it has left for us.", unit="bytes"
        ),
        Panel("Records waiting", (Query("data_collector_outlet_records"),), "In memory, for the store."),
        Panel(
            "Oldest trade that waits", (Query("data_collector_outlet_oldest_seconds"),), "In memory or in the spool.",
            unit="s",
        ),
        Panel(
            "Replaced and dropped before they were stored",
            (
                Query(
                    "sum by (channel) (rate(data_collector_updates_conflated_total[$__rate_interval]))",
                    "replaced by newer: {{channel}}",
                ),
                Query(
                    "sum by (channel) (rate(data_collector_outlet_dropped_total[$__rate_interval]))",
                    "dropped: {{channel}}",
                ),
            ),
            "Open klines and tickers are replaced under load; trades are never dropped.", unit="wps",
        ),
        Panel(
            "Flush", quantiles("data_collector_store_flush_seconds"),
            "Seconds from sending a batch to the store's last reply.", unit="s",
        ),
        Panel(
            "Sync of the spool", quantiles("data_collector_spool_fsync_seconds"),
            "Off the event loop: a slow disk delays nobody, and loses more at a power cut.", unit="s",
        ),
        Panel("Spool", (Query("data_collector_spool_bytes"),), "Size of its files.", unit="bytes"),
        Panel(
            "Store connected anew, rolled back, wiped",
            (
                Query("data_collector_store_reconnects_total", "connected anew {{instance}}"),
                Query("data_collector_store_rollbacks_total", "rolled back {{instance}}"),
                Query("data_collector_store_wipes_total", "wiped {{instance}}"),
            ),
            "Since the process started.",
        ),
        Panel(
            "Consumer groups behind", (Query("sum by (state) (data_collector_consumer_groups_behind)", "{{state}}"),),
            "Groups of readers that trimming takes entries from; /health names them.",
        ),
        Panel(
            "Rows into PostgreSQL", (rate("data_collector_history_rows_total", "channel"),),
            "Nothing is shown without DATABASE_URL.", unit="wps",
        ),
        Panel(
            "PostgreSQL behind the store", (Query("data_collector_history_lag_seconds"),),
            "Age of the oldest entry that waits for it.", unit="s",
        ),
        Panel(
            "Starts of PostgreSQL's writer", (Query("data_collector_history_writer_starts_total"),),
            "A process of its own, which is started again when it dies.",
        ),
    ),
)  # fmt: skip

PROCESS: Final = Dashboard(
    "process",
    "process",
    (
        Panel(
            "CPU", (Query("rate(data_collector_process_cpu_seconds_total[$__rate_interval])"),),
            "Of the collector process, in cores. It has one event loop, so 1 is all that it can use.",
        ),
        Panel(
            "Memory",
            (
                Query("data_collector_resident_memory_bytes", "collector {{instance}}"),
                Query("data_collector_gx_audit_memory_bytes", "audit worker {{instance}}"),
            ),
            "Resident.", unit="bytes",
        ),
        Panel(
            "Event loop", quantiles("data_collector_loop_lag_seconds"),
            "How late the heartbeat of once a second was.", unit="s",
        ),
        Panel(
            "Files and sockets left", (Query("data_collector_file_descriptors_free"),),
            "That the collector process may still open.",
        ),
        Panel(
            "Starts", (Query("time() - data_collector_start_time_seconds"),), "A saw tooth is a process that dies.",
            unit="s",
        ),
        Panel(
            "Time that the audit worked",
            (Query("rate(data_collector_gx_audit_busy_seconds_total[$__rate_interval])"),),
            "In cores.",
        ),
        Panel(
            "HTTP requests refused at the door",
            (Query("sum by (reason) (data_collector_api_rejected_total)", "{{reason}}"),),
            "Since the HTTP process started.",
        ),
        Panel("Viewers", (Query("data_collector_live_viewers"),), "Connections that follow GET /live."),
        Panel(
            "Scrape", (Query("scrape_duration_seconds"),), "How long Prometheus waited for each target.", unit="s"
        ),
    ),
)  # fmt: skip
