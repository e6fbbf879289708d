"""Streams that the exchange will not give, of one line over all its connections. Pure, but for the clock and the dice.

Life cycle: a line makes one. Its conversations ask in `portions`, and `judge` what became of each request. A refusal
that does not tell which stream it means puts the request's streams in doubt: they are asked for by halves, also on the
next connection where the refusal has cost this one. What is found is left out and asked for again now and then, so that
the others flow meanwhile.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence

from msgspec import Struct

from data_collector.model.venue import Request
from data_collector.pipeline.connections.asked import Asked

AGAIN_S = (240.0, 360.0)
"""When a refused stream is asked for again, at random: symbols are listed at any time."""

SOON_S = (10.0, 20.0)
"""The same where the reason passes, or no answer came."""

CUT_S = 2.0
"""A connection that ends so soon after a refusal was probably ended because of it."""

CUTS_MAX = 2
"""A stream that has cost so many connections is not asked for any more beside others."""

UNANSWERED = "no answer"


class RefusedStream(Struct):
    """A stream that is left out."""

    words: str
    """The exchange's."""
    by_name: bool
    """The refusal named its symbol: asking again for many such streams together hurts none."""
    again_s: float
    cuts: int = 0
    """How many connections it has probably cost to ask for it."""

    @property
    def is_final(self) -> bool:
        """Whether it is not asked for again, unless there are no others."""
        return self.cuts >= CUTS_MAX


class RefusedStreams:
    """What is refused, and what is in doubt."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.found: dict[str, RefusedStream] = {}
        self._doubted: list[list[str]] = []
        """Each part holds a refused stream, or came from a half of such a part."""
        self._newest: list[str] = []
        """Refused by the newest answer, at `_newest_s`."""
        self._newest_s = 0.0

    def portions(self, streams: Sequence[str]) -> list[list[str]]:
        """In which parts to ask for streams: first those of which nothing bad is known.

        Refused ones are left out, unless there are no others: a connection without streams is of no use.
        """
        wanted = set(streams).difference(self.found)
        doubted = [[stream for stream in part if stream in wanted] for part in self._doubted]
        wanted.difference_update(*doubted)
        parts = [[stream for stream in streams if stream in wanted], *doubted]
        return [part for part in parts if part] or [list(streams)]

    def judge(self, asked: Asked, *, is_over: bool = True) -> list[list[str]]:
        """Learn what became of a request that asked for streams; the parts in which to ask again at once.

        It `is_over` unless its connection ended before the last answer.
        """
        self._settle(asked.request)
        self._newest, self._newest_s = [], self._clock()
        self.accept(asked.agreed)
        again_s, soon_s = (self._newest_s + random.uniform(*window) for window in (AGAIN_S, SOON_S))
        for stream, refused in asked.refused.items():
            self._leave_out(stream, RefusedStream(refused.error, True, soon_s if refused.passes else again_s))
        if asked.refusal is None:
            for stream in asked.waiting if is_over else ():
                self._leave_out(stream, RefusedStream(UNANSWERED, True, soon_s))
            return []
        if len(asked.waiting) == 1:
            self._leave_out(next(iter(asked.waiting)), RefusedStream(asked.refusal.error, False, again_s))
            return []
        parts = _halves(asked.waiting)
        self._doubted += parts
        return parts

    def blame(self) -> None:
        """A connection has ended, perhaps because of what it was asked for last."""
        if self._clock() - self._newest_s < CUT_S:
            for stream in self._newest:
                if stream in self.found:
                    self.found[stream].cuts += 1
        self._newest = []

    def accept(self, streams: Collection[str]) -> None:
        """The exchange gives them."""
        self.keep(self.found.keys() - streams)

    def due(self) -> list[list[str]]:
        """In which parts to ask again now: those that were refused by name together, the others one at a time."""
        now_s = self._clock()
        due = {stream: each for stream, each in self.found.items() if each.again_s <= now_s and not each.is_final}
        named = [stream for stream, each in due.items() if each.by_name]
        parts = [named] if named else [[stream] for stream in due][:1]
        for part in parts:
            for stream in part:
                # Should no answer come.
                due[stream].again_s = now_s + random.uniform(*SOON_S)
        return parts

    def keep(self, streams: Collection[str]) -> None:
        """The line carries these alone from now on."""
        self.found = {stream: each for stream, each in self.found.items() if stream in streams}
        self._newest = [stream for stream in self._newest if stream in streams]

    def _leave_out(self, stream: str, refused: RefusedStream) -> None:
        if stream in self.found:
            refused.cuts = self.found[stream].cuts
        self.found[stream] = refused
        self._newest.append(stream)

    def _settle(self, request: Request) -> None:
        """Nothing of it is in doubt any more."""
        parts = [[stream for stream in part if stream not in request.streams] for part in self._doubted]
        self._doubted = [part for part in parts if part]


def _halves(waiting: dict[str, str]) -> list[list[str]]:
    """By symbol as long as there are several: the streams of one are mostly refused together."""
    symbols = list(dict.fromkeys(waiting.values()))
    streams = list(waiting)
    if len(symbols) == 1:
        return [streams[: len(streams) // 2], streams[len(streams) // 2 :]]
    first = set(symbols[: len(symbols) // 2])
    return [[stream for stream in streams if (waiting[stream] in first) == wanted] for wanted in (True, False)]
