"""A live stream or a replay, for programmes that wait for it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType

from data_collector.client.answering.blocking import Answering
from data_collector.client.errors import Away, WrongQuestion
from data_collector.client.reading.delivery import PATIENCE_S, START_PATIENCE_S, Behind, Delivery, Patience, Source
from data_collector.client.reading.questions import WaitUntil
from data_collector.client.reading.streams import Batch
from data_collector.client.records import Item

WAIT_S = 0.5
"""For news, at a time."""

LONGEST_POLL_S = 86_400.0


class Live:
    """Iterating gives items; `batches` gives them together with the position behind them.

    What raises an error leaves it where it is: iterating again goes on.
    """

    def __init__(self, source: Source, answering: Answering, *, raises: bool) -> None:
        self._source = source
        self._answering = answering
        self._delivery = Delivery(source, raises=raises)
        self._waiting: deque[Item] = deque()
        """Of the newest batch, where its items are taken one by one."""
        self._is_closed = False
        self._position = ""
        self._patience = Patience(START_PATIENCE_S)
        self._begin()

    @property
    def position(self) -> str:
        """For `position=` of a later `live`: behind the newest batch of which every item was taken."""
        return self._position

    @property
    def is_caught_up(self) -> bool:
        """Whether nothing more waited when it looked last."""
        return self._source.is_caught_up and not self._waiting

    @property
    def behind(self) -> Behind:
        """How much waits in the streams now. Raises `StoreAway`."""
        return self._answering.finish(self._source.behind())

    @property
    def unreadable(self) -> int:
        """Entries of streams that no collector has written; they were passed over."""
        return self._source.unreadable

    def poll(self, timeout_s: float) -> Batch | None:
        """What has come: a batch without items when that is nothing, None at the end of a replay.

        Raises `GapFound`, `StoreAway`, `ApiAway` and `DatabaseAway` at once.
        """
        if (rest := self._rest()) is not None:
            return rest
        if not 0 <= timeout_s <= LONGEST_POLL_S:
            raise WrongQuestion(f"timeout_s={timeout_s!r}: seconds, from 0 to {LONGEST_POLL_S}.")
        until_s = time.monotonic() + timeout_s
        while True:
            batch = self._polled(until_s)
            self._position = self._delivery.position
            if batch is None or batch.items or time.monotonic() >= until_s:
                return batch

    def batches(self) -> Iterator[Batch]:
        """Batches with items, as they come."""
        while (batch := self._rest() or self._next()) is not None:
            self._position = batch.position
            if batch.items:
                yield batch

    def __iter__(self) -> Iterator[Item]:
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            self._position = self._delivery.position
            batch = self._next()
            if batch is None:
                return
            self._waiting.extend(batch.items)

    def close(self) -> None:
        """Iterating ends. The client stays open."""
        self._is_closed = True

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self) -> None:
        """The moment from which on it reads is now."""
        self._next()
        self._position, self._patience = self._delivery.position, Patience(START_PATIENCE_S)

    def _rest(self) -> Batch | None:
        """Of a batch of which some items were taken."""
        if not self._waiting:
            return None
        rest = Batch(list(self._waiting), self._delivery.position)
        self._waiting.clear()
        self._position = rest.position
        return rest

    def _next(self) -> Batch | None:
        """What is away is waited for, but not long at the beginning."""
        while True:
            try:
                batch = self._polled(time.monotonic() + WAIT_S)
            except Away as away:
                pause_s = self._patience.pause_s(time.monotonic(), away)
                if pause_s is None:
                    self._patience = Patience(self._patience.limit_s)
                    raise
                time.sleep(pause_s)
            else:
                self._patience.answered()
                self._patience.limit_s = PATIENCE_S
                return batch

    def _polled(self, until_s: float) -> Batch | None:
        """What has come; without items where nothing came until then."""
        while not self._is_closed:
            left_s = max(0.0, until_s - time.monotonic())
            self._source.block_ms = round(left_s * 1000)
            question = self._delivery.question()
            if question is None:
                return self._delivery.batch()
            if isinstance(question, WaitUntil) and question.at_s > until_s:
                time.sleep(left_s)
                return Batch((), self._delivery.position)
            self._delivery.answer(self._answering.answer(question))
        return None
