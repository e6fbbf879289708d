"""Which klines are collected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data_collector.model.calendar import Calendar


@dataclass(frozen=True, slots=True)
class WantedKlines:
    """Which klines are collected of every symbol, and how far back."""

    calendar: Calendar
    intervals: Sequence[str]
    catch_up_s: float = 0.0
    """What is missing at the start, or lost by the store, and older is not fetched."""
    are_built: bool = False
    """No stream closes one: they are made of the trades."""
