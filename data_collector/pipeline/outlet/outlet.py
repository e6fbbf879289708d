r"""Between the intake and the sink: what waits to be written.

Life cycle: the service makes one outlet with a queue per symbol; the intake puts records in, synchronously; the pump
takes a batch, writes it, and takes the next. Nothing else writes to a queue, and everything is on one event loop.
Every run of trades goes to the spool too, so that what the store loses, or cannot take now, can be brought again:
such a symbol is in debt (`pipeline.outlet.debts`), and the refill puts the runs in.

| what | when more comes than the sink takes |
|---|---|
| trades | kept in memory up to `records_max` in all; then new ones are in the spool alone, and the refill brings \
them in order when the store takes records again |
| closed klines | kept up to `records_max`; then the newest are dropped and counted; the store tells what it misses |
| open klines | conflated: of each interval only the newest waits |
| what monotonic channels bring (tickers) | conflated: only the newest waits |
| quarantined and late records | kept up to `side_max`; then the newest are dropped and counted |
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence

from data_collector.model.channels import CHANNEL_OF, CHANNELS, NewestRecord
from data_collector.model.gaps import Gap, add_gap
from data_collector.model.records import Kline, Sourced, Trade, received_origin
from data_collector.model.sink import Batch, KlineUpdate, NewestUpdate, Refusal, TradeRun, epoch_fields, place_of
from data_collector.model.wire import kline_json, trade_json
from data_collector.pipeline.gaps.ranges import common
from data_collector.pipeline.outlet.debts import Debt, Debts
from data_collector.pipeline.outlet.runs import RUN_ENTRIES_MAX, Gathering, entry_time
from data_collector.pipeline.outlet.side_queue import SideQueue
from data_collector.pipeline.outlet.symbol_queue import SymbolQueue
from data_collector.pipeline.spool.spool import Spool

RECORDS_MAX = 100_000
"""About 28 MB of trades: 20 s at 5,000 trades/s."""

SIDE_MAX = 5_000
"""Quarantined records carry up to 4 KiB each."""

BATCH_RECORDS_MAX = 20_000
"""What one flush takes at most, so that acknowledgements keep coming while a backlog drains."""

REFUSED_MAX = 20_000
"""Refused trades that wait to be written; those beyond are dropped and counted."""

KEEP_S = 0.02
"""How long runs are gathered before they go to the spool."""

RUNS_PER_TAKE = 50
"""Of one symbol in one flush: 10,000 trades."""


class Outlet:
    """All queues, and what does not belong to a symbol."""

    def __init__(
        self, symbols: list[str], spool: Spool, *, records_max: int = RECORDS_MAX, side_max: int = SIDE_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.queues = {symbol: SymbolQueue(symbol) for symbol in symbols}
        """To read: what is written goes through the outlet."""
        self.debts = Debts(clock)
        self.waiting = asyncio.Event()
        """Set while there is something to take."""
        self.records = 0
        """Trades and closed klines that wait."""
        self.spooled_only = 0
        """Trades that memory had no room for: the spool has them."""
        self.dropped: dict[str, int] = {"kline": 0, "quarantine": 0, "late": 0}
        self.conflated = {name: 0 for name, channel in CHANNELS.items() if channel.continuity != "contiguous"}
        self._spool = spool
        self._gathering = Gathering(spool)
        self.records_max = records_max
        self.side = SideQueue(side_max, self.dropped, self.waiting)
        self._dirty: deque[SymbolQueue] = deque()
        self._refusals = 0

    @property
    def is_full(self) -> bool:
        """Whether memory has no room for more trades and closed klines."""
        return self.records >= self.records_max

    def oldest_ns(self) -> int:
        """Receive time of the oldest trade that waits in memory and came from a stream; 0 without one."""
        oldest = (queue.runs[0].oldest_ns if queue.runs else queue.oldest_ns for queue in self._dirty)
        return min(filter(None, oldest), default=0)

    def epoch_of(self, symbol: str) -> int:
        """In which the trade ids of a symbol are."""
        queue = self.queues.get(symbol)
        return 0 if queue is None else queue.epoch

    def waits(self, symbol: str) -> bool:
        """Whether something of the symbol is to be written by us, now or later."""
        queue, debt = self.queues[symbol], self.debts.get(symbol)
        return queue.dirty or bool(queue.runs) or (debt is not None and not debt.stands_by)

    def add(self, symbol: str) -> None:
        """A symbol is collected from now on."""
        self.queues[symbol] = SymbolQueue(symbol)

    def remove(self, symbol: str) -> int:
        """A symbol is collected no longer, and nothing comes any more; how many records nobody has taken.

        Its trades are in the spool.
        """
        queue = self.queues[symbol]
        self._end_run(queue)
        self._gathering.flush()
        left = queue.drop_runs() + len(queue.closed)
        self.records -= left
        self._refusals -= len(queue.refused)
        del self.queues[symbol]
        if queue.dirty:
            self._dirty.remove(queue)
        self.debts.close(symbol)
        return left

    def resume(self, symbol: str, next_id: int, *, origin_id: int = -1, lost: bool = False) -> None:
        """Collection begins, and this trade comes next, or is not known (-1); `origin_id`: the store's first one.

        `lost`: neither the store nor the spool has a trade of it, and the store had.
        """
        queue = self.queues[symbol]
        queue.lost = lost
        queue.origin_id = origin_id
        queue.start(next_id)

    def begin(self, symbol: str, first_id: int) -> None:
        """The first trade of a symbol, or of an epoch, that nothing is known of comes next."""
        queue = self.queues[symbol]
        queue.start(first_id)
        if symbol in self.debts:
            # What is before it is brought first, and then it is found out where this begins.
            return
        if queue.lost:
            # From before the first trade, as far back as a start fills.
            queue.lost = False
            self.fall_behind(symbol, None)
        else:
            queue.origin_id = first_id
            queue.begin_behind(-1)

    def put_trade(self, trade: Trade, warnings: tuple[str, ...] = ()) -> None:
        """The trade follows the one before it, or what was passed over since."""
        queue = self.queues[trade.symbol]
        entries = queue.entries
        if len(entries) >= RUN_ENTRIES_MAX:
            self._end_run(queue)
            entries = queue.entries
        if not entries:
            self._mark(queue)
            queue.first_id = trade.trade_id
            queue.oldest_ns = trade.received_ns
        # All or nothing, also where memory is short: half a trade would give those behind it the wrong ids.
        records = self.records + 1
        entries += (
            entry_time(trade, warnings) if warnings or not trade.received_ns else trade.time_ms,
            trade_json(trade, queue.symbol_json),
        )
        queue.newest = trade
        self.records = records

    def put_refused(self, symbol: str, trade_id: int, refusal: Refusal) -> None:
        """The refused trade is written with the run that passes over it, or follows it."""
        queue = self.queues[symbol]
        if self._refusals >= REFUSED_MAX:
            self.dropped["quarantine"] += 1
            return
        self._refusals += trade_id not in queue.refused
        queue.refused[trade_id] = refusal
        self._mark(queue)

    def rules(self, symbol: str, ids: range) -> dict[int, tuple[str, ...]]:
        """Those that refused some of the ids, of trades that wait with what passes over them."""
        refused = self.queues[symbol].refused
        return {number: refused[number].rules for number in common(ids, refused)}

    def pass_over(self, symbol: str, gaps: Sequence[Gap]) -> None:
        """No trade of these comes, which follow what is here."""
        queue = self.queues[symbol]
        if queue.newest is not None:
            self._end_run(queue)
        for gap in gaps:
            add_gap(queue.passed, gap)
        queue.start(gaps[-1].last + 1)
        self._mark(queue)

    def end_runs(self) -> None:
        """Hand what is here to the spool, also while nothing is taken."""
        for queue in self._dirty:
            self._end_run(queue)
        self._gathering.flush()

    def end_run(self, symbol: str) -> None:
        """Hand what is here of one symbol to the spool."""
        self._end_run(self.queues[symbol])
        self._gathering.flush_one(symbol)

    async def keep(self) -> None:
        """Until cancelled: what came goes to the spool within `KEEP_S`, whether or not the store takes it."""
        while True:
            await asyncio.sleep(KEEP_S)
            self.end_runs()

    def bring(self, symbol: str, runs: Sequence[TradeRun]) -> None:
        """Runs that the store lacks; they come from the spool, or are in it."""
        queue = self.queues[symbol]
        queue.runs += runs
        self.records += sum(run.count for run in runs)
        self._mark(queue)

    def put_kept(self, symbol: str, runs: Sequence[TradeRun]) -> None:
        """Runs that follow what is here and are in the spool already."""
        queue = self.queues[symbol]
        self._end_run(queue)
        for run in runs:
            queue.start(run.first_id + run.count)
            if symbol in self.debts:
                continue
            if self.is_full:
                self.spooled_only += run.count
                self._open_debt(queue, run.start_id, run.epoch)
            else:
                self.bring(symbol, [run])

    def keep_only(self, runs: Sequence[TradeRun]) -> None:
        """For the spool only: trades whose turn in the store has not come."""
        self._gathering.flush()
        self._spool.append(runs)

    def confirm(self, symbol: str, epoch: int, trade_id: int) -> None:
        """The store has it."""
        self._spool.confirm(place_of(symbol, epoch), trade_id)

    def fall_behind(self, symbol: str, due_id: int | None, epoch: int | None = None) -> None:
        """The store wants `due_id` next (None: it has nothing any more): what waits here does not follow that.

        It is of that `epoch` (default: the present one).
        """
        queue = self.queues[symbol]
        self._end_run(queue)
        epoch = queue.epoch if epoch is None else epoch
        if due_id is not None:
            self.confirm(symbol, epoch, due_id - 1)
        self.records -= queue.drop_runs()
        self._open_debt(queue, queue.next_id if due_id is None else due_id, epoch, wiped=due_id is None)

    def begin_epoch(self, symbol: str, epoch: int, next_id: int) -> None:
        """Its ids begin anew; what waits goes to the store first, then what the spool alone has of the epoch before."""
        queue = self.queues[symbol]
        self._end_epoch(queue)
        if symbol not in self.debts:
            self._open_debt(queue, queue.next_id, queue.epoch)
        queue.begin_epoch(epoch, next_id)

    def adopt_epoch(self, symbol: str, epoch: int, next_id: int) -> None:
        """Somebody else has begun it, and the store wants `next_id` of it next. The spool has what waits of ours."""
        queue = self.queues[symbol]
        self._end_epoch(queue)
        self.records -= queue.drop_runs()
        queue.begin_epoch(epoch, next_id)
        self.confirm(symbol, epoch, max(next_id - 1, -1))
        self.debts.close(symbol)

    def catch_up(self, symbol: str, *, begins: bool = False, after_id: int = -1) -> None:
        """What comes next follows what the store has or waits here; `begins`: see `SymbolQueue.begin_behind`."""
        self.debts.close(symbol)
        if begins:
            self.queues[symbol].begin_behind(after_id)

    def stand_by(self, symbol: str, due_id: int | None) -> None:
        """Somebody else writes, and the store gets `due_id` next (None: it has nothing): only the spool keeps it.

        What waits here is dropped from memory; the spool has it.
        """
        queue = self.queues[symbol]
        self._end_run(queue)
        self.records -= queue.drop_runs()
        self.debts.stand_by(
            symbol, queue.next_id if due_id is None else due_id, epoch=queue.epoch, wiped=due_id is None
        )

    def take_over(self, debt: Debt) -> None:
        """Nobody else writes any more: the refill brings what the store lacks, and then it is ours to write."""
        if debt.wiped:
            queue = self.queues[debt.symbol]
            debt.epoch, debt.due_id = queue.epoch, queue.next_id
        self.debts.take_over(debt)

    def put_closed_kline(self, update: KlineUpdate) -> None:
        """A waiting open state of the same kline is superseded."""
        queue, interval = self.queues[update.kline.symbol], update.kline.interval
        waiting = queue.open.get(interval)
        if waiting is not None and waiting.kline.open_ms <= update.kline.open_ms:
            del queue.open[interval]
            self.conflated["kline"] += 1
        if self.records >= self.records_max:
            self.dropped["kline"] += 1
            return
        queue.closed.append(update)
        self.records += 1
        self._mark(queue)

    def put_open_kline(self, update: KlineUpdate) -> None:
        """Replaces the waiting state of this interval."""
        queue, interval = self.queues[update.kline.symbol], update.kline.interval
        if interval in queue.open:
            self.conflated["kline"] += 1
        queue.open[interval] = update
        self._mark(queue)

    def put_newest(self, record: NewestRecord, warnings: tuple[str, ...] = ()) -> None:
        """Replaces the waiting one of its channel."""
        queue, channel = self.queues[record.symbol], CHANNEL_OF[type(record)]
        if channel in queue.states:
            self.conflated[channel] += 1
        queue.states[channel] = NewestUpdate(record, warnings)
        self._mark(queue)

    def put_late(self, trade: Trade, why: str, warnings: tuple[str, ...]) -> None:
        """A trade whose place in the stream is past: into `late:`."""
        queue = self.queues[trade.symbol]
        more = received_origin(trade, warnings).fields + epoch_fields(queue.epoch)
        self.side.put("late", trade.symbol, ("data", trade_json(trade, queue.symbol_json), "why", why, *more))

    def put_revision(self, kline: Kline, why: str, warnings: tuple[str, ...]) -> None:
        """A closed kline whose place in the stream is past: into `late:`, and into its key."""
        record, origin = kline_json(kline, self.queues[kline.symbol].symbol_json), received_origin(kline, warnings)
        self.side.put("late", kline.symbol, ("data", record, "why", why, *origin.fields))
        self.side.put_revision(Sourced(kline, origin))

    def take(self) -> Batch:
        """What waits, at most about `BATCH_RECORDS_MAX` records, whole queues at a time."""
        batch = self.side.take()
        taken = 0
        while self._dirty and taken < BATCH_RECORDS_MAX:
            taken += self._take_queue(self._dirty.popleft(), batch)
        self.records -= taken
        if not self._dirty:
            self.waiting.clear()
        return batch

    def _mark(self, queue: SymbolQueue) -> None:
        """There is something to take: a record, or what was passed over, which no trade may follow for long."""
        if not queue.dirty:
            self._dirty.append(queue)
            queue.dirty = True
            self.waiting.set()

    def _take_queue(self, queue: SymbolQueue, batch: Batch) -> int:
        queue.dirty = False
        self._end_run(queue)
        runs, queue.runs = queue.runs[:RUNS_PER_TAKE], queue.runs[RUNS_PER_TAKE:]
        closed = len(queue.closed)
        klines = queue.take_klines()
        batch.trades += runs
        if klines:
            batch.klines.append(klines)
        batch.newest += queue.states.values()
        queue.states.clear()
        if queue.runs:
            self._mark(queue)
        return closed + sum(run.count for run in runs)

    def _end_run(self, queue: SymbolQueue) -> None:
        """What comes next does not follow what is here: a hole, or refused trades, lie between."""
        run = queue.cut_run()
        if run is None:
            return
        self._refusals -= len(run.refused)
        self._gathering.add(run)
        if queue.symbol in self.debts:
            self.records -= run.count
            self.spooled_only += run.count
        elif self.records >= self.records_max:
            self.records -= run.count
            self.spooled_only += run.count
            self._open_debt(queue, run.start_id, run.epoch)
        else:
            queue.runs.append(run)

    def _end_epoch(self, queue: SymbolQueue) -> None:
        self._end_run(queue)
        self._gathering.flush()
        # Their turn does not come any more.
        for refusal in queue.refused.values():
            self.side.put("quarantine", queue.symbol, refusal.fields)
        self._refusals -= len(queue.refused)
        queue.refused.clear()

    def _open_debt(self, queue: SymbolQueue, due_id: int, epoch: int, *, wiped: bool = False) -> None:
        self.debts.open(queue.symbol, due_id, epoch=epoch, wiped=wiped)
        # If the store has no stream, then the refill says where it begins.
        queue.begins = False
