"""Market Memory as one part of the HTTP process: its child is started, asked, and brought back."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Final, Literal

from msgspec import structs

from data_collector.api.answers import MemoryStatus
from data_collector.api.series.reading import SeriesReading
from data_collector.api.series.window import smallest
from data_collector.child import Child, Link, LinkLost, start_child
from data_collector.model.backoff import Backoff
from data_collector.model.errors import Transient
from data_collector.model.status import Sample, Snapshot
from data_collector.observe.logs import get_log, name_exchange
from data_collector.service.memory.messages import TOLD, Orders, Progress, Question, Refusal, Reply, Told, Unable
from data_collector.settings import Settings
from data_collector.time_limit import time_limit

COMMAND: Final = (sys.executable, "-m", "data_collector.service.memory")
"""`--fd N` is appended: the end of the socket pair on which it hears from us."""

START_LATEST_S: Final = 60.0
"""It begins when everything else is ready, and so long after the store is known at the latest."""

LOOK_S: Final = 1.0
SILENT_S: Final = 60.0
"""It speaks every second: past this it is stuck."""

ANSWER_S: Final = 20.0
"""A question takes some milliseconds; a child that answers none for so long is ended."""

QUESTIONS_MAX: Final = 16
"""That wait at a time; one is answered after the other."""

RESTART_FIRST_S: Final = 0.5
RESTART_LONGEST_S: Final = 30.0
STOP_S: Final = 1.0
"""One that is killed loses nothing: what it keeps on disk is whole up to its last candle."""

COME_BACK_S: Final = 2.0
FAULTS_TOLD: Final = 3

MEMORY_FOLDER: Final = "memory"

Outcome = Literal["answered", "wrong", "conflict", "later", "failed"]


class MarketMemory:
    """`run` is kept up by the application. Nothing of it can disturb anything else."""

    def __init__(self, settings: Settings, status: Callable[[], Awaitable[Snapshot]], series: SeriesReading) -> None:
        """`status` tells the collector's state; `series` knows where the stores are."""
        self.is_on = settings.memory
        self._exchange = settings.exchange
        self.api_url: str | None = None
        """Where this very service is found; None: where clients look for it."""
        self._status = status
        self._series = series
        self._child: Child[Told] | None = None
        self._starts = 0
        self._progress: Progress | None = None
        self._down_reason: str | None = None
        self._is_unable = False
        self._ended_for: str | None = None
        """Why we hang up on a child."""
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Reply | Refusal]] = {}
        """Until they are answered, also when nobody waits for it any more."""
        self._answered = 0
        """Questions."""
        self._questions: asyncio.Queue[Question] = asyncio.Queue()
        self._outcomes: Counter[Outcome] = Counter()
        self._log = get_log()

    async def run(self) -> None:
        """Keep a child until cancelled, or until there can be none."""
        name_exchange(self._exchange)
        backoff = Backoff(RESTART_FIRST_S, RESTART_LONGEST_S, jitter=False)
        while self.is_on and not self._is_unable:
            orders = await self._orders()
            started_s = time.monotonic()
            self._starts += 1
            try:
                reason = await self._serve(orders)
            except OSError as error:
                reason = f"its process cannot be started ({error.strerror})"
            except Exception:  # noqa: BLE001 - nothing of it may disturb anything else
                self._log.exception("memory_failed")
                reason = "it has a bug, which the log tells more of"
            if reason is None:
                # Other orders: nothing has failed.
                continue
            self._down_reason = reason
            self._log.error("memory_ended", reason=reason, is_final=self._is_unable)
            if not self._is_unable:
                await asyncio.sleep(backoff.next_delay_s(served_s=time.monotonic() - started_s))

    async def ask(self, question: Question) -> Reply | Refusal:
        """The child's answer; `number` of the question is given here. Raises `Transient` while there is none."""
        if self._is_unable:
            raise Transient(f"Market Memory cannot work here: {self._down_reason}")
        child = self._child
        if child is None or self._progress is None:
            why = "is starting" if self._down_reason is None else f"is being started again: {self._down_reason}"
            self._outcomes["later"] += 1
            raise Transient(f"Market Memory {why}; come back in a moment.", retry_after_s=COME_BACK_S)
        if len(self._waiting) >= QUESTIONS_MAX:
            self._outcomes["later"] += 1
            raise Transient("Too many questions wait for Market Memory; come back in a moment.", retry_after_s=1.0)
        answered = self._answered
        numbered = structs.replace(question, number=next(self._numbers))
        answer: asyncio.Future[Reply | Refusal] = asyncio.get_running_loop().create_future()
        self._waiting[numbered.number] = answer
        self._questions.put_nowait(numbered)
        try:
            async with time_limit(ANSWER_S):
                told = await answer
        except TimeoutError:
            self._outcomes["failed"] += 1
            if self._answered == answered:
                self._ended_for = f"its process has answered nothing for {ANSWER_S:g} s"
                child.link.close()
            raise Transient(
                f"Market Memory has not answered within {ANSWER_S:g} s.", retry_after_s=COME_BACK_S
            ) from None
        except Transient:
            self._outcomes["failed"] += 1
            raise
        self._outcomes["answered" if isinstance(told, Reply) else told.kind] += 1
        return told

    def status(self) -> MemoryStatus:
        """For `/status`."""
        if not self.is_on:
            return MemoryStatus()
        progress = self._progress or Progress()
        state: Literal["starting", "filling", "running", "down"] = "running"
        if self._down_reason is not None:
            state = "down"
        elif self._progress is None:
            state = "starting"
        elif progress.filling:
            state = "filling"
        restarts = max(0, self._starts - 1)
        return MemoryStatus(
            state, self._down_reason, progress.candles, progress.filling, restarts, progress.resident_bytes
        )

    @property
    def reasons(self) -> list[str]:
        """For `/health`."""
        if self._down_reason is not None:
            cure = "" if self._is_unable else "; it is started again"
            return [f"memory: /similar does not answer: {self._down_reason}{cure}"]
        progress = self._progress or Progress()
        told = [f"memory: {series} does not follow the market: {why}" for series, why in progress.faults.items()]
        return told[:FAULTS_TOLD] + progress.dropped_reasons

    def samples(self) -> list[Sample]:
        """For the metrics page."""
        if not self.is_on:
            return []
        progress = self._progress or Progress()
        is_up = self._progress is not None and self._down_reason is None
        return [
            Sample("data_collector_memory_up", is_up),
            Sample("data_collector_memory_starts_total", self._starts),
            Sample("data_collector_memory_candles", sum(progress.candles.values())),
            Sample("data_collector_memory_resident_bytes", progress.resident_bytes),
            *(
                Sample("data_collector_memory_questions_total", number, {"outcome": outcome})
                for outcome, number in self._outcomes.items()
            ),
        ]

    async def _orders(self) -> Orders:
        """What to do, once that is known and everything else is ready."""
        known_s: float | None = None
        while True:
            snapshot = await self._status()
            place = self._series.place(snapshot)
            if place.store_url is not None and snapshot.folder is not None and place.database_awaited is None:
                known_s = time.monotonic() if known_s is None else known_s
                # The tables of a database that is new are made when it is there.
                is_ready = snapshot.ready and snapshot.history.state != "down"
                if self._starts or is_ready or time.monotonic() - known_s > START_LATEST_S:
                    break
            # Another process's state has no event that we could wait for.
            await asyncio.sleep(LOOK_S)
        assert snapshot.folder is not None, "that is waited for"
        assert place.store_url is not None, "that is waited for"
        has_candles = "kline" in snapshot.channels and bool(snapshot.intervals)
        series = [(symbol, smallest(snapshot.intervals)) for symbol in snapshot.symbols if has_candles]
        folder = str(Path(snapshot.folder, MEMORY_FOLDER))
        source, database = snapshot.source or "", place.database_url or ""
        return Orders(place.store_url, self.api_url, database, source, place.exchange, folder, series)

    async def _serve(self, orders: Orders) -> str | None:
        """Start the child and hear from it until it ends; returns why that was, None for other orders."""
        child = await start_child(COMMAND, TOLD)
        self._child, self._questions, self._ended_for = child, asyncio.Queue(), None
        self._log.info("memory_started", pid=child.pid)
        asking = asyncio.create_task(self._send(child.link, orders))
        watching = asyncio.create_task(self._until_other_orders(orders))
        listening = asyncio.create_task(self._listen(child.link))
        try:
            await asyncio.wait((listening, watching), return_when=asyncio.FIRST_COMPLETED)
            return listening.result() if listening.done() else None
        finally:
            for task in (asking, watching, listening):
                task.cancel()
            self._child = self._progress = None
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(Transient("Market Memory is being started again.", retry_after_s=COME_BACK_S))
            self._waiting.clear()
            await child.end(STOP_S)

    async def _send(self, link: Link[Told], orders: Orders) -> None:
        with contextlib.suppress(LinkLost):
            await link.send(orders)
            while True:
                await link.send(await self._questions.get())

    async def _listen(self, link: Link[Told]) -> str:
        while True:
            try:
                async with time_limit(SILENT_S):
                    told = await link.receive()
            except LinkLost:
                return self._ended_for or "its process has died"
            except TimeoutError:
                return f"its process was silent for {SILENT_S:.0f} s and was ended"
            match told:
                case Progress():
                    self._progress, self._down_reason = told, None
                case Unable(reason):
                    self._is_unable = True
                    return reason
                case Reply() | Refusal():
                    self._answered += 1
                    answer = self._waiting.pop(told.number, None)
                    if answer is not None and not answer.done():
                        answer.set_result(told)

    async def _until_other_orders(self, orders: Orders) -> None:
        is_same = True
        while is_same:
            # Another process's state has no event that we could wait for.
            await asyncio.sleep(LOOK_S)
            # Of other symbols some is remembered when it is asked for.
            is_same = structs.replace(await self._orders(), series=orders.series) == orders
