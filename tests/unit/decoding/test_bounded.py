"""How far numbers of others are believed."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from data_collector.decoding.bounded import ASKED_S_MAX, bounded, retry_after_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("", None),
        ("-7", None),
        ("soon", None),
        ("1000000000", ASKED_S_MAX),
        ("9" * 5_000, ASKED_S_MAX),
        ("٣", None),
        ("²", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after_s(text) == seconds


def test_retry_after_that_is_a_date_to_come_is_the_time_until_then() -> None:
    told = retry_after_s(formatdate(time.time() + 3_600, usegmt=True))

    assert told is not None
    assert 0 < told <= 3_601


@pytest.mark.parametrize(
    ("number", "believed"), [(5.0, 5.0), (-1.0, 0.0), (1e300, 10.0), (float("inf"), 10.0), (float("nan"), 0.0)]
)
def test_number_is_believed_within_its_bounds(number: float, believed: float) -> None:
    assert bounded(number, 10.0, 0.0) == believed
