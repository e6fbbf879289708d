"""From a snapshot to what people read."""

from __future__ import annotations

import pytest

from data_collector.api.answers import masked, metrics_of, success_rate
from data_collector.model.status import Sample, Snapshot


@pytest.mark.parametrize(
    ("validated", "errors", "rate"), [(0, 0, 100.0), (12_340, 5, 99.96), (0, 3, 0.0), (2, 1, 66.67), (7, 0, 100.0)]
)
def test_success_rate_is_percent_with_two_decimals(validated: int, errors: int, rate: float) -> None:
    assert success_rate(validated, errors) == rate


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:secret@h:1/0", "redis://:***@h:1/0"),
        ("redis://:***@h:1/0", "redis://:***@h:1/0"),
        ("rediss://me:a@b/c#d@h failed", "rediss://me:***@h failed"),
        ("unix://:secret@/run/s?db=1", "unix://:***@/run/s?db=1"),
        ("https://h/x?apiKey=secret&symbol=A", "https://h/x?apiKey=***&symbol=A"),
        ("unix:///s?password=secret", "unix:///s?password=***"),
        ("Write to me@example.org about it.", "Write to me@example.org about it."),
    ],
)
def test_passwords_and_keys_of_urls_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_audit_coverage_is_what_the_collector_tells_and_none_without() -> None:
    told = Sample("data_collector_gx_audit_coverage_ratio", 0.5)

    assert metrics_of(Snapshot(samples=[told])).gx_audit_coverage == 0.5
    assert metrics_of(Snapshot()).gx_audit_coverage == 0.0
