"""Counters, gauges, histograms."""

from __future__ import annotations

import pytest

from data_collector.model.status import Sample
from data_collector.observe.counters import LATENCY_BOUNDS_S, Counters


def test_counter_that_never_counted_is_zero() -> None:
    assert Counters().value("data_collector_records_stored_total") == 0


def test_labels_count_apart() -> None:
    counters = Counters()
    counters.add("data_collector_records_stored_total", channel="trade")
    counters.add("data_collector_records_stored_total", 2, channel="trade")
    counters.add("data_collector_records_stored_total", channel="kline")

    assert counters.value("data_collector_records_stored_total", channel="trade") == 3
    assert counters.value("data_collector_records_stored_total", channel="kline") == 1
    assert counters.value("data_collector_records_stored_total") == 0


def test_gauge_is_replaced() -> None:
    counters = Counters()
    counters.set("data_collector_store_up", 1)
    counters.set("data_collector_store_up", 0)

    assert counters.samples() == [Sample("data_collector_store_up", 0, {})]


def test_samples_name_every_label() -> None:
    counters = Counters()
    counters.add("data_collector_records_stored_total", 5, channel="trade", rule="time_range")

    assert counters.samples() == [
        Sample("data_collector_records_stored_total", 5, {"channel": "trade", "rule": "time_range"})
    ]


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (0.0005, 0), (0.00050001, 1), (60.0, len(LATENCY_BOUNDS_S) - 1), (60.1, len(LATENCY_BOUNDS_S))],
)
def test_observation_counts_in_the_bucket_that_it_does_not_exceed(seconds: float, bucket: int) -> None:
    counters = Counters()
    counters.observe("data_collector_store_flush_seconds", seconds)

    (histogram,) = counters.histograms()
    assert [index for index, count in enumerate(histogram.counts) if count] == [bucket]
    assert len(histogram.counts) == len(histogram.bounds) + 1


@pytest.mark.parametrize(
    ("shortest_s", "longest_s", "count"),
    [(0.5, 0.5, 4), (0.0, 0.0, 1), (0.0001, 0.0009, 9), (0.001, 70.0, 1_000), (0.3, 0.1, 5), (0.0, 100.0, 2)],
)
def test_evenly_spread_observations_count_as_if_each_were_made(shortest_s: float, longest_s: float, count: int) -> None:
    at_once, one_by_one = Counters(), Counters()
    at_once.observe_between("data_collector_store_flush_seconds", shortest_s, longest_s, count)
    for index in range(count):
        one_by_one.observe(
            "data_collector_store_flush_seconds", shortest_s + (longest_s - shortest_s) * index / max(count - 1, 1)
        )

    (whole,), (single,) = at_once.histograms(), one_by_one.histograms()
    assert sum(whole.counts) == count
    assert whole.total == pytest.approx(single.total)
    if longest_s >= shortest_s:
        # A length on a bound may fall on either side of it.
        assert all(abs(one - other) <= 1 for one, other in zip(whole.counts, single.counts, strict=True))


def test_bounds_rise() -> None:
    assert list(LATENCY_BOUNDS_S) == sorted(set(LATENCY_BOUNDS_S))
