"""What an outlet of a test keeps its runs in."""

from __future__ import annotations

from data_collector.observe.counters import Counters
from data_collector.pipeline.spool.spool import Spool


def in_memory(*symbols: str) -> Spool:
    """A retention without a disk."""
    return Spool(None, Counters(), symbols=symbols)
