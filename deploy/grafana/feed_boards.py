"""The dashboards of what comes in: overview, feed and latency, completeness.

Every query is proven against the running demo (tests/deploy/test_grafana.py).
"""

from __future__ import annotations

from typing import Final

from deploy.grafana.panels import (
    HEALTH,
    LE,
    ORANGE_ABOVE_NONE,
    RED_ABOVE_NONE,
    UP_DOWN,
    YES_NO,
    Dashboard,
    Panel,
    Query,
    figure,
    quantiles,
    rate,
)

OVERVIEW: Final = Dashboard(
    "overview",
    "overview",
    (
        figure(
            "Health",
            'max by (instance) (2 * data_collector_health{status="healthy"})'
            ' + max by (instance) (data_collector_health{status="degraded"})',
            "What GET /health says; its `reasons` say why.",
            names=HEALTH,
        ),
        figure(
            "Ready", "data_collector_ready",
            "GET /health/ready: every stream has spoken or is proven quiet, and nothing is being repaired for long.",
            names=YES_NO,
        ),
        figure(
            "Newest message", "data_collector_last_message_seconds_ago",
            "How long ago the newest message came.", unit="s", bounds=((10, "orange"), (60, "red")),
        ),
        figure("Store", "data_collector_store_up", "Whether the store takes records.", names=UP_DOWN),
        figure(
            "PostgreSQL", "data_collector_history_up", "Nothing is shown without DATABASE_URL.", names=UP_DOWN
        ),
        figure(
            "Up for", "time() - data_collector_start_time_seconds", "Since the collector process started.", unit="s"
        ),
        figure(
            "Open gaps", "data_collector_gaps_open", "Gaps that are being repaired.", bounds=ORANGE_ABOVE_NONE
        ),
        figure(
            "Records lost", 'sum by (instance) (data_collector_gap_records_total{reason="lost"})',
            "Existed and could not be had, since the process started.", bounds=RED_ABOVE_NONE,
        ),
        figure(
            "Passed validation",
            "data_collector_messages_validated_total"
            " / (data_collector_messages_validated_total + data_collector_validation_errors_total)",
            "Of what was received since the process started.", unit="percentunit",
        ),
        figure(
            "Audited", "data_collector_gx_audit_coverage_ratio",
            "Share of the validated messages that real Great Expectations has checked too.", unit="percentunit",
        ),
        figure(
            "Waiting for the store", "data_collector_outlet_records", "Records in memory.",
            bounds=((10_000, "orange"), (50_000, "red")),
        ),
        figure(
            "Received to stored",
            "histogram_quantile(0.99, sum by (instance, le)"
            " (rate(data_collector_received_to_stored_seconds_bucket[$__rate_interval])))",
            "Of a hundred trades, one takes longer.", unit="s", bounds=((0.1, "orange"), (1, "red")),
        ),
        Panel(
            "Messages",
            (
                Query("rate(data_collector_messages_received_total[$__rate_interval])", "received {{instance}}"),
                Query("rate(data_collector_messages_validated_total[$__rate_interval])", "validated {{instance}}"),
                Query("rate(data_collector_validation_errors_total[$__rate_interval])", "refused {{instance}}"),
            ),
            "Each message once, whichever line brought it first. Received and validated should be one line.",
            unit="reqps", width=12,
        ),
        Panel(
            "Records stored", (rate("data_collector_records_stored_total", "channel"),),
            "What the store has acknowledged.", unit="wps", width=12,
        ),
    ),
)  # fmt: skip

FEED: Final = Dashboard(
    "feed",
    "feed and latency",
    (
        Panel(
            "From the exchange to us",
            quantiles("data_collector_traded_to_received_seconds"),
            "Seconds from a trade to its arrival, by the clocks of both: the offset of the clocks is in it.",
            unit="s",
        ),
        Panel(
            "From us to the store", quantiles("data_collector_received_to_stored_seconds"),
            "Seconds from a frame's arrival to the store's acknowledgement.", unit="s",
        ),
        Panel(
            "From us to the store, all of it",
            (
                Query(
                    "sum by (le) (increase(data_collector_received_to_stored_seconds_bucket[$__rate_interval]))",
                    LE,
                ),
            ),
            "How many trades took how long.", kind="heatmap", unit="s",
        ),
        Panel(
            "Newest trade",
            (Query("data_collector_event_lag_seconds + data_collector_clock_offset_seconds"),),
            "How late it came, by the exchange's clock.", unit="s",
        ),
        Panel(
            "Clock offset", (Query("data_collector_clock_offset_seconds"),),
            "The exchange's clock minus ours, asked for now and then.", unit="s",
        ),
        Panel(
            "Event loop", quantiles("data_collector_loop_lag_seconds"),
            "How late the heartbeat of once a second was: everything else waits as long.", unit="s",
        ),
        Panel("Open connections", (Query("data_collector_connections"),), "Lines to the exchange."),
        Panel(
            "Streams that do not speak",
            (
                Query("data_collector_streams_silent", "not spoken yet {{instance}}"),
                Query("data_collector_streams_mute", "mute {{instance}}"),
                Query("data_collector_streams_quiet", "quiet {{instance}}"),
                Query("data_collector_streams_refused", "refused {{instance}}"),
            ),
            "Quiet: nothing is traded. Mute: the exchange trades, and the stream does not tell. Refused: not given.",
        ),
        Panel(
            "Connections lost and not made",
            (
                Query(
                    "sum by (reason) (increase(data_collector_disconnects_total[$__rate_interval]))", "lost: {{reason}}"
                ),
                Query(
                    "sum by (reason) (increase(data_collector_connect_failures_total[$__rate_interval]))",
                    "not made: {{reason}}",
                ),
            ),
            "Each is replaced by itself; what was missed meanwhile is repaired.",
        ),
        Panel(
            "Copies and frames that could not be read",
            (
                Query(
                    "sum by (channel) (rate(data_collector_messages_copies_total[$__rate_interval]))",
                    "copies: {{channel}}",
                ),
                Query(
                    "sum by (reason) (rate(data_collector_frames_bad_total[$__rate_interval]))", "bad: {{reason}}"
                ),
            ),
            "With LINES_PER_STREAM=2 every message has one copy.", unit="reqps",
        ),
        Panel(
            "REST weight", (Query("data_collector_rest_weight_used"),),
            "Used in the running minute of what the exchange allows an address.",
        ),
        Panel(
            "REST requests", (rate("data_collector_rest_requests_total", "outcome"),),
            "By what came of them (docs/metrics.md).", unit="reqps",
        ),
    ),
)  # fmt: skip

COMPLETENESS: Final = Dashboard(
    "completeness",
    "completeness",
    (
        figure("Open gaps", "data_collector_gaps_open", "Being repaired.", bounds=ORANGE_ABOVE_NONE),
        figure(
            "Oldest open gap", "data_collector_gaps_oldest_open_seconds", "How long it has been open.", unit="s",
            bounds=((5, "orange"), (120, "red")),
        ),
        figure(
            "Records missing now", "data_collector_gaps_missing_records", "Of the open gaps.", bounds=ORANGE_ABOVE_NONE
        ),
        figure(
            "Records lost", 'sum by (instance) (data_collector_gap_records_total{reason="lost"})',
            "Existed and could not be had, since the process started.", bounds=RED_ABOVE_NONE,
        ),
        figure(
            "Gaps healed", "data_collector_gap_heal_seconds_count", "Since the process started."
        ),
        figure(
            "Store rolled back or wiped",
            "data_collector_store_rollbacks_total + data_collector_store_wipes_total",
            "Symbols whose trades the store had lost, since the process started. They were written again.",
            bounds=ORANGE_ABOVE_NONE,
        ),
        Panel(
            "Records of open gaps", (Query("data_collector_gaps_missing_records"),), "Missing now."
        ),
        Panel(
            "Healed, by where it came from",
            (
                Query(
                    "sum by (channel, source) (data_collector_gap_filled_total)", "{{channel}} by {{source}}",
                ),
            ),
            "Missing records that came after all, since the process started.",
        ),
        Panel(
            "Declared, by reason",
            (Query("sum by (channel, reason) (data_collector_gap_records_total)", "{{channel}}: {{reason}}"),),
            "Records inside the ranges in gaps:, since the process started. Only `lost` existed and is missing.",
        ),
        Panel(
            "Time to heal", quantiles("data_collector_gap_heal_seconds"), "How long gaps were open.", unit="s"
        ),
        Panel(
            "Closed klines",
            (
                Query("sum by (source) (increase(data_collector_klines_closed_total[$__rate_interval]))", "{{source}}"),
                Query("increase(data_collector_kline_revisions_total[$__rate_interval])", "revised {{instance}}"),
            ),
            "Each goes to the store once; `built` had no trade, and trade ids prove it.",
        ),
        Panel(
            "Closed 1m klines compared with our own trades",
            (Query("sum by (result) (data_collector_candle_checks_total)", "{{result}}"),),
            "Since the process started. `unchecked`: not all trades of the minute were ours.",
        ),
    ),
)  # fmt: skip
