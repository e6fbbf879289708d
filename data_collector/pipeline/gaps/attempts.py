"""When to try again to bring what is missing, and when to give it up."""

from __future__ import annotations

from data_collector.model.backoff import Backoff

GAP_DEADLINE_S = 600.0
"""So long without progress, or without an answer, and what is missing is declared lost: the stream must go on."""

BLOCK_S = 900.0
"""A block whose end the exchange tells is outlasted beyond the deadline, if it is no longer than this: some lock out
for so long, and give what was missed afterwards."""

LIMIT_S = 120.0
"""What asks for less is no block, but a limit, of which one may follow another."""

BEGUN_LATE_MIN = 3
BEGUN_LATE_S = 10.0
"""So many answers, and over so long, must begin too late before nothing earlier is waited for."""

RETRY_FIRST_S = 0.25
RETRY_CAP_S = 30.0

PROGRESS_PAUSE_S = 1.0
"""No longer is waited after progress: the spool may have what comes next, and the exchange's own wait is kept where
it is asked."""


def is_block(retry_after_s: float | None) -> bool:
    """Whether the exchange asks for a wait that is worth outlasting."""
    return retry_after_s is not None and LIMIT_S < retry_after_s <= BLOCK_S + RETRY_CAP_S


class Attempts:
    """Those to fill one gap, or to bring the store what it lacks."""

    __slots__ = ("_backoff", "_deadline_s", "begun_late", "failed", "progress_s", "retry_s")

    def __init__(self, now_s: float, *, first_s: float = RETRY_FIRST_S, cap_s: float = RETRY_CAP_S) -> None:
        """The pause after a failure begins with `first_s` and doubles up to `cap_s`."""
        self._backoff = Backoff(first_s, cap_s, jitter=False)
        self._deadline_s = GAP_DEADLINE_S
        """After the last progress."""
        self.failed = 0
        """Since the last progress."""
        self.begun_late = 0
        """How many answers since then began after what is missing."""
        self.progress_s = now_s
        self.retry_s = 0.0
        """Try no sooner."""

    def succeed(self, now_s: float) -> None:
        """Something was brought."""
        self.failed = self.begun_late = 0
        self._backoff.reset()
        self._deadline_s = GAP_DEADLINE_S
        self.progress_s = now_s
        self.retry_s = min(self.retry_s, now_s + PROGRESS_PAUSE_S)

    def fail(self, now_s: float, retry_after_s: float | None = None) -> None:
        """Nothing was; `retry_after_s` is what the exchange asks for."""
        self.failed += 1
        if is_block(retry_after_s):
            self._deadline_s = GAP_DEADLINE_S + BLOCK_S
        self.put_off(now_s + self._backoff.next_delay_s(retry_after_s=retry_after_s))

    def put_off(self, until_s: float) -> None:
        """Not before then."""
        self.retry_s = max(self.retry_s, until_s)

    def begins_late(self, now_s: float) -> bool:
        """An answer began after what is missing: whether so many have, over so long, that nothing earlier is kept."""
        self.begun_late += 1
        return self.begun_late >= BEGUN_LATE_MIN and now_s - self.progress_s >= BEGUN_LATE_S

    @property
    def is_hopeless(self) -> bool:
        """Whether the exchange asks for so long a wait that it is time to give up before the next try."""
        return self.retry_s - self.progress_s >= self._deadline_s + RETRY_CAP_S

    def is_over(self, now_s: float) -> bool:
        """Whether it is time to give up."""
        return now_s - self.progress_s >= self._deadline_s
