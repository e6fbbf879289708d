r"""Between the arbiter and the sink: what waits to be written.

Life cycle: the service makes one outlet with a lane per symbol; the intake puts records in, synchronously; the pump
takes a batch, writes it, and takes the next. Nothing else touches it, and everything is on one event loop. Every run
of trades goes to the retention too, so that what the store loses, or cannot take now, can be brought again.

| what | when more comes than the sink takes |
|---|---|
| trades | kept in memory up to `records_max` in all; then new ones are in the retention alone, and the refill brings \
them in order when the store takes records again |
| closed klines | kept up to `records_max`; then the newest are dropped and counted; the store tells what it misses |
| open klines | conflated: of each interval only the newest waits |
| tickers | conflated: only the newest waits |
| quarantined and late records | kept up to `side_max`; then the newest are dropped and counted |
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence

from data_collector.model.batch import Batch, KlineUpdate, NewestUpdate, Refusal, SideEntry, SideKind, TradeRun
from data_collector.model.channels import CHANNEL_OF, CHANNELS, NewestRecord
from data_collector.model.records import Kline, Trade
from data_collector.model.wire import kline_json, trade_json, trade_time_text
from data_collector.pipeline.gathering import Gathering
from data_collector.pipeline.lane import Debt, Lane, recent_of
from data_collector.pipeline.retention import Retention

RECORDS_MAX = 100_000
"""About 28 MB of trades: 20 s at 5,000 trades/s."""

SIDE_MAX = 5_000
"""Quarantined records carry up to 4 KiB each."""

BATCH_RECORDS_MAX = 20_000
"""What one flush takes at most, so that acknowledgements keep coming while a backlog drains."""

RUN_ENTRIES_MAX = 400
"""200 trades, two entries each: one call blocks the server for about 0.7 ms."""

REFUSED_MAX = 20_000
"""Refused trades that wait to be written; those beyond are dropped and counted."""

KEEP_S = 0.02
"""How long runs are gathered before they go to the retention."""

RUNS_PER_TAKE = 50
"""Of one symbol in one flush: 10,000 trades."""


class Outlet:
    """All lanes, and what does not belong to a symbol."""

    def __init__(
        self, symbols: list[str], retention: Retention, *, records_max: int = RECORDS_MAX, side_max: int = SIDE_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.lanes = {symbol: Lane(symbol, recent_of(len(symbols))) for symbol in symbols}
        self.waiting = asyncio.Event()
        """Set while there is something to take."""
        self.behind = asyncio.Event()
        """Set while a lane's store side is behind."""
        self.records = 0
        """Trades and closed klines that wait."""
        self.retained_only = 0
        """Trades that memory had no room for: the retention has them."""
        self.dropped: dict[str, int] = {"kline": 0, "quarantine": 0, "late": 0}
        self.conflated = {name: 0 for name, channel in CHANNELS.items() if channel.continuity != "contiguous"}
        self._retention = retention
        self._gathering = Gathering(retention)
        self._clock = clock
        self.records_max = records_max
        self._side_max = side_max
        self._side: list[SideEntry] = []
        self._revisions: list[Kline] = []
        self._past: list[Kline] = []
        self._side_number = 0
        self._dirty: deque[Lane] = deque()
        self._refusals = 0

    @property
    def is_full(self) -> bool:
        """Whether memory has no room for more trades and closed klines."""
        return self.records >= self.records_max

    def oldest_ns(self) -> int:
        """Receive time of the oldest trade that waits in memory and came from a stream; 0 without one."""
        oldest = (lane.runs[0].oldest_ns if lane.runs else lane.oldest_ns for lane in self._dirty)
        return min(filter(None, oldest), default=0)

    def add_lane(self, symbol: str) -> Lane:
        """A symbol is collected from now on."""
        lane = self.lanes[symbol] = Lane(symbol, recent_of(len(self.lanes) + 1))
        return lane

    def remove_lane(self, lane: Lane) -> int:
        """A symbol is collected no longer, and nothing comes any more; how many records nobody has taken.

        Its trades are in the retention.
        """
        self.end_run(lane)
        self._gathering.flush()
        left = sum(run.count for run in lane.runs) + len(lane.closed)
        self.records -= left
        self._refusals -= len(lane.refused)
        del self.lanes[lane.symbol]
        if lane.dirty:
            self._dirty.remove(lane)
        if lane.debt is not None:
            self.catch_up(lane)
        return left

    def put_trade(self, lane: Lane, trade: Trade, warnings: tuple[str, ...] = ()) -> None:
        """The trade follows the one before it in the lane, or `end_run` has been called."""
        entries = lane.entries
        if len(entries) >= RUN_ENTRIES_MAX:
            self.end_run(lane)
            entries = lane.entries
        if not lane.dirty:
            self.mark(lane)
        if not entries:
            lane.first_id = trade.trade_id
            lane.oldest_ns = trade.received_ns
        # All or nothing, also where memory is short: half a trade would give those behind it the wrong ids.
        records = self.records + 1
        entries += (
            entry_time(trade, warnings) if warnings or not trade.received_ns else trade.time_ms,
            trade_json(trade, lane.symbol_json),
        )
        lane.newest = trade
        self.records = records

    def put_refused(self, lane: Lane, trade_id: int, refusal: Refusal) -> None:
        """The refused trade is written with the run that passes over it, or follows it."""
        if self._refusals >= REFUSED_MAX:
            self.dropped["quarantine"] += 1
            return
        self._refusals += trade_id not in lane.refused
        lane.refused[trade_id] = refusal
        self.mark(lane)

    def end_run(self, lane: Lane) -> None:
        """What comes next does not follow what is here: a hole, or refused trades, lie between."""
        run = self._cut_run(lane)
        if run is None:
            return
        self._gathering.add(run)
        if lane.debt is not None:
            self.records -= run.count
            self.retained_only += run.count
        elif self.records >= self.records_max:
            self.records -= run.count
            self.retained_only += run.count
            self._set_behind(lane, run.start_id)
        else:
            lane.runs.append(run)

    def end_runs(self) -> None:
        """Hand what is here to the retention, also while nothing is taken."""
        for lane in self._dirty:
            self.end_run(lane)
        self._gathering.flush()

    def end_lane(self, lane: Lane) -> None:
        """The same of one symbol."""
        self.end_run(lane)
        self._gathering.flush_one(lane.symbol)

    async def keep(self) -> None:
        """Until cancelled: what came goes to the retention within `KEEP_S`, whether or not the store takes it."""
        while True:
            await asyncio.sleep(KEEP_S)
            self.end_runs()

    def queue(self, lane: Lane, runs: Sequence[TradeRun]) -> None:
        """Runs that the store lacks; they come from the retention, or are in it."""
        lane.runs += runs
        self.records += sum(run.count for run in runs)
        self.mark(lane)

    def queue_kept(self, lane: Lane, run: TradeRun) -> None:
        """A run that follows the newest one and is in the retention already."""
        if lane.debt is not None:
            return
        if self.is_full:
            self.retained_only += run.count
            self._set_behind(lane, run.start_id)
        else:
            self.queue(lane, [run])

    def confirm(self, symbol: str, trade_id: int) -> None:
        """The store has it."""
        self._retention.confirm(symbol, trade_id)

    def fall_behind(self, lane: Lane, due_id: int | None) -> None:
        """The store wants `due_id` next (None: it has nothing any more): what waits here does not follow that."""
        self.end_run(lane)
        if due_id is not None:
            self.confirm(lane.symbol, due_id - 1)
        self.records -= sum(run.count for run in lane.runs)
        lane.runs.clear()
        self._set_behind(lane, lane.next_id if due_id is None else due_id, wiped=due_id is None)

    def forget_trades(self, lane: Lane) -> None:
        """Its ids have begun anew: what waits and what is retained of it is of another market."""
        self.end_run(lane)
        self._gathering.flush()
        self._retention.forget(lane.symbol)
        self.records -= sum(run.count for run in lane.runs)
        lane.runs.clear()
        self._refusals -= len(lane.refused)
        lane.refused.clear()
        lane.passed = []
        self.catch_up(lane)

    def catch_up(self, lane: Lane) -> None:
        """What comes next follows what the store has or what waits here."""
        lane.debt = None
        if not any(each.debt is not None and not each.debt.stands_by for each in self.lanes.values()):
            self.behind.clear()

    def stand_by(self, lane: Lane, due_id: int | None) -> Debt:
        """Somebody else writes, and the store gets `due_id` next (None: it has nothing): only the retention keeps it.

        What waits here is dropped from memory; the retention has it.
        """
        self.end_run(lane)
        self.records -= sum(run.count for run in lane.runs)
        lane.runs.clear()
        self.catch_up(lane)
        debt = lane.debt = Debt(lane.next_id if due_id is None else due_id, self._clock(), wiped=due_id is None)
        debt.stands_by = True
        debt.retry_s = float("inf")
        return debt

    def take_over(self, lane: Lane, debt: Debt) -> None:
        """Nobody else writes any more: the refill brings what the store lacks, and then it is ours to write."""
        debt.stands_by = False
        debt.retry_s = 0.0
        debt.since_s = debt.progress_s = self._clock()
        if debt.wiped:
            debt.due_id = lane.next_id
        self.behind.set()

    def keep_only(self, runs: Sequence[TradeRun]) -> None:
        """For the retention only: trades whose turn in the store has not come."""
        self._gathering.flush()
        self._retention.append(runs)

    def put_closed_kline(self, lane: Lane, update: KlineUpdate) -> None:
        """A waiting open state of the same kline is superseded."""
        interval = update.kline.interval
        waiting = lane.open.get(interval)
        if waiting is not None and waiting.kline.open_ms <= update.kline.open_ms:
            del lane.open[interval]
            self.conflated["kline"] += 1
        if self.records >= self.records_max:
            self.dropped["kline"] += 1
            return
        lane.closed.append(update)
        self.records += 1
        self.mark(lane)

    def put_open_kline(self, lane: Lane, update: KlineUpdate) -> None:
        """Replaces the waiting state of this interval."""
        interval = update.kline.interval
        if interval in lane.open:
            self.conflated["kline"] += 1
        lane.open[interval] = update
        self.mark(lane)

    def put_newest(self, lane: Lane, record: NewestRecord, warnings: tuple[str, ...] = ()) -> None:
        """Replaces the waiting one of its channel."""
        channel = CHANNEL_OF[type(record)]
        if channel in lane.states:
            self.conflated[channel] += 1
        lane.states[channel] = NewestUpdate(record, warnings)
        self.mark(lane)

    def put_revision(self, lane: Lane, kline: Kline, why: str) -> None:
        """A closed kline whose place in the stream is past: into `late:`, and into its key."""
        self.put_side("late", lane.symbol, ("data", kline_json(kline, lane.symbol_json), "why", why))
        if len(self._revisions) < self._side_max:
            self._revisions.append(kline)
            self.waiting.set()

    def put_past(self, kline: Kline) -> None:
        """A closed kline from before its series began, into its key where nothing is."""
        if len(self._past) < self._side_max:
            self._past.append(kline)
            self.waiting.set()

    def put_side(self, kind: SideKind, symbol: str, fields: tuple[str, ...]) -> None:
        """An entry for `quarantine:…` or `late:…`."""
        if len(self._side) >= self._side_max:
            self.dropped[kind] += 1
            return
        self._side_number += 1
        self._side.append(SideEntry(kind, symbol, fields, self._side_number))
        self.waiting.set()

    def take(self) -> Batch:
        """What waits, at most about `BATCH_RECORDS_MAX` records, whole lanes at a time."""
        batch = Batch(side=self._side, revisions=self._revisions, past=self._past)
        self._side, self._revisions, self._past = [], [], []
        taken = 0
        while self._dirty and taken < BATCH_RECORDS_MAX:
            taken += self._take_lane(self._dirty.popleft(), batch)
        self.records -= taken
        if not self._dirty:
            self.waiting.clear()
        return batch

    def mark(self, lane: Lane) -> None:
        """There is something to take: a record, or what was passed over, which no trade may follow for long."""
        if not lane.dirty:
            self._dirty.append(lane)
            lane.dirty = True
            self.waiting.set()

    def _take_lane(self, lane: Lane, batch: Batch) -> int:
        lane.dirty = False
        self.end_run(lane)
        runs, lane.runs = lane.runs[:RUNS_PER_TAKE], lane.runs[RUNS_PER_TAKE:]
        closed = len(lane.closed)
        klines = lane.take_klines()
        batch.trades += runs
        if klines:
            batch.klines.append(klines)
        batch.newest += lane.states.values()
        lane.states.clear()
        if lane.runs:
            self.mark(lane)
        return closed + sum(run.count for run in runs)

    def _cut_run(self, lane: Lane) -> TradeRun | None:
        """The run that grew, or one without trades when something was passed over and nothing followed."""
        newest = lane.newest
        if newest is None and not lane.passed:
            return None
        first_id = lane.next_id if newest is None else lane.first_id
        end_id = first_id + len(lane.entries) // 2
        # Refused ids beyond this run belong to a later one.
        refused = {number: refusal for number, refusal in lane.refused.items() if number < end_id}
        for number in refused:
            del lane.refused[number]
        self._refusals -= len(refused)
        price, time_text, newest_ns = "", "", 0
        if newest is not None:
            price, time_text = newest.price, trade_time_text(newest.time_ms, newest.sub_ms_us)
            newest_ns = newest.received_ns
        run = TradeRun(
            lane.symbol, first_id, lane.entries, price, time_text, lane.oldest_ns, newest_ns, refused, lane.passed,
            lane.begins,
        )  # fmt: skip
        lane.begins = False
        lane.passed = []
        lane.begin_run()
        return run

    def _set_behind(self, lane: Lane, due_id: int, *, wiped: bool = False) -> None:
        lane.debt = Debt(due_id, self._clock(), wiped=wiped)
        # If the store has no stream, then the refill says where it begins.
        lane.begins = False
        self.behind.set()


def entry_time(trade: Trade, warnings: tuple[str, ...]) -> int | str:
    """What stands before a trade's JSON in a run: its time in ms, then the rules that mark it, then its source."""
    source = "" if trade.received_ns else " rest"
    return f"{trade.time_ms} {','.join(warnings)}{source}" if warnings or source else trade.time_ms
