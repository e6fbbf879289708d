"""How far a number is believed that somebody else wrote: an exchange, a store, a caller, a file.

Whatever loops, waits, reserves or descends by such a number goes through `bounded`; tests/docs/test_bounds.py walks
the code for what does not.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TypeVar

ASKED_S_MAX = 3 * 86_400.0
"""The longest wait that some exchange documents, for a ban; whoever asks for more is not believed."""

Number = TypeVar("Number", int, float)


def bounded(number: Number, most: Number, least: Number) -> Number:
    """The number, or the end that it lies beyond; what is no number (NaN) is `least`."""
    return min(max(least, number), most)


def retry_after_s(text: str) -> float | None:
    """What `Retry-After` asks for, in seconds or by a date, at most `ASKED_S_MAX`; None when it tells neither."""
    try:
        asked_s = float(text) if text.isascii() and text.isdigit() else _seconds_until(text)
    except (ValueError, OverflowError):
        return None
    return bounded(asked_s, ASKED_S_MAX, 0.0)


def _seconds_until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()
