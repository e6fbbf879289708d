"""Metrics that are declared, counted and documented are the same ones."""

from __future__ import annotations

import re

from data_collector.observe.metrics import METRICS
from data_collector.observe.validation_metrics import VALIDATION_METRICS
from tests.docs.test_links import DOCUMENTS
from tests.docs.tree import ROOT, project_files, read

NAME = re.compile(r"\bdata_(?:collector|validation)_[a-z0-9_]+")
COUNTED = re.compile(r"\b(?:add|set|observe|Sample|Histogram)\(\s*\"(data_(?:collector|validation)_[a-z0-9_]+)\"")
DECLARED = {metric.name: metric for metric in (*METRICS, *VALIDATION_METRICS)}


def test_every_metric_has_a_row_with_its_kind_and_labels_and_every_row_a_metric() -> None:
    rows = {}
    for line in read("docs/metrics.md").splitlines():
        if re.match(r"\| `data_(?:collector|validation)_", line):
            rows[NAME.findall(line)[0]] = line

    assert rows.keys() == DECLARED.keys()
    for name, metric in DECLARED.items():
        words = set(re.findall(r"\w+", rows[name]))
        assert {metric.kind, *(label.name for label in metric.labels)} - words == set(), name


def test_every_counted_metric_is_declared() -> None:
    package = [path for path in project_files(".py") if path.is_relative_to(ROOT / "data_collector")]
    counted = {name for path in package for name in COUNTED.findall(read(path))}

    assert "data_collector_messages_copies_total" in counted
    assert counted - DECLARED.keys() == set()


def test_every_declared_metric_is_counted_somewhere() -> None:
    declarations = {"metrics.py", "validation_metrics.py"}
    package = [path for path in project_files(".py") if path.is_relative_to(ROOT / "data_collector")]
    named = {name for path in package if path.name not in declarations for name in NAME.findall(read(path))}

    assert DECLARED.keys() - named == set()


def test_documents_name_only_metrics_that_exist() -> None:
    # A histogram is read as three series.
    series = {f"{name}{end}" for name in DECLARED for end in ("", "_bucket", "_sum", "_count")}
    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"`(data_(?:collector|validation)_[a-z0-9_]+)", read(document))
    }

    assert named - series == set()
