"""What the processes of one seat counted, those that were killed up to a second before."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from data_collector.model.status import Sample

PAGE_BYTES = 4096

REPAIRS = re.compile(
    r"data_collector_\w*(gap|repair|rewind|refill|rollback|retention|spool|late|known|reconnects|disconnects)\w*_total"
)
"""Counters that tell what was repaired, and how."""


class Counters:
    """One per seat."""

    def __init__(self) -> None:
        self._past: dict[str, float] = {}
        self._now: dict[str, float] = {}

    def note(self, samples: Iterable[Sample]) -> None:
        """What the present process says now."""
        self._now = {}
        for sample in samples:
            if REPAIRS.fullmatch(sample.name):
                labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                name = sample.name.removeprefix("data_collector_").removesuffix("_total")
                self._now[f"{name}{{{labels}}}" if labels else name] = sample.value

    def bury(self) -> None:
        """The present process has ended, or is about to."""
        self._past, self._now = self.totals(), {}

    def totals(self) -> dict[str, float]:
        """Of all of them."""
        return {name: self._past.get(name, 0.0) + self._now.get(name, 0.0) for name in self._past | self._now}


def resident_bytes(pid: int) -> int:
    """0 for a process that has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0
