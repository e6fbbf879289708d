"""Counts a stream with Pathway, whose state outlives a kill: a line of totals for each change of them.

    python -m tests.foreign.pathway_totals STREAM COLUMN FOLDER MODE [--unbracketed]

Small reads make many commits. Without the bracket a row may be saved under a position that lies before it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pathway as pw

from data_collector.client.adapters import pathway as adapter
from data_collector.client.reading import following

ENTRIES_PER_READ = 1000


class Unbracketed(adapter.Subject):
    """As a connector that knows only what is public."""

    def _disable_commits(self) -> None:
        """Commits happen when they will."""

    def _enable_commits(self) -> None:
        """They do anyway."""


def main(stream: str, column: str, folder: Path, mode: adapter.Mode, *, is_bracketed: bool) -> None:
    """Ends with the newest entry where the mode is static."""
    following.ENTRIES_PER_READ = ENTRIES_PER_READ
    if not is_bracketed:
        adapter.Subject = Unbracketed
    table = adapter.read(os.environ["REDIS_URL"], stream, mode=mode, closed_only=stream.startswith("stream:"),
                         autocommit_duration_ms=1)  # fmt: skip
    totals = table.reduce(rows=pw.reducers.count(), total=pw.reducers.sum(table[column]))
    pw.io.subscribe(totals, on_change=told)
    backend = pw.persistence.Backend.filesystem(folder)
    pw.run(
        monitoring_level=pw.MonitoringLevel.NONE,
        persistence_config=pw.persistence.Config(backend, snapshot_interval_ms=20),
    )


def told(key: object, row: dict[str, object], time: int, is_addition: bool) -> None:  # noqa: FBT001
    """What Pathway calls for each change."""
    if is_addition:
        print(row["rows"], row["total"], flush=True)


if __name__ == "__main__":
    match sys.argv[4]:
        case "static" | "streaming" as chosen:
            main(*sys.argv[1:3], Path(sys.argv[3]), chosen, is_bracketed="--unbracketed" not in sys.argv)
