"""How long to wait before the next try, and how many tries tell the same before it is believed."""

from __future__ import annotations

import random

FIRST_S = 1.0
CAP_S = 60.0
HEALTHY_S = 60.0
"""Only what served for this long starts the delays anew: one that is accepted and closed does not."""

REPEATED_MIN = 3
REPEATED_S = 10.0
"""So often, and over so long, an answer must come that proves nothing alone: what passes has passed by then."""

FORGOTTEN_S = 120.0
"""Twice the longest pause between two tries: what came before that says nothing of what comes now."""


class Backoff:
    """Exponential: a ceiling that doubles from `first_s` to `cap_s`; a delay is uniform between zero and it.

    Without `jitter` the ceiling itself is the delay.
    """

    def __init__(
        self, first_s: float = FIRST_S, cap_s: float = CAP_S, *, healthy_s: float = HEALTHY_S, jitter: bool = True
    ) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self._healthy_s = healthy_s
        self._jitter = jitter
        self._failures = 0

    def reset(self) -> None:
        """Start the delays anew."""
        self._failures = 0

    def next_delay_s(self, *, served_s: float = 0.0, retry_after_s: float | None = None, factor: float = 1.0) -> float:
        """After a failure; `served_s` is how long it had worked, `retry_after_s` what the other side asks for.

        `factor` makes this one delay longer, within the cap.
        """
        if served_s >= self._healthy_s:
            self.reset()
        ceiling_s = min(self._cap_s, self._first_s * 2.0**self._failures * factor)
        self._failures = min(self._failures + 1, 16)
        return max(random.random() * ceiling_s if self._jitter else ceiling_s, retry_after_s or 0.0)


class RepeatedAnswer:
    """An answer that may pass, and is believed when it comes again and again."""

    __slots__ = ("_newest_s", "_since_s", "count")

    def __init__(self) -> None:
        self.count = 0
        """How often it came with no other between."""
        self._since_s = 0.0
        self._newest_s = 0.0

    def note(self, now_s: float) -> bool:
        """It came: whether it is believed now."""
        if not self.count or now_s - self._newest_s > FORGOTTEN_S:
            self.count, self._since_s = 0, now_s
        self.count += 1
        self._newest_s = now_s
        return self.count >= REPEATED_MIN and now_s - self._since_s >= REPEATED_S

    def forget(self) -> None:
        """Another one came."""
        self.count = 0
