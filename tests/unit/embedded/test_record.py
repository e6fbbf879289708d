"""What is written down about a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_collector.embedded.record import RECORD_NAME, ServerRecord, read_record, remove_record, write_record

RECORD = ServerRecord(1, 6379, None, ["valkey-server"], "2024-01-01T00:00:00+00:00")


def test_record_is_read_as_written_and_forgotten(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    assert read_record(tmp_path) == RECORD
    assert [path.name for path in tmp_path.iterdir()] == [RECORD_NAME]

    remove_record(tmp_path)
    remove_record(tmp_path)
    assert read_record(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"pid": "x"}'])
def test_damaged_record_counts_as_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / RECORD_NAME).write_bytes(content)

    assert read_record(tmp_path) is None
