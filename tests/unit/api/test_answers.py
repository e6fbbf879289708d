"""From a snapshot to what people read."""

from __future__ import annotations

import pytest

from data_collector.api.answers import metrics_of, success_rate
from data_collector.model.status import Sample, Snapshot


@pytest.mark.parametrize(
    ("validated", "errors", "rate"), [(0, 0, 100.0), (12_340, 5, 99.96), (0, 3, 0.0), (2, 1, 66.67), (7, 0, 100.0)]
)
def test_success_rate_is_percent_with_two_decimals(validated: int, errors: int, rate: float) -> None:
    assert success_rate(validated, errors) == rate


def test_audit_coverage_is_what_the_collector_tells_and_none_without() -> None:
    told = Sample("data_collector_gx_audit_coverage_ratio", 0.5)

    assert metrics_of(Snapshot(samples=[told])).gx_audit_coverage == 0.5
    assert metrics_of(Snapshot()).gx_audit_coverage == 0.0
