"""What is missing of a symbol's trades before those that wait."""

from __future__ import annotations

from data_collector.model.backoff import RepeatedAnswer
from data_collector.model.gaps import Gap
from data_collector.pipeline.gaps.attempts import Attempts

CONFIRMED_S = 1.0
"""Between two answers that leave out the same ids."""


class MissingIds:
    """Trade ids that are missing before what is held back."""

    __slots__ = ("_absent", "_brought", "attempts", "brought_before", "disproved", "first_id", "last_id", "opened_s")

    def __init__(self, first_id: int, last_id: int, now_s: float, brought: int) -> None:
        """`brought`: how far the stream itself had come, in order."""
        self.first_id = first_id
        """The first that the ledger has not been told of as healed."""
        self.last_id = last_id
        """The last that is missing before the first one held."""
        self.opened_s = now_s
        self.attempts = Attempts(now_s)
        """To fill it."""
        self.brought_before = self._brought = brought
        """What it brings from then on speaks against what is held back: that is not what comes next."""
        self.disproved = RepeatedAnswer()
        """The exchange's REST side ends before what is held back."""

        self._absent: dict[int, tuple[int, float]] = {}
        """By its first id, the last one of a range that answers leave out, and since when they have."""

    def confirmed(self, absent: list[Gap], now_s: float) -> list[Gap]:
        """What another answer has left out too, some time ago: one alone may come from where it has not arrived."""
        seen = {
            each.first: (min(each.last, last), since_s)
            for each in absent
            for last, since_s in [self._absent.get(each.first, (each.last, now_s))]
        }
        self._absent = seen
        return [
            Gap(first, last, last + 1 - first, "absent")
            for first, (last, since_s) in seen.items()
            if now_s - since_s >= CONFIRMED_S
        ]

    def note_brought(self, brought: int, now_s: float) -> None:
        """How far the stream itself has come, in order: that is progress, and no reason to ask sooner."""
        if brought > self._brought:
            self.attempts.progress_s = now_s
        self._brought = brought
