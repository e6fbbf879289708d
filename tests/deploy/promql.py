"""What a PromQL expression names, held against the tables of metrics."""

from __future__ import annotations

import re

from data_collector.observe.metrics import METRICS
from data_collector.observe.validation_metrics import VALIDATION_METRICS

OF_PROMETHEUS = {"job", "instance", "le", "alertname", "alertstate"}
"""Labels that come with every target, and with every histogram."""

OPEN = {"rule", "exchange"}
"""Labels whose values are not declared with the metric but elsewhere."""

OF_SEVERAL = {"exchange"}
"""Every metric of the collector has it where several exchanges are collected."""

_DECLARED = {metric.name: metric for metric in (*METRICS, *VALIDATION_METRICS)}
_SERIES = {name: metric for name, metric in _DECLARED.items() if metric.kind != "histogram"} | {
    f"{name}{end}": metric
    for name, metric in _DECLARED.items()
    if metric.kind == "histogram"
    for end in ("_bucket", "_sum", "_count")
}
_NAMED = re.compile(r"\b(data_(?:collector|validation)_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')


def faults(expr: str) -> list[str]:
    """Series that do not exist, and labels or values of labels that they do not have."""
    found = []
    for name, matchers in _NAMED.findall(expr):
        if name not in _SERIES:
            found.append(f"there is no series {name}")
            continue
        labels = {label.name: label.values for label in _SERIES[name].labels}
        for label, value in _MATCHER.findall(matchers):
            if label in OF_PROMETHEUS or (label in OF_SEVERAL and name.startswith("data_collector_")):
                continue
            if label not in labels:
                found.append(f"{name} has no label {label}")
            elif label not in OPEN and value not in re.findall(r"\w+", labels[label]):
                found.append(f"{name} has no {label} {value}")
    return found
