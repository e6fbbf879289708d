"""Files that are larger than any that the spool writes."""

from __future__ import annotations

import os
from pathlib import Path

from structlog.testing import capture_logs

from data_collector.pipeline.spool.segments import segment_path
from tests.spooling import open_spool, run_of
from tests.unit.pipeline.spool.test_spool import files


async def test_file_larger_than_any_of_ours_is_set_aside(tmp_path: Path) -> None:
    """A sparse one of a terabyte ended the start with MemoryError."""
    path = segment_path(tmp_path, 7)
    path.touch(0o600)
    os.truncate(path, 2**40)
    with capture_logs() as logs:
        async with open_spool(tmp_path) as spool:
            spool.append([run_of(0)])

    assert files(tmp_path) == ["000000000007.broken", "000000000008.spool"]
    assert [each["file"] for each in logs if each["event"] == "spool_file_set_aside"] == ["000000000007.broken"]
