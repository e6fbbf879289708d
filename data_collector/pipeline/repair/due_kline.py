"""What the repair of klines knows of the one that is due in a series."""

from __future__ import annotations

from data_collector.model.backoff import Backoff, RepeatedAnswer

ASK_AGAIN_S = 5.0
ASK_AGAIN_MAX_S = 60.0
"""The pauses between calls that tell nothing of what is due: they double."""


class DueKline:
    """What is known of a series' due kline."""

    __slots__ = ("answered_s", "asked_past", "due_ms", "left_out", "next_s", "overdue_s", "pauses")

    def __init__(self, due_ms: int, overdue_s: float, grace_s: float) -> None:
        self.due_ms = due_ms
        self.overdue_s = overdue_s
        """When it was seen to be over and not closed."""
        self.next_s = overdue_s + grace_s
        """When REST may be asked."""
        self.answered_s = overdue_s
        """When REST last gave an answer that says something of it."""
        self.asked_past = False
        """Whether REST was asked since a later kline came."""
        self.pauses = Backoff(ASK_AGAIN_S, ASK_AGAIN_MAX_S, jitter=False)
        self.left_out = RepeatedAnswer()
        """It is not told, and later ones are: then there is none."""
