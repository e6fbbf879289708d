"""Ranges that `trades:` and `stream:` do not hold, and why."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

GapReason = Literal["lost", "refused", "absent", "skipped"]
"""`lost`: existed and could not be had. `refused`: validation refused it. `absent`: the exchange itself has none.
`skipped`: passed while the collector was not running, or older than the catch-up limit."""


class Gap(Struct, frozen=True):
    """A closed range of sequence numbers of one key that the store passes over."""

    first: int
    """First trade id, or first open time in ms."""
    last: int
    count: int
    reason: GapReason
    rules: tuple[str, ...] = ()
    """Ids of the rules that refused the record; empty for other reasons."""
