"""Counters, gauges, histograms."""

from __future__ import annotations

import pytest

from data_collector.model.status import Sample
from data_collector.observe.counters import LATENCY_BOUNDS_S, Counters


def test_counter_that_never_counted_is_zero() -> None:
    assert Counters().value("x_total") == 0


def test_labels_count_apart() -> None:
    counters = Counters()
    counters.add("x_total", channel="trade")
    counters.add("x_total", 2, channel="trade")
    counters.add("x_total", channel="kline")

    assert counters.value("x_total", channel="trade") == 3
    assert counters.value("x_total", channel="kline") == 1
    assert counters.value("x_total") == 0


def test_gauge_is_replaced() -> None:
    counters = Counters()
    counters.set("up", 1)
    counters.set("up", 0)

    assert counters.samples() == [Sample("up", 0, {})]


def test_samples_name_every_label() -> None:
    counters = Counters()
    counters.add("x_total", 5, channel="trade", rule="time_range")

    assert counters.samples() == [Sample("x_total", 5, {"channel": "trade", "rule": "time_range"})]


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (0.0005, 0), (0.00050001, 1), (60.0, len(LATENCY_BOUNDS_S) - 1), (60.1, len(LATENCY_BOUNDS_S))],
)
def test_observation_counts_in_the_bucket_that_it_does_not_exceed(seconds: float, bucket: int) -> None:
    counters = Counters()
    counters.observe("wait_seconds", seconds)

    (histogram,) = counters.histograms()
    assert [index for index, count in enumerate(histogram.counts) if count] == [bucket]
    assert len(histogram.counts) == len(histogram.bounds) + 1


def test_many_observations_of_one_length_count_at_once() -> None:
    counters = Counters()
    counters.observe("wait_seconds", 0.5, 4)
    counters.observe("wait_seconds", 0.25)

    (histogram,) = counters.histograms()
    assert sum(histogram.counts) == 5
    assert histogram.total == pytest.approx(2.25)


def test_bounds_rise() -> None:
    assert list(LATENCY_BOUNDS_S) == sorted(set(LATENCY_BOUNDS_S))
