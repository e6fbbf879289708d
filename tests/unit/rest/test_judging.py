"""What the REST client reads of headers that nobody should send."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from data_collector.rest.judging import retry_after_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("", None),
        ("-7", None),
        ("soon", None),
        ("9" * 5_000, None),
        ("٣", None),
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
