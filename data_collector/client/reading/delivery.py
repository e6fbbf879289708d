"""Batches on their way to a programme: what is asked next, what was handed on, and how far that is."""

from __future__ import annotations

import logging
from typing import Protocol

from msgspec import Struct

from data_collector.client.errors import Away, GapFound, WrongQuestion
from data_collector.client.reading.questions import Plan, Question
from data_collector.client.reading.streams import Batch, Run
from data_collector.client.records import Gap

PATIENCE_S = 60.0
"""So long a live stream waits for what is away, before it says so."""

START_PATIENCE_S = 3.0
"""The same before it has given anything: who has just started it wants to know."""

LONGEST_PAUSE_S = 5.0

_log = logging.getLogger("data_collector.client")

INTERRUPTED = "Reading was interrupted in the midst of a step: go on with a new live(position=…) from live.position."


class Behind(Struct, frozen=True):
    """How much waits in the streams."""

    entries: int
    """Of a stream 10,000 at most are counted."""
    seconds: float
    """Between the newest entry of the stream that is furthest behind and the one that was read last."""


class Source(Protocol):
    """A live stream or a replay."""

    block_ms: int
    """At most so long it waits for news."""
    is_caught_up: bool
    """Whether nothing more waited when it looked last."""

    @property
    def unreadable(self) -> int:
        """Entries of streams that no collector has written."""

    def run(self) -> Run:
        """All of it; the first batch is empty and tells where it begins."""

    def behind(self) -> Plan[Behind]:
        """How much waits now."""


class Delivery:
    """A question is kept until it is answered, so that nothing is lost when somebody is away.

    With `raises`, gaps are raised, which passes over them: the position still stands before.
    """

    def __init__(self, source: Source, *, raises: bool) -> None:
        self._run = source.run()
        self._raises = raises
        self._step: Question | Batch | None = next(self._run)
        self._is_taken = False
        self._failed: Exception | None = None
        self.position = ""
        """Behind the batch that was handed on last."""

    def question(self) -> Question | None:
        """None where a batch is ready, or nothing is to come."""
        if self._failed is not None:
            raise self._failed
        if self._is_taken:
            self.answer(None)
        return None if self._step is None or isinstance(self._step, Batch) else self._step

    def answer(self, answer: object) -> None:
        """Of the question."""
        self._is_taken = False
        try:
            self._step = self._run.send(answer)
        except StopIteration:
            self._step = None
        except BaseException as error:
            # What ends a run is no end of the series.
            self._failed = error if isinstance(error, Exception) else WrongQuestion(INTERRUPTED)
            raise

    def batch(self) -> Batch | None:
        """The one that is ready; None at the end. Raises `GapFound`."""
        batch = self._step
        if not isinstance(batch, Batch):
            return None
        first = batch.items[0] if batch.items else None
        if self._raises and isinstance(first, Gap):
            self._step = Batch(batch.items[1:], batch.position)
            raise GapFound(first)
        self._is_taken = True
        self.position = batch.position
        return batch


class Patience:
    """When to ask again somebody who is away. The log has when that began, and when it was over; not a short one."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._since_s: float | None = None
        self._pause_s = 0.0
        self._is_told = False

    def pause_s(self, now_s: float, away: Away) -> float | None:
        """None when it is over."""
        if self._since_s is None:
            self._since_s, self._is_told = now_s, self.limit_s > START_PATIENCE_S
            if self._is_told:
                _log.warning("%s It is asked again for %.0f s.", away, self.limit_s)
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s + 0.1)
        return None if now_s - self._since_s + self._pause_s > self.limit_s else self._pause_s

    def answered(self) -> None:
        """Nobody is away any more."""
        if self._is_told:
            _log.warning("What was away answers again, and reading goes on where it was.")
        self._since_s, self._pause_s, self._is_told = None, 0.0, False
