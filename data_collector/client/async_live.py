"""A live stream or a replay, for programmes with an event loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType

from data_collector.client.answering.awaiting import AsyncAnswering
from data_collector.client.errors import Away, WrongQuestion
from data_collector.client.live import LONGEST_POLL_S, WAIT_S
from data_collector.client.reading.delivery import PATIENCE_S, START_PATIENCE_S, Behind, Delivery, Patience, Source
from data_collector.client.reading.questions import WaitUntil
from data_collector.client.reading.streams import Batch
from data_collector.client.records import Item


class AsyncLive:
    """Iterating gives items; `batches` gives them together with the position behind them.

    What raises an error leaves it where it is: iterating again goes on.
    """

    def __init__(self, source: Source, answering: AsyncAnswering, *, raises: bool) -> None:
        self._source = source
        self._answering = answering
        self._delivery = Delivery(source, raises=raises)
        self._waiting: deque[Item] = deque()
        """Of the newest batch, where its items are taken one by one."""
        self._is_closed = False
        self._position = ""
        self._patience = Patience(START_PATIENCE_S)

    async def begun(self) -> AsyncLive:
        """The moment from which on it reads is now."""
        await self._next()
        self._position, self._patience = self._delivery.position, Patience(START_PATIENCE_S)
        return self

    @property
    def position(self) -> str:
        """For `position=` of a later `live`: behind the newest batch of which every item was taken."""
        return self._position

    @property
    def is_caught_up(self) -> bool:
        """Whether nothing more waited when it looked last."""
        return self._source.is_caught_up and not self._waiting

    async def behind(self) -> Behind:
        """How much waits in the streams now. Raises `StoreAway`."""
        return await self._answering.finish(self._source.behind())

    @property
    def unreadable(self) -> int:
        """Entries of streams that no collector has written; they were passed over."""
        return self._source.unreadable

    async def poll(self, timeout_s: float) -> Batch | None:
        """What has come: a batch without items when that is nothing, None at the end of a replay.

        Raises `GapFound`, `StoreAway`, `ApiAway` and `DatabaseAway` at once.
        """
        if (rest := self._rest()) is not None:
            return rest
        if not 0 <= timeout_s <= LONGEST_POLL_S:
            raise WrongQuestion(f"timeout_s={timeout_s!r}: seconds, from 0 to {LONGEST_POLL_S}.")
        until_s = time.monotonic() + timeout_s
        while True:
            batch = await self._polled(until_s)
            self._position = self._delivery.position
            if batch is None or batch.items or time.monotonic() >= until_s:
                return batch

    async def batches(self) -> AsyncIterator[Batch]:
        """Batches with items, as they come."""
        while (batch := self._rest() or await self._next()) is not None:
            self._position = batch.position
            if batch.items:
                yield batch

    async def __aiter__(self) -> AsyncIterator[Item]:
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            self._position = self._delivery.position
            batch = await self._next()
            if batch is None:
                return
            self._waiting.extend(batch.items)

    def close(self) -> None:
        """Iterating ends. The client stays open."""
        self._is_closed = True

    async def __aenter__(self) -> AsyncLive:
        return self

    async def __aexit__(
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

    async def _next(self) -> Batch | None:
        """What is away is waited for, but not long at the beginning."""
        while True:
            try:
                batch = await self._polled(time.monotonic() + WAIT_S)
            except Away as away:
                pause_s = self._patience.pause_s(time.monotonic(), away)
                if pause_s is None:
                    self._patience = Patience(self._patience.limit_s)
                    raise
                await asyncio.sleep(pause_s)
            else:
                self._patience.answered()
                self._patience.limit_s = PATIENCE_S
                return batch

    async def _polled(self, until_s: float) -> Batch | None:
        """What has come; without items where nothing came until then."""
        while not self._is_closed:
            left_s = max(0.0, until_s - time.monotonic())
            self._source.block_ms = round(left_s * 1000)
            question = self._delivery.question()
            if question is None:
                return self._delivery.batch()
            if isinstance(question, WaitUntil) and question.at_s > until_s:
                await asyncio.sleep(left_s)
                return Batch((), self._delivery.position)
            self._delivery.answer(await self._answering.answer(question))
        return None
