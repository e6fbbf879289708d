"""The table of metrics and its text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from data_collector.model.status import Histogram, Sample, Snapshot
from data_collector.observe.exposition import CONTENT_TYPE, render
from data_collector.observe.metrics import METRICS, Metric

ROOT = Path(__file__).parents[3]


def test_names_are_unique_and_tell_the_kind() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch("data_collector_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.help.isprintable()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_is_documented(metric: Metric) -> None:
    labels = ", ".join(f"`{label.name}`" for label in metric.labels) or "none"

    assert f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |" in (ROOT / "docs/metrics.md").read_text()


def test_totals_of_the_snapshot_are_there_without_labels() -> None:
    text = render(
        Snapshot(messages_received=9, messages_validated=6, validation_errors=2, messages_in_flight=1)
    ).decode()

    assert "\ndata_collector_messages_received_total 9.0\n" in text
    assert "\ndata_collector_messages_validated_total 6.0\n" in text
    assert "\ndata_collector_validation_errors_total 2.0\n" in text
    assert "\ndata_collector_messages_in_flight 1.0\n" in text
    assert "\ndata_collector_last_message_seconds_ago " not in text


def test_health_is_one_of_three() -> None:
    text = render(Snapshot(condition="degraded", ready=True, collector_running=True)).decode()

    assert 'data_collector_health{status="degraded"} 1.0\n' in text
    assert 'data_collector_health{status="healthy"} 0.0\n' in text
    assert 'data_collector_health{status="unhealthy"} 0.0\n' in text
    assert "\ndata_collector_ready 1.0\n" in text
    assert "\ndata_collector_running 1.0\n" in text


def test_counter_without_labels_is_there_before_it_counts() -> None:
    assert "\ndata_collector_store_wipes_total 0.0\n" in render(Snapshot()).decode()


def test_labels_are_escaped_and_samples_of_others_added() -> None:
    bad = Sample("data_collector_frames_bad_total", 3, {"reason": 'a"b\n\\'})
    own = Sample("data_collector_api_rejected_total", 1, {"reason": "rate"})

    text = render(Snapshot(samples=[bad], last_message_seconds_ago=0.25), [own]).decode()

    assert r'data_collector_frames_bad_total{reason="a\"b\n\\"} 3.0' in text
    assert 'data_collector_api_rejected_total{reason="rate"} 1.0' in text
    assert "data_collector_last_message_seconds_ago 0.25" in text


def test_histogram_becomes_cumulative() -> None:
    name = "data_collector_store_flush_seconds"

    text = render(Snapshot(histograms=[Histogram(name, [0.001, 1.0], [2, 3, 4], 40.5)])).decode()

    assert f"# TYPE {name} histogram" in text
    assert f'{name}_bucket{{le="0.001"}} 2.0\n{name}_bucket{{le="1.0"}} 5.0\n{name}_bucket{{le="+Inf"}} 9.0\n' in text
    assert f"{name}_count 9.0\n{name}_sum 40.5\n" in text


def test_one_line_per_name_and_labels() -> None:
    twice = [Sample("data_collector_store_up", 0), Sample("data_collector_store_up", 1)]

    text = render(Snapshot(samples=twice)).decode()

    assert re.findall(r"^data_collector_store_up .*$", text, re.MULTILINE) == ["data_collector_store_up 1.0"]


@pytest.mark.parametrize(
    "sample",
    [
        Sample("data_collector_nobody_knows_total", 1),
        Sample("data_collector_gaps_total", 1),
        Sample("data_collector_gaps_total", 1, {"channel": "trade"}),
        Sample("data_collector_store_up", 1, {"symbol": "BTCUSDT"}),
        Sample("data_collector_store_flush_seconds", 1),
    ],
)
def test_what_is_not_declared_is_a_bug(sample: Sample) -> None:
    with pytest.raises(KeyError):
        render(Snapshot(samples=[sample]))


def test_histogram_under_a_counters_name_is_a_bug() -> None:
    with pytest.raises(KeyError):
        render(Snapshot(histograms=[Histogram("data_collector_store_up", [1.0], [0, 0], 0.0)]))


def test_content_type_is_the_one_that_every_scraper_knows() -> None:
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")
