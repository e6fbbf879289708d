"""Counters that live where things happen; read when somebody asks.

Names and labels are declared in `observe.metrics` and `observe.validation_metrics`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from data_collector.model.status import HEAL_BOUNDS_S, Histogram, Sample
from data_collector.observe.metrics import CounterName, GaugeName, HistogramName
from data_collector.observe.validation_metrics import ValidationCounterName, ValidationGaugeName

Counted = CounterName | ValidationCounterName

LATENCY_BOUNDS_S = (
    0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
)  # fmt: skip
"""Fine around the target of 2 to 5 ms."""

_OTHER_BOUNDS_S = {"data_collector_gap_heal_seconds": HEAL_BOUNDS_S}
"""A repair takes as long as the exchange is away."""


class Counters:
    """Named counters with labels, gauges that are set, and latency histograms."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self._histograms: dict[str, Histogram] = {}

    def add(self, name: Counted, amount: float = 1, **labels: str) -> None:
        """Count up."""
        key = (name, tuple(labels.items()))
        self._values[key] = self._values.get(key, 0) + amount

    def set(self, name: Counted | GaugeName | ValidationGaugeName, value: float, **labels: str) -> None:
        """Put a gauge, or a counter that somebody else has counted."""
        self._values[name, tuple(labels.items())] = value

    def observe(self, name: HistogramName, seconds: float) -> None:
        """One observation."""
        histogram = self._histogram(name)
        histogram.counts[bisect_left(histogram.bounds, seconds)] += 1
        histogram.total += seconds

    def observe_between(self, name: HistogramName, shortest_s: float, longest_s: float, count: int) -> None:
        """`count` observations that lie evenly between two lengths, both of them included.

        A batch of records that came one after the other: measuring each would cost more than storing it.
        """
        histogram = self._histogram(name)
        histogram.total += (shortest_s + longest_s) / 2 * count
        first = bisect_left(histogram.bounds, shortest_s)
        last = bisect_left(histogram.bounds, longest_s)
        step_s = (longest_s - shortest_s) / max(count - 1, 1)
        below = 0
        for bucket in range(first, last):
            up_to = min(count, int((histogram.bounds[bucket] - shortest_s) / step_s) + 1)
            histogram.counts[bucket] += up_to - below
            below = up_to
        histogram.counts[last] += count - below

    def _histogram(self, name: HistogramName) -> Histogram:
        histogram = self._histograms.get(name)
        if histogram is None:
            bounds = list(_OTHER_BOUNDS_S.get(name, LATENCY_BOUNDS_S))
            histogram = self._histograms[name] = Histogram(name, bounds, [0] * (len(bounds) + 1), 0.0)
        return histogram

    def value(self, name: str, **labels: str) -> float:
        """What a counter stands at; 0 when it never counted."""
        return self._values.get((name, tuple(labels.items())), 0)

    def samples(self) -> list[Sample]:
        """All counters and gauges."""
        return [Sample(name, value, dict(labels)) for (name, labels), value in self._values.items()]

    def histograms(self) -> list[Histogram]:
        """All histograms."""
        return list(self._histograms.values())


def quantiles_between(before: Histogram, after: Histogram, parts: Sequence[float]) -> list[float]:
    """Of what a histogram observed in between: in its unit, interpolated within buckets; infinite beyond the last."""
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
