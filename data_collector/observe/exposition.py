"""Metrics as Prometheus text (0.0.4): what was counted, in the order and with the words of their declarations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, get_args

from msgspec import Struct, structs
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from data_collector.model.status import Condition, Histogram, Sample, Snapshot
from data_collector.observe.metrics import EXCHANGE, METRICS, CounterName, Metric

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""What the text is."""

_Key = tuple[str, tuple[str, ...]]


class Page(Struct, frozen=True):
    """What a page of metrics holds: for the text, and for the alerts that the service evaluates itself."""

    metrics: Sequence[Metric]
    samples: Sequence[Sample]
    histograms: Sequence[Histogram]

    def text(self) -> bytes:
        """The Prometheus text (0.0.4).

        Raises `KeyError` for a sample or a label that is not declared here: that is a bug of whoever made it.
        """
        return render_table(self.metrics, self.samples, self.histograms)

    def series(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        """Name, labels and value of each line of the text, but for buckets."""
        counted = {sample.name for sample in self.samples}
        for metric in self.metrics:
            if metric.kind == "counter" and not metric.labels and metric.name not in counted:
                yield metric.name, {}, 0.0
        for sample in self.samples:
            yield sample.name, sample.labels, float(sample.value)
        for histogram in self.histograms:
            yield f"{histogram.name}_sum", histogram.labels, histogram.total
            yield f"{histogram.name}_count", histogram.labels, float(sum(histogram.counts))


def page_of(snapshot: Snapshot, more: Iterable[Sample] = ()) -> Page:
    """The page of a snapshot; `more` is what the HTTP process counts itself."""
    return Page(METRICS, [*_totals(snapshot), *snapshot.samples, *more], snapshot.histograms)


def render(snapshot: Snapshot, more: Iterable[Sample] = ()) -> bytes:
    """Its text."""
    return page_of(snapshot, more).text()


SUMS: Final[Mapping[str, CounterName]] = {
    "data_collector_messages_received_total": "data_collector_exchange_messages_received_total",
    "data_collector_messages_validated_total": "data_collector_exchange_messages_validated_total",
    "data_collector_validation_errors_total": "data_collector_exchange_validation_errors_total",
}
"""The contract's counters: without labels, also where several exchanges are collected. And what each of these has."""


def page_of_several(
    whole: Snapshot, pages: Mapping[str, tuple[Snapshot, Iterable[Sample]]], ours: Sequence[Sample]
) -> Page:
    """The same of several exchanges, each by its name: every metric has the label `exchange`.

    Without it are the sums of the contract's counters, as `whole` has them, and what is `ours`: the HTTP process's.
    """
    plain = {*SUMS, *(sample.name for sample in ours)}
    metrics = [
        metric
        if metric.name in plain or EXCHANGE in metric.labels
        else structs.replace(metric, labels=(*metric.labels, EXCHANGE))
        for metric in METRICS
    ]
    samples = [*(each for each in _totals(whole) if each.name in SUMS), *ours]
    histograms: list[Histogram] = []
    for name, (snapshot, more) in pages.items():
        mark = {"exchange": name}
        samples += [
            structs.replace(each, name=SUMS.get(each.name, each.name), labels=each.labels | mark)
            for each in (*_totals(snapshot), *snapshot.samples, *more)
            if each.name in SUMS or each.name not in plain
        ]
        histograms += [structs.replace(each, labels=each.labels | mark) for each in snapshot.histograms]
    return Page(metrics, samples, histograms)


def render_table(metrics: Iterable[Metric], samples: Iterable[Sample], histograms: Iterable[Histogram] = ()) -> bytes:
    """The Prometheus text (0.0.4) of samples of these metrics; raises `KeyError` as `Page.text` does."""
    by_name = {each.name: each for each in metrics}
    # By key, because two lines of the same name and labels make a scraper refuse the whole page.
    values = {_key(by_name, sample): sample.value for sample in samples}
    distributions = {_key(by_name, histogram): histogram for histogram in histograms}
    return generate_latest(_Families([_family(metric, values, distributions) for metric in by_name.values()]))


class _Families(Collector):
    """What prometheus_client wants to be handed."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Family]:
        return iter(self._families)


def _totals(snapshot: Snapshot) -> list[Sample]:
    """What a snapshot holds as fields: the contract's counters, and how the collector is."""
    totals = [
        *(
            Sample("data_collector_health", snapshot.condition == condition, {"status": condition})
            for condition in get_args(Condition)
        ),
        Sample("data_collector_ready", snapshot.ready),
        Sample("data_collector_running", snapshot.collector_running),
        Sample("data_collector_messages_received_total", snapshot.messages_received),
        Sample("data_collector_messages_validated_total", snapshot.messages_validated),
        Sample("data_collector_validation_errors_total", snapshot.validation_errors),
        Sample("data_collector_messages_in_flight", snapshot.messages_in_flight),
    ]
    if snapshot.exchange is not None:
        totals.append(Sample("data_collector_exchange_info", 1, {"exchange": snapshot.exchange}))
    if snapshot.last_message_seconds_ago is not None:
        totals.append(Sample("data_collector_last_message_seconds_ago", snapshot.last_message_seconds_ago))
    return totals


def _key(by_name: Mapping[str, Metric], member: Sample | Histogram) -> _Key:
    metric = by_name[member.name]
    if (metric.kind == "histogram") != isinstance(member, Histogram):
        raise KeyError(f"{member.name} is a {metric.kind}")
    return metric.name, metric.values_of(member.labels)


def _family(metric: Metric, values: Mapping[_Key, float], histograms: Mapping[_Key, Histogram]) -> Family:
    names = [label.name for label in metric.labels]
    if metric.kind == "histogram":
        family = HistogramMetricFamily(metric.name, metric.help, labels=names)
        for (name, labels), histogram in histograms.items():
            if name == metric.name:
                family.add_metric(labels, list(_buckets(histogram)), histogram.total)
        return family
    make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    simple = make(metric.name, metric.help, labels=names)
    for (name, labels), value in values.items():
        if name == metric.name:
            simple.add_metric(labels, value)
    if metric.kind == "counter" and not metric.labels and not simple.samples:
        # What begins with its first count looks to Prometheus as if it had never grown.
        simple.add_metric((), 0)
    return simple


def _buckets(histogram: Histogram) -> Iterator[tuple[str, float]]:
    """Cumulative, as Prometheus has them; ours are not, because counting up one number is cheaper."""
    cumulative = 0
    for bound, count in zip([*map(repr, histogram.bounds), "+Inf"], histogram.counts, strict=True):
        cumulative += count
        yield bound, cumulative
