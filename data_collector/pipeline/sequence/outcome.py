"""What a trade sequence says of a trade that it is offered."""

from __future__ import annotations

from enum import Enum


class Outcome(Enum):
    """What became of a trade that was not the next one."""

    HELD = "waits for what is before it"
    COPY = "was there before"
    CONFLICT = "was there before, with other contents"
    NEWER = "was there before, and is of a newer trade now"
    LATE = "fills a hole that was passed over"
    IMPLAUSIBLE = "jumps too far ahead, unconfirmed"
