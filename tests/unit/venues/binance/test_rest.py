"""What Binance's REST client reads of bodies that nobody should send."""

from __future__ import annotations

import pytest

from data_collector.venues.binance.rest import _error_of, _told


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
