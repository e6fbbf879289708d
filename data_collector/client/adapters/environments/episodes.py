"""Where episodes begin and end: each within one span, so that none goes over a missing candle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_collector.client.errors import WrongQuestion


class Episodes:
    """All that there are over some candles, of `steps` steps each, or with None up to the end of their span."""

    def __init__(self, spans: Sequence[slice], window: int, steps: int | None, *, is_random: bool) -> None:
        """Raises `WrongQuestion` where no span is long enough; shorter ones are left out."""
        least = 1 if steps is None else steps
        fits = [span for span in spans if span.stop - span.start >= window + least]
        if not fits:
            longest = max(span.stop - span.start for span in spans)
            raise WrongQuestion(
                f"An episode needs {window + least:,} candles without a gap (window={window} and {least:,} of steps), "
                f"and the longest span has {longest:,}: give more candles, a shorter window=, or a shorter episode=."
            )
        self._steps = steps
        self._first = np.array([span.start + window - 1 for span in fits])
        self._last = np.array([span.stop - 1 for span in fits])
        # Counted before each span: what may be drawn, or with `is_random` False what is taken in turn.
        room = self._last - self._first
        counts = room - least + 1 if is_random else np.ones_like(room) if steps is None else room // steps
        self._stride = 1 if is_random else least
        self._until = np.cumsum(counts)
        self._is_random = is_random

    def __len__(self) -> int:
        return int(self._until[-1])

    def begin(self, random: np.random.Generator, turn: int) -> tuple[int, int]:
        """The row on whose close is decided first, and the row at whose close it ends.

        Drawn, or else the one whose turn it is.
        """
        number = int(random.integers(len(self))) if self._is_random else turn % len(self)
        span = int(np.searchsorted(self._until, number, side="right"))
        earlier = int(self._until[span - 1]) if span else 0
        row = int(self._first[span]) + (number - earlier) * self._stride
        return row, int(self._last[span]) if self._steps is None else row + self._steps
