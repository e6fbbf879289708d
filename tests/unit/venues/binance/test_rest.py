"""What the REST client reads of headers and bodies that nobody should send."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from data_collector.venues.binance.rest import _error_of, _retry_after_s, _told


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
    assert _retry_after_s(text) == seconds


def test_retry_after_that_is_a_date_to_come_is_the_time_until_then() -> None:
    told = _retry_after_s(formatdate(time.time() + 3_600, usegmt=True))

    assert told is not None
    assert 0 < told <= 3_601


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"code":"x"}', b"[" * 100_000, b'{"msg":"\xff"}', b'{"x":' + b"[" * 100_000, b"7" * 5_000],
    ids=["nothing", "page", "type", "deep", "bytes", "deep inside", "digits"],
)
def test_error_that_cannot_be_read_is_none(body: bytes) -> None:
    error = _error_of(body)

    assert (error.code, error.msg) == (0, "")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", ""),
        (b"<html>\r\n<head><title>404 Not Found</title></head>\n<hr>nginx</html>", ": 404 Not Found nginx"),
        (b'{"code":-1121,"msg":"Invalid symbol."}', ": Invalid symbol. (code -1121)"),
        (b'{"code":-1121,"msg":"\\u001b[2J"}', ": \\u001b[2J (code -1121)"),
        (b"x" * 10_000_000, f": {'x' * 120}\u2026"),
        (b'{"code":-1,"msg":"' + b"x" * 1_000 + b'"}', f": {'x' * 120}\u2026 (code -1)"),
        (b"\xff\xfe", ": \ufffd\ufffd"),
    ],
    ids=["nothing", "page", "error", "control characters", "long page", "long error", "bytes"],
)
def test_words_that_come_with_a_status_are_told(body: bytes, words: str) -> None:
    assert _told(_error_of(body), body) == words
