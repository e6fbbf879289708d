"""The server's log: quoted from the right place, kept small."""

from __future__ import annotations

from pathlib import Path

from data_collector.embedded.valkey import LOG_BYTES_MAX, ServerLog


def test_only_words_of_this_start_are_quoted(tmp_path: Path) -> None:
    path = tmp_path / "valkey.log"
    path.write_text("earlier\n")
    log = ServerLog(path)

    log.begin()
    with path.open("a") as file:
        file.writelines(f"line {number}\n" for number in range(9))

    assert "earlier" not in log.words()
    assert [f"line {number}" in log.last_words() for number in range(9)] == [False] * 4 + [True] * 5


def test_missing_log_is_quoted_as_nothing(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "valkey.log")

    log.begin()

    assert "(nothing)" in log.last_words()


def test_full_log_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "valkey.log"
    path.write_bytes(b"x" * (LOG_BYTES_MAX + 1))

    ServerLog(path).begin()

    assert not path.exists()
    assert (tmp_path / "valkey.log.1").stat().st_size == LOG_BYTES_MAX + 1
