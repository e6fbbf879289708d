"""What we hold of an epoch that the store has closed: another collector has begun the next one.

Life cycle: the service makes one and runs it in a task. The stream takes nothing of that epoch any more. What it lacks
of it, and the spool has, goes to `late:` with its epoch; what turns out to have happened in the next one moves there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.records import known_origin
from data_collector.model.sink import EpochEnd, TradeRun, epoch_fields, place_of
from data_collector.observe.counters import Counters
from data_collector.pipeline.outlet.outlet import SIDE_MAX, Outlet
from data_collector.pipeline.outlet.pump import Question
from data_collector.pipeline.outlet.runs import parted
from data_collector.pipeline.spool.spool import Spool

LOOK_S = 0.5

READ_TRADES = 1_000
"""At a time: what is put aside has a bounded queue."""


class EndingSink(Protocol):
    """A sink that knows where its epochs end."""

    async def end_of_epoch(self, symbol: str, epoch: int) -> EpochEnd:
        """What it has of an epoch that is over. Raises `SinkUnavailable`."""


class ClosedEpochs:
    """One eternal task."""

    def __init__(
        self, outlet: Outlet, spool: Spool, sink: EndingSink, ask: Callable[[Question], Awaitable[None]],
        counters: Counters,
    ) -> None:  # fmt: skip
        """`ask` has the store asked between two batches."""
        self._outlet = outlet
        self._spool = spool
        self._sink = sink
        self._ask = ask
        self._counters = counters
        self._places: dict[str, tuple[int, EpochEnd]] = {}
        """Of the symbol that is seen to: from which id on, and what the store has told."""
        self.came_late: dict[str, tuple[int, int, float]] = {}
        """Symbol to the closed epoch, how many trades of it came too late for the stream, and when that was seen."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Once: some trades of the next symbol of which the store has closed an epoch."""
        symbol = next(iter(self._spool.closed), None)
        if symbol is None or self._outlet.side.waiting_entries > SIDE_MAX // 2:
            return
        self._outlet.end_runs()
        try:
            for epoch in self._spool.closed_epochs(symbol):
                if await self._put_aside(symbol, epoch):
                    return
        except (SinkUnavailable, Misconfigured):
            # The next look asks again.
            return
        self._spool.closed.discard(symbol)
        self._places.clear()

    async def _put_aside(self, symbol: str, epoch: int) -> bool:
        """Whether something was."""
        place = place_of(symbol, epoch)
        if place not in self._places:
            known_id = self._spool.confirmed_id(place)
            if known_id is not None and self._spool.following_id(place, known_id + 1) is None:
                return False
            end = await self._end(symbol, epoch)
            last_id = known_id if end.last_id is None else end.last_id
            if last_id is None:
                # From before a start: nobody knows any more what the stream had of it.
                return False
            self._places[place] = last_id + 1, end
        from_id, end = self._places[place]
        kept_id = self._spool.following_id(place, from_id)
        if kept_id is None:
            return False
        runs = await self._spool.read(place, kept_id, trades_max=READ_TRADES)
        end_id = runs[-1].first_id + runs[-1].count if runs else self._spool.end_id(place, kept_id)
        self._places[place] = end_id, end
        if end.next_ms is not None:
            runs, later = parted(runs, end.next_ms, end.next_epoch)
            self._outlet.keep_only(later)
        self._tell(symbol, epoch, self._put_late(runs, end.late_ids))
        if self._spool.confirmed_id(place) is not None:
            # Else it may have been put aside before a start.
            for refusal in (refusal for run in runs for refusal in run.refused.values()):
                self._outlet.side.put("quarantine", symbol, refusal.fields)
        return True

    async def _end(self, symbol: str, epoch: int) -> EpochEnd:
        found: list[EpochEnd] = []

        async def look() -> None:
            found.append(await self._sink.end_of_epoch(symbol, epoch))

        await self._ask(look)
        return found[0]

    def _put_late(self, runs: Sequence[TradeRun], late_ids: frozenset[int]) -> int:
        count = 0
        for run in runs:
            for index in range(run.count):
                if run.first_id + index in late_ids:
                    continue
                time_text, record = run.entries[2 * index : 2 * index + 2]
                _, _, marks = str(time_text).partition(" ")
                rules, _, source = marks.partition(" ")
                origin = known_origin(source or "ws", rules.split(","))
                fields = ("data", str(record), "why", "epoch_over", *origin.fields, *epoch_fields(run.epoch))
                self._outlet.side.put("late", run.symbol, fields)
                count += 1
        return count

    def _tell(self, symbol: str, epoch: int, count: int) -> None:
        if not count:
            return
        self._counters.add("data_collector_records_late_total", count, channel="trade")
        structlog.get_logger().warning("epoch_was_closed", symbol=symbol, epoch=epoch, too_late=count)
        before = self.came_late.get(symbol, (epoch, 0, 0.0))
        total = count + (before[1] if before[0] == epoch else 0)
        self.came_late[symbol] = epoch, total, time.monotonic()
