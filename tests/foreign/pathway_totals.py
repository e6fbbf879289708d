"""Counts a stream with Pathway, whose state outlives a kill: a line of totals for each change of them.

    python -m tests.foreign.pathway_totals STREAM COLUMN FOLDER bracketed|unbracketed streaming|static

Without the bracket rows are saved under a position that lies before them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from unittest.mock import patch

import pathway as pw

from data_collector.client.adapters import pathway as adapter


class Unbracketed(adapter.Subject):
    """As a connector that knows only what is public."""

    def _disable_commits(self) -> None:
        """Commits happen when they will."""

    def _enable_commits(self) -> None:
        """They do anyway."""


def main(stream: str, column: str, folder: Path, mode: adapter.Mode, *, is_bracketed: bool) -> None:
    """Ends with the newest entry where the mode is static."""
    if not is_bracketed:
        patch.object(adapter, "Subject", Unbracketed).start()
    table = adapter.read(os.environ["REDIS_URL"], stream, mode=mode, autocommit_duration_ms=1)
    totals = table.reduce(rows=pw.reducers.count(), total=pw.reducers.sum(table[column]))
    pw.io.subscribe(totals, on_change=told)
    backend = pw.persistence.Backend.filesystem(folder)
    pw.run(
        monitoring_level=pw.MonitoringLevel.NONE,
        persistence_config=pw.persistence.Config(backend, snapshot_interval_ms=20),
    )


def told(key: object, row: dict[str, object], time: int, is_addition: bool) -> None:
    """What Pathway calls for each change."""
    if is_addition:
        print(row["rows"], row["total"], flush=True)


if __name__ == "__main__":
    stream, column, folder, bracket, mode = sys.argv[1:]
    main(
        stream, column, Path(folder), "static" if mode == "static" else "streaming", is_bracketed=bracket == "bracketed"
    )
