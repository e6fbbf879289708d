"""Quantiles of what was observed between two states of a histogram."""

from __future__ import annotations

from collections.abc import Sequence

from data_collector.model.status import Histogram


def quantiles_between(before: Histogram, after: Histogram, parts: Sequence[float]) -> list[float]:
    """In the histogram's unit, interpolated within their buckets; infinite beyond the last one."""
    counts = [now - then for now, then in zip(after.counts, before.counts, strict=True)]
    return [_quantile(after, counts, part) for part in parts]


def _quantile(histogram: Histogram, counts: Sequence[int], part: float) -> float:
    """What a batch brings lies evenly between its first and its last."""
    wanted, seen, lower = sum(counts) * part, 0, 0.0
    for bound, count in zip([*histogram.bounds, float("inf")], counts, strict=True):
        if seen + count >= wanted:
            return bound if count == 0 or bound == float("inf") else lower + (bound - lower) * (wanted - seen) / count
        seen, lower = seen + count, bound
    return lower
