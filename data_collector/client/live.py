"""A live stream or a replay, for programmes that wait for it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType

from data_collector.client.answering.blocking import Answering
from data_collector.client.errors import Away
from data_collector.client.reading.delivery import PATIENCE_S, START_PATIENCE_S, Behind, Delivery, Patience, Source
from data_collector.client.reading.streams import Batch
from data_collector.client.records import Item

WAIT_S = 0.5
"""For news, at a time."""


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
        self._patience_s = START_PATIENCE_S
        self.poll(0)

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
        batch = self._polled(timeout_s)
        self._position = self._delivery.position
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
        patience = Patience(self._patience_s)
        while True:
            try:
                batch = self._polled(WAIT_S)
            except Away:
                pause_s = patience.pause_s(time.monotonic())
                if pause_s is None:
                    raise
                time.sleep(pause_s)
            else:
                self._patience_s = PATIENCE_S
                return batch

    def _polled(self, timeout_s: float) -> Batch | None:
        self._source.block_ms = round(timeout_s * 1000)
        while not self._is_closed and (question := self._delivery.question()) is not None:
            self._delivery.answer(self._answering.answer(question))
        return None if self._is_closed else self._delivery.batch()
