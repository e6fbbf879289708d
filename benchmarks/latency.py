"""Quantiles between two readings."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.rig import Reading
from data_collector.model.status import Histogram


def quantiles(before: Reading, after: Reading, parts: Sequence[float]) -> list[float]:
    """Seconds from socket to acknowledged write of the messages between the two."""
    assert before.latency is not None, "trades have been stored"
    assert after.latency is not None, "trades have been stored"
    return between(before.latency, after.latency, parts)


def between(before: Histogram, after: Histogram, parts: Sequence[float]) -> list[float]:
    """Quantiles of what was observed between two states of a histogram."""
    counts = [now - then for now, then in zip(after.counts, before.counts, strict=True)]
    return [_quantile(after, counts, part) for part in parts]


def tell_ratio(what: str, ratios: Sequence[float], *, bar: float) -> None:
    """The median of what the rounds gave, beside the bar."""
    median = statistics.median(ratios)
    met = "met" if median <= bar else "missed"
    print(f"  p99 {what}, median of {len(ratios)}: {median:.2f} times   bar {bar} times: {met}", flush=True)


def _quantile(histogram: Histogram, counts: Sequence[int], part: float) -> float:
    """Interpolated within its bucket. The messages of a batch lie evenly between its first and its last."""
    wanted, seen, lower = sum(counts) * part, 0, 0.0
    for bound, count in zip([*histogram.bounds, float("inf")], counts, strict=True):
        if seen + count >= wanted:
            return bound if count == 0 or bound == float("inf") else lower + (bound - lower) * (wanted - seen) / count
        seen, lower = seen + count, bound
    return lower
