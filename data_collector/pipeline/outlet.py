r"""Between the arbiter and the sink: what waits to be written.

Life cycle: the service makes one outlet with a lane per symbol; the intake puts records in, synchronously; the pump
takes a batch, writes it, and takes the next. Nothing else touches it, and everything is on one event loop.

| what | when more comes than the sink takes |
|---|---|
| trades, closed klines | kept up to `records_max` in all; then the newest are dropped and counted, and the hole \
that this leaves is declared in `gaps:` when the next one is written |
| open klines | conflated: of each interval only the newest waits |
| tickers | conflated: only the newest waits |
| quarantined and late records | kept up to `side_max`; then the newest are dropped and counted |
"""

from __future__ import annotations

import asyncio
from collections import deque

from data_collector.model.batch import Batch, KlineUpdate, Refusal, SideEntry, TickerUpdate, TradeRun
from data_collector.model.records import Kline, Ticker, Trade
from data_collector.model.wire import json_text, kline_json, trade_json, trade_time_text
from data_collector.pipeline.arbiter import TradeOrder
from data_collector.pipeline.minutes import MinuteVolumes

RECORDS_MAX = 400_000
"""About 110 MB of trades: 80 s at 5,000 trades/s."""

SIDE_MAX = 5_000
"""Quarantined records carry up to 4 KiB each."""

BATCH_RECORDS_MAX = 20_000
"""What one flush takes at most, so that acknowledgements keep coming while a backlog drains."""

RUN_ENTRIES_MAX = 400
"""200 trades, two entries each: one call blocks the server for about 0.7 ms."""

REFUSED_MAX = 20_000
"""Refused trades that wait to be written; those beyond are dropped and counted."""

RUNS_PER_TAKE = 50
"""Of one symbol in one flush: 10,000 trades."""


class Lane:
    """What waits of one symbol, and the arbiter's cursor for its trades."""

    __slots__ = (
        "closed", "dirty", "entries", "first_id", "held", "minutes", "newest", "next_id", "oldest_ns", "open", "order",
        "reference_id", "refused", "refused_s", "runs", "symbol", "symbol_json", "ticker",
        "unconfirmed",
    )  # fmt: skip

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.symbol_json = json_text(symbol)
        self.next_id = -1
        """The trade id that follows what has been let through; -1 before the first."""
        self.order = TradeOrder()
        self.reference_id = -1
        """Last trade id that a ticker named: what the first trade's id is held against."""
        self.unconfirmed: Trade | None = None
        """A first trade whose id nothing has confirmed yet."""
        self.dirty = False
        self.runs: list[TradeRun] = []
        self.refused: dict[int, Refusal] = {}
        self.refused_s: dict[int, float] = {}
        """When each refused id that is still due was refused first: for a while a good copy may take its place."""
        self.held: dict[int, Trade] = {}
        """Trades that wait behind such an id."""
        self.minutes = MinuteVolumes()
        """What the trades that passed say of each minute's kline."""
        self.closed: list[KlineUpdate] = []
        self.open: dict[str, KlineUpdate] = {}
        self.ticker: TickerUpdate | None = None
        self._begin(-1)

    def _begin(self, first_id: int) -> None:
        self.first_id = first_id
        self.entries: list[int | str] = []
        self.newest: Trade | None = None
        self.oldest_ns = 0

    def end_run(self) -> None:
        """What comes next does not follow what is here: a hole, or refused trades, lie between."""
        newest = self.newest
        if newest is not None:
            time_text = trade_time_text(newest.time_ms, newest.sub_ms_us)
            # Refused ids beyond this run explain a hole before a later one.
            end_id = self.first_id + len(self.entries) // 2
            refused = {number: refusal for number, refusal in self.refused.items() if number < end_id}
            for number in refused:
                del self.refused[number]
            self.runs.append(
                TradeRun(
                    self.symbol,
                    self.first_id,
                    self.entries,
                    newest.price,
                    time_text,
                    self.oldest_ns,
                    newest.received_ns,
                    refused,
                )
            )
            self._begin(-1)

    def take_trades(self) -> list[TradeRun]:
        """The oldest runs; refused trades that no good one has followed yet stay here."""
        self.end_run()
        runs, self.runs = self.runs[:RUNS_PER_TAKE], self.runs[RUNS_PER_TAKE:]
        return runs

    def take_klines(self) -> list[KlineUpdate]:
        """The closed ones in order, then the newest state of each open one."""
        updates = self.closed + list(self.open.values())
        self.closed, self.open = [], {}
        return updates


class Outlet:
    """All lanes, and what does not belong to a symbol."""

    def __init__(self, symbols: list[str], *, records_max: int = RECORDS_MAX, side_max: int = SIDE_MAX) -> None:
        self.lanes = {symbol: Lane(symbol) for symbol in symbols}
        self.waiting = asyncio.Event()
        """Set while there is something to take."""
        self.records = 0
        """Trades and closed klines that wait."""
        self.dropped: dict[str, int] = {"trade": 0, "kline": 0, "quarantine": 0, "late": 0}
        self.conflated: dict[str, int] = {"kline": 0, "ticker": 0}
        self._records_max = records_max
        self._side_max = side_max
        self._side: list[SideEntry] = []
        self._revisions: list[Kline] = []
        self._past: list[Kline] = []
        self._side_number = 0
        self._dirty: deque[Lane] = deque()
        self._refusals = 0

    @property
    def is_full(self) -> bool:
        """Whether trades and closed klines are being dropped."""
        return self.records >= self._records_max

    def put_trade(self, lane: Lane, trade: Trade, warnings: tuple[str, ...] = ()) -> None:
        """The trade follows the one before it in the lane, or `end_run` has been called."""
        if self.records >= self._records_max:
            self._drop_trade(lane)
            return
        entries = lane.entries
        if len(entries) >= RUN_ENTRIES_MAX:
            lane.end_run()
            entries = lane.entries
        if not entries:
            lane.first_id = trade.trade_id
            lane.oldest_ns = trade.received_ns
        entries.append(f"{trade.time_ms} {','.join(warnings)}" if warnings else trade.time_ms)
        entries.append(trade_json(trade, lane.symbol_json))
        lane.newest = trade
        self.records += 1
        if not lane.dirty:
            self._mark(lane)

    def put_refused(self, lane: Lane, trade_id: int, refusal: Refusal) -> None:
        """The refused trade is written with the next good one, which passes over it."""
        lane.end_run()
        if self._refusals >= REFUSED_MAX:
            self.dropped["quarantine"] += 1
            return
        self._refusals += trade_id not in lane.refused
        lane.refused[trade_id] = refusal
        self._mark(lane)

    def put_closed_kline(self, lane: Lane, update: KlineUpdate) -> None:
        """A waiting open state of the same kline is superseded."""
        interval = update.kline.interval
        waiting = lane.open.get(interval)
        if waiting is not None and waiting.kline.open_ms <= update.kline.open_ms:
            del lane.open[interval]
            self.conflated["kline"] += 1
        if self.records >= self._records_max:
            self.dropped["kline"] += 1
            return
        lane.closed.append(update)
        self.records += 1
        self._mark(lane)

    def put_open_kline(self, lane: Lane, update: KlineUpdate) -> None:
        """Replaces the waiting state of this interval."""
        interval = update.kline.interval
        if interval in lane.open:
            self.conflated["kline"] += 1
        lane.open[interval] = update
        self._mark(lane)

    def put_ticker(self, lane: Lane, ticker: Ticker, warnings: tuple[str, ...] = ()) -> None:
        """Replaces the waiting one."""
        if lane.ticker is not None:
            self.conflated["ticker"] += 1
        lane.ticker = TickerUpdate(ticker, warnings)
        self._mark(lane)

    def put_revision(self, lane: Lane, kline: Kline, why: str) -> None:
        """A closed kline whose place in the stream is past: into `late:`, and into its key."""
        self.put_side(f"late:{lane.symbol}", ("data", kline_json(kline, lane.symbol_json), "why", why))
        if len(self._revisions) < self._side_max:
            self._revisions.append(kline)
            self.waiting.set()

    def put_past(self, kline: Kline) -> None:
        """A closed kline from before its series began, into its key where nothing is."""
        if len(self._past) < self._side_max:
            self._past.append(kline)
            self.waiting.set()

    def put_side(self, stream: str, fields: tuple[str, ...]) -> None:
        """An entry for `quarantine:…` or `late:…`."""
        if len(self._side) >= self._side_max:
            self.dropped[stream.partition(":")[0]] += 1
            return
        self._side_number += 1
        self._side.append(SideEntry(stream, fields, self._side_number))
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

    def _take_lane(self, lane: Lane, batch: Batch) -> int:
        lane.dirty = False
        runs = lane.take_trades()
        closed = len(lane.closed)
        klines = lane.take_klines()
        batch.trades += runs
        if klines:
            batch.klines.append(klines)
        if lane.ticker is not None:
            batch.tickers.append(lane.ticker)
            lane.ticker = None
        self._refusals -= sum(len(run.refused) for run in runs)
        if lane.runs:
            self._mark(lane)
        return closed + sum(run.count for run in runs)

    def pass_over(self, lane: Lane, before_id: int | None = None) -> TradeRun | None:
        """A run without trades that moves the store's tail over refused ones, when no good trade follows them.

        Only over those below `before_id`, if it is given.
        """
        if lane.entries or lane.runs or lane.held:
            return None
        refused = {number: each for number, each in lane.refused.items() if before_id is None or number < before_id}
        if not refused:
            return None
        first_id = max(refused) + 1
        for number in refused:
            del lane.refused[number]
            lane.refused_s.pop(number, None)
        self._refusals -= len(refused)
        if lane.next_id < first_id:
            lane.order.pass_over(lane.next_id, first_id - 1)
            lane.next_id = first_id
        return TradeRun(lane.symbol, first_id, [], "", "", 0, 0, refused)

    def _mark(self, lane: Lane) -> None:
        if not lane.dirty:
            lane.dirty = True
            self._dirty.append(lane)
            self.waiting.set()

    def _drop_trade(self, lane: Lane) -> None:
        # The next trade that finds room begins a run of its own, and the store will say what is missing before it.
        lane.end_run()
        self.dropped["trade"] += 1
