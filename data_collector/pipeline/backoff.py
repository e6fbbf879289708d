"""How long to wait before the next try."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_S = 1.0
CAP_S = 60.0
HEALTHY_S = 60.0
"""Only a connection that served for this long starts the delays anew: one that is accepted and closed does not."""


class Backoff:
    """Exponential with full jitter: uniform between zero and a ceiling that doubles up to `CAP_S`."""

    def __init__(self, random_unit: Callable[[], float] = random.random) -> None:
        self._random_unit = random_unit
        self._failures = 0

    def next_delay_s(
        self, *, served_s: float = 0.0, retry_after_s: float | None = None, factor: float = 1.0
    ) -> float:  # fmt: skip
        """After a failure; `served_s` is how long it had worked, `retry_after_s` what the other side asks for.

        `factor` makes this one delay longer, within the cap.
        """
        if served_s >= HEALTHY_S:
            self._failures = 0
        ceiling = min(CAP_S, FIRST_S * 2.0**self._failures * factor)
        self._failures = min(self._failures + 1, 16)
        return max(self._random_unit() * ceiling, retry_after_s or 0.0)
