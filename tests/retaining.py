"""What an outlet of a test keeps its runs in."""

from __future__ import annotations

from data_collector.observe.counters import Counters
from data_collector.pipeline.spool.spool import Spool, SpoolLimits

ONE_RUN = SpoolLimits(ring_bytes=1_500)
"""The newest, when it is small, and nothing else is kept."""


def in_memory(*symbols: str, limits: SpoolLimits | None = None) -> Spool:
    """A spool without a disk."""
    return Spool(None, Counters(), symbols=symbols, limits=limits)
