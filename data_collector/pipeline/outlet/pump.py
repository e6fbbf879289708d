"""Moves batches from the outlet to the sink, one at a time, for ever.

Life cycle: `run` until cancelled, then `drain` writes what is left. A batch that the sink did not take is written
again, the same, until it does: that is safe because sinks are idempotent. What comes meanwhile waits in the outlet.
What the store turns out to have lost makes the symbol fall behind; the refill brings it (`pipeline.repair.refill`).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import structlog

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.keys import Key
from data_collector.model.sink import Batch, Behind, Sink, TradeTail
from data_collector.observe.counters import Counters
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.outlet.symbol_queue import SymbolQueue

Question = Callable[[], Awaitable[None]]
"""What the store is asked between two batches: its connection serves one caller at a time."""

RETRY_FIRST_S = 0.05
RETRY_CAP_S = 2.0
VERIFY_S = 5.0
"""How often the store is asked whether it still has what it acknowledged, also of symbols that nothing comes of."""

BEAT_S = 1.0
"""How often the store is asked something while there is nothing to write: else nobody would know that it is held."""

BLOCKED_S = 1.0
"""How often it is tried whether an entry that is not ours has gone."""


class TradeOrigin(Protocol):
    """Where the trades come from, for what the store tells of a symbol."""

    def adopt_epoch(self, symbol: str, epoch: int, next_id: int) -> None:
        """Somebody else has begun an epoch, and the store wants this id of it next."""


class Pump:
    """The task of one sink."""

    def __init__(
        self, outlet: Outlet, sink: Sink, feed: TradeOrigin, counters: Counters, *, flush_s: float,
        go_back: Callable[[Behind], None],
    ) -> None:  # fmt: skip
        """`go_back` is told of klines that the store lacks."""
        self._feed = feed
        self._go_back = go_back
        self._outlet = outlet
        self._sink = sink
        self._counters = counters
        self._flush_s = flush_s
        self._batch: Batch | None = None
        self._questions: deque[Question] = deque()
        self._timer: asyncio.TimerHandle
        self._verify = False
        self._verify_s = 0.0
        """When that is due, by the loop's clock."""
        self._beat = False
        self.down_reason: str | None = None
        """What the sink said last, while it does not take batches."""

    @property
    def held(self) -> int:
        """Trades and klines in the batch that the sink has not taken yet."""
        batch = self._batch
        return 0 if batch is None else sum(run.count for run in batch.trades) + sum(map(len, batch.klines))

    @property
    def oldest_ns(self) -> int:
        """Receive time of the oldest trade in it that came from a stream; 0 without one."""
        runs = [] if self._batch is None else self._batch.trades
        return min((run.oldest_ns for run in runs if run.oldest_ns), default=0)

    def holds(self, symbol: str) -> bool:
        """Whether the batch that is being written has something of the symbol."""
        batch = self._batch
        return batch is not None and (
            any(run.symbol == symbol for run in batch.trades)
            or any(part[0].kline.symbol == symbol for part in batch.klines)
        )

    async def ask(self, question: Question) -> None:
        """Have something asked by the task that has the store; bounded by the caller's deadline.

        Raises what the question raises.
        """
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def put() -> None:
            if answered.cancelled():
                return
            try:
                await question()
            except Exception as error:  # noqa: BLE001 - a bug too is raised where it was asked, and supervised there
                if not answered.done():
                    answered.set_exception(error)
            else:
                if not answered.done():
                    answered.set_result(None)

        self._questions.append(put)
        self._outlet.waiting.set()
        await answered

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        self._tick(loop)
        try:
            while True:
                if self._batch is None:
                    await self._outlet.waiting.wait()
                started = loop.time()
                await self._write_next()
                # A pause gathers records, so that each costs less; a full flush does not wait.
                pause_s = started + self._flush_s - loop.time()
                if pause_s > 0:
                    await asyncio.sleep(pause_s)
        finally:
            self._timer.cancel()

    async def drain(self) -> None:
        """Write what is left, once `run` is over and nothing comes any more; bounded by the caller's deadline."""
        while self._batch is not None or self._outlet.waiting.is_set():
            await self._write_next()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        # The store is asked between two batches: its connection serves one caller at a time.
        self._beat = True
        if loop.time() >= self._verify_s:
            self._verify, self._verify_s = True, loop.time() + VERIFY_S
        self._outlet.waiting.set()
        self._timer = loop.call_later(min(BEAT_S, VERIFY_S), self._tick, loop)

    async def _write_next(self) -> None:
        while self._questions:
            await self._questions.popleft()()
        if self._verify:
            self._verify = False
            await self.verify_tails()
        if self._batch is None:
            batch = self._outlet.take()
            if not batch:
                await self._ask_whether_it_answers()
                return
            self._batch = batch
        batch, started = self._batch, time.perf_counter()
        await self._write(batch)
        self._batch = None
        self._beat = False
        self._counters.observe("data_collector_store_flush_seconds", time.perf_counter() - started)
        self._note_way(batch)

    async def _ask_whether_it_answers(self) -> None:
        symbol = next((queue.symbol for queue in self._outlet.queues.values() if queue.next_id >= 0), None)
        if self._beat and symbol is not None:
            # If not, the next batch will say so.
            with suppress(SinkUnavailable, Misconfigured):
                await self._sink.tails([symbol])
        self._beat = False

    def _note_way(self, batch: Batch) -> None:
        """Of one trade: a way that is slow is so for the whole connection, and measuring every trade would cost."""
        run = batch.trades[-1] if batch.trades else None
        if run is None or not run.newest_ns or not run.entries:
            return
        time_ms = run.entries[-2]
        # What the rules have marked may lie about its time.
        if isinstance(time_ms, int):
            way_s = run.newest_ns / 1e9 - time_ms / 1e3
            self._counters.observe("data_collector_traded_to_received_seconds", way_s)

    async def verify_tails(self) -> None:
        """Symbols that nothing is written of now: the store may have lost their newest trades unnoticed."""
        if self._batch is not None:
            # It holds what the store lacks.
            return
        queues = [
            queue for queue in self._outlet.queues.values()
            if queue.next_id >= 0 and queue.symbol not in self._outlet.debts and not queue.has_trades
            and not queue.begins
        ]  # fmt: skip
        try:
            tails = await self._sink.tails([queue.symbol for queue in queues]) if queues else {}
        except (SinkUnavailable, Misconfigured):
            # The next batch will say so.
            return
        for queue in queues:
            symbol = queue.symbol
            tail = tails.get(symbol)
            if self._outlet.queues.get(symbol) is not queue:
                continue
            if symbol not in tails:
                self.note_behind(Behind(Key("trade", symbol), None, queue.epoch))
            elif tail is not None and not queue.has_trades and _is_apart(tail, queue):
                self.note_behind(Behind(Key("trade", symbol), tail.last_id + 1, tail.epoch))

    def note_behind(self, behind: Behind) -> None:
        """The store lacks something: the refill brings it."""
        symbol, due_id = behind.key.symbol, behind.due
        if symbol not in self._outlet.queues:
            # It is collected no longer.
            return
        queue = self._outlet.queues[symbol]
        if behind.epoch > queue.epoch:
            self._feed.adopt_epoch(symbol, behind.epoch, -1 if due_id is None else due_id)
            if due_id is None:
                # The store knows its epoch, and has lost the trades.
                self._counters.add("data_collector_store_wipes_total")
                self._outlet.resume(symbol, -1, lost=True)
            return
        if behind.blocked:
            self._outlet.fall_behind(symbol, due_id, behind.epoch)
            debt = self._outlet.debts.get(symbol)
            assert debt is not None, "it fell behind"
            debt.probes = True
            debt.attempts.put_off(time.monotonic() + BLOCKED_S)
            return
        is_wiped = due_id is None
        self._counters.add("data_collector_store_wipes_total" if is_wiped else "data_collector_store_rollbacks_total")
        structlog.get_logger().warning("store_behind", symbol=symbol, due=due_id, next_id=queue.next_id)
        self._outlet.fall_behind(symbol, due_id, None if is_wiped else behind.epoch)

    async def _write(self, batch: Batch) -> None:
        delay_s = RETRY_FIRST_S
        while True:
            try:
                behind = await self._sink.write(batch)
            except (SinkUnavailable, Misconfigured) as error:
                # It took records before: a right or a password that was changed can be changed back, and the
                # spool keeps what comes meanwhile. Only a start ends with it.
                if self.down_reason is None:
                    structlog.get_logger().warning("store_down", reason=str(error))
                self.down_reason = str(error)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_CAP_S)
                continue
            if self.down_reason is not None:
                self.down_reason = None
                structlog.get_logger().info("store_up")
            self._settle(batch, behind)
            return

    def _settle(self, batch: Batch, behind: list[Behind]) -> None:
        for run in batch.trades:
            self._outlet.confirm(run.symbol, run.epoch, run.first_id + run.count - 1)
        for each in behind:
            if each.key.channel == "trade":
                self.note_behind(each)
            else:
                self._go_back(each)


def _is_apart(tail: TradeTail, queue: SymbolQueue) -> bool:
    """Whether the store lacks what it was given, or is in an epoch that somebody else has begun."""
    return tail.epoch > queue.epoch or tail.place < (queue.epoch, queue.next_id - 1)
