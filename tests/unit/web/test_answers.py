"""What no answer shows."""

from __future__ import annotations

import pytest

from data_collector.web.answers import masked


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
