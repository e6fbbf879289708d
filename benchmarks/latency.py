"""Quantiles between two readings."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.rig import Reading
from data_collector.observe.counters import quantiles_between


def quantiles(before: Reading, after: Reading, parts: Sequence[float]) -> list[float]:
    """Seconds from socket to acknowledged write of the messages between the two."""
    assert before.latency is not None, "trades have been stored"
    assert after.latency is not None, "trades have been stored"
    return quantiles_between(before.latency, after.latency, parts)


def tell_ratio(what: str, ratios: Sequence[float], *, bar: float) -> None:
    """The median of what the rounds gave, beside the bar."""
    median = statistics.median(ratios)
    met = "met" if median <= bar else "missed"
    print(f"  p99 {what}, median of {len(ratios)}: {median:.2f} times   bar {bar} times: {met}", flush=True)
