"""What is missing of a symbol's trades before those that wait."""

from __future__ import annotations

from data_collector.model.backoff import RepeatedAnswer
from data_collector.pipeline.gaps.attempts import Attempts
from data_collector.pipeline.gaps.left_out import LeftOut


class MissingIds:
    """Trade ids that are missing before what is held back."""

    __slots__ = (
        "_brought", "attempts", "brought_before", "disproved", "first_id", "last_id", "left_out", "opened_s",
    )  # fmt: skip

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
        self.left_out = LeftOut()

    def note_brought(self, brought: int, now_s: float) -> None:
        """How far the stream itself has come, in order: that is progress, and no reason to ask sooner."""
        if brought > self._brought:
            self.attempts.progress_s = now_s
        self._brought = brought
