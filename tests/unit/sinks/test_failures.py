"""What sentences about PostgreSQL show of its URL."""

from __future__ import annotations

import pytest

from data_collector.sinks.postgres.failures import place_of


@pytest.mark.parametrize(
    ("dsn", "place"),
    [
        ("postgresql://u:secret@h:6000/db?x=1", "h:6000/db"),
        ("postgresql://u:se/cr@et@h/db", "h:5432/db"),
        ("postgresql://u:secret@[::1]/db", "[::1]:5432/db"),
        ("postgresql://u@h/db?password=sec@ret", "h:5432/db"),
        ("postgresql://h/db?user=u&password=sec@ret", "DATABASE_URL"),
        ("postgresql://u:12?secret@h/db", "DATABASE_URL"),
        ("postgresql:///db?password=secret", "localhost:5432/db"),
        ("postgresql://u:secret", "DATABASE_URL"),
    ],
)
def test_place_of_a_database_shows_nothing_of_the_login(dsn: str, place: str) -> None:
    assert place_of(dsn) == place
