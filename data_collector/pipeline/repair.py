"""Fills what is missing of trades: in the feed, and in the store.

Life cycle: the service makes one and runs it in a task. Every few milliseconds it looks at the lanes that wait. What a
twin line has not brought within the arbitration time is read from the retention (trades that were spilled), else asked
of the exchange by id, else explained: `absent` when one answer holds both sides of it and nothing inside, `lost` when
nobody could give it for the gap deadline. A store that fell behind (`Lane.behind_id`) is brought up from the retention
and, where that has a hole, from the exchange in the same way. A few lanes are worked on at a time, each by one worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.protocols import History
from data_collector.model.records import Trade
from data_collector.observe.counters import Counters
from data_collector.pipeline.holdback import ARBITRATION_S
from data_collector.pipeline.lane import Lane, OpenGap
from data_collector.pipeline.ledger import HealSource, Ledger
from data_collector.pipeline.outlet import Outlet
from data_collector.pipeline.refill import Refill
from data_collector.pipeline.retention import Retention
from data_collector.pipeline.runs import absent_ranges
from data_collector.pipeline.spilled import Spilled
from data_collector.pipeline.trade_intake import TradeIntake

LOOK_S = 0.02
"""How often lanes that wait are looked at."""

HEAD_S = 2.0
"""A ticker that names a later trade for so long: the trade stream has lost the newest ones."""

HEAD_LOOK_S = 1.0

WORKERS = 4
"""Lanes worked on at a time."""

PAGE_TRADES = 1000
"""What the exchange gives in one answer."""

URGENT_TRADES = 10_000
"""A larger gap is catching up with the past, for which half of the budget must do."""

READ_TRADES = 10_000
"""What is read from the retention at a time."""

GAP_DEADLINE_S = 600.0
"""So long without progress, and what is missing is declared lost: the stream must go on."""

RETRY_FIRST_S = 0.25
RETRY_CAP_S = 30.0

DISPROVED_MIN = 3
DISPROVED_S = 10.0
"""What the exchange's REST side does not know after so many answers and so long does not exist."""

DISPROVED_PAUSE_S = 1.0
"""Between such answers, also where a stream that goes on looks like progress."""


class TradeRepair:
    """Heals the gaps of all symbols."""

    def __init__(
        self, outlet: Outlet, intake: TradeIntake, refill: Refill, retention: Retention, history: History,
        ledger: Ledger, counters: Counters, clock: Callable[[], float], *, deadline_s: float = GAP_DEADLINE_S,
    ) -> None:  # fmt: skip
        self._outlet = outlet
        self._intake = intake
        self._refill = refill
        self._retention = retention
        self._history = history
        self._ledger = ledger
        self._counters = counters
        self._clock = clock
        self._deadline_s = deadline_s
        self._told: dict[Lane, tuple[int, int]] = {}
        """Ids of which the ledger was told that they are missing, until the feed has passed them."""
        self._busy: set[str] = set()
        self._queue: asyncio.Queue[Lane] = asyncio.Queue()
        intake.on_explained = self._tell_explained

    async def run(self) -> None:
        """Until cancelled."""
        self._busy.clear()
        self._queue = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())
            group.create_task(self._watch_heads())
            group.create_task(self._settle_conflicts())
            while True:
                if not self._told:
                    await self._until_something_waits()
                self.look()
                await asyncio.sleep(LOOK_S)

    def forget(self, lane: Lane) -> None:
        """It is collected no longer."""
        self._told.pop(lane, None)

    def look(self) -> None:
        """Let go what has waited long enough, and put to work what stays missing."""
        now_s = self._clock()
        for lane in list(self._intake.holdback.lanes):
            self._intake.release(lane)
            gap = lane.gap
            if gap is not None and now_s - gap.opened_s >= ARBITRATION_S and now_s >= gap.retry_s:
                self._put_to_work(lane)
        self._tell_what_came()
        if self._outlet.behind.is_set():
            for lane in self._outlet.lanes.values():
                if lane.debt is not None and now_s >= lane.debt.retry_s:
                    self._put_to_work(lane)

    async def _until_something_waits(self) -> None:
        if self._intake.holdback.waiting.is_set() or self._outlet.behind.is_set():
            return
        waits = [asyncio.ensure_future(event.wait()) for event in (self._intake.holdback.waiting, self._outlet.behind)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _watch_heads(self) -> None:
        while True:
            await asyncio.sleep(HEAD_LOOK_S)
            now_s = self._clock()
            for lane in self._intake.lanes.values():
                self.look_at_head(lane, now_s)

    async def _settle_conflicts(self) -> None:
        while True:
            await asyncio.sleep(HEAD_LOOK_S)
            while self._intake.conflicts:
                await self._arbitrate(self._intake.conflicts.popleft())

    async def _arbitrate(self, first: Trade) -> None:
        """Which of two contents of one id the exchange's REST side has."""
        try:
            trades = await self._history.trades(first.symbol, first.trade_id, limit=1)
        except (VenueUnreachable, VenueRefused):
            trades = []
        outcome = "unknown"
        if trades and trades[0].trade_id == first.trade_id:
            outcome = self._intake.settle_conflict(first, trades[0])
        self._counters.add("data_collector_trade_conflicts_settled_total", outcome=outcome)
        structlog.get_logger().error(
            "trade_conflict", symbol=first.symbol, trade_id=first.trade_id, stored_is=outcome,
        )  # fmt: skip

    def look_at_head(self, lane: Lane, now_s: float) -> None:
        """Whether a ticker has long been naming a later trade than the stream brought: then they are missing."""
        if lane.gap is not None or not 0 <= lane.next_id <= lane.reference_id:
            lane.head_s = 0.0
        elif not lane.head_s or lane.next_id != lane.head_id:
            lane.head_s = now_s
            lane.head_id = lane.next_id
        elif now_s - lane.head_s >= HEAD_S:
            lane.gap = OpenGap(lane.next_id, lane.reference_id, now_s)
            self._intake.holdback.watch(lane)

    def _put_to_work(self, lane: Lane) -> None:
        if lane.symbol not in self._busy:
            self._busy.add(lane.symbol)
            self._queue.put_nowait(lane)

    async def _work(self) -> None:
        while True:
            await self._step(await self._queue.get())

    async def work_off(self) -> None:
        """One step of each lane that was put to work; for tests, which have no tasks."""
        while not self._queue.empty():
            await self._step(self._queue.get_nowait())

    async def _step(self, lane: Lane) -> None:
        try:
            if lane.debt is not None and not lane.debt.stands_by:
                await self._refill.step(lane, lane.debt)
            if lane.gap is not None:
                await self._fill(lane, lane.gap)
        finally:
            self._busy.discard(lane.symbol)

    async def _fill(self, lane: Lane, gap: OpenGap) -> None:
        """One step: read or ask once, and let through what came."""
        if lane.next_id in lane.refused_s:
            # A refused id waits for its own time, and is not asked for.
            return
        told = self._told.get(lane)
        if told is None or told[1] < gap.last_id:
            # What the twin line heals at once is no story, and comes here never.
            self._told[lane] = (lane.next_id if told is None else told[0], gap.last_id)
            self._ledger.opened(Key("trade", lane.symbol), lane.next_id, gap.last_id)
        if await self._skip_what_is_old(lane, gap):
            return
        due_id = lane.next_id
        source: HealSource = "spool"
        runs = await self._retention.read(lane.symbol, due_id, trades_max=READ_TRADES)
        if runs:
            self._intake.take_runs(lane, runs)
        if lane.next_id == due_id and lane.gap is gap:
            source = "rest"
            await self._ask(lane, gap)
        self._note_progress(lane, gap, due_id, source)
        self._intake.release(lane)

    def _tell_explained(self, symbol: str, gap: Gap) -> None:
        self._ledger.given_up(Key("trade", symbol), gap.first, gap.last, gap.reason)

    def _tell_what_came(self) -> None:
        """What was missing and is passed without another word was brought by a stream after all."""
        for lane, (first_id, last_id) in list(self._told.items()):
            self._ledger.healed(Key("trade", lane.symbol), first_id, lane.next_id - 1, "ws")
            if lane.next_id > last_id:
                del self._told[lane]

    def _note_progress(self, lane: Lane, gap: OpenGap, due_id: int, source: HealSource) -> None:
        last_id = min(lane.next_id - 1, gap.last_id)
        if lane.next_id > due_id:
            gap.progress_s = self._clock()
            gap.tries = 0
            if last_id >= gap.first_id:
                self._ledger.healed(Key("trade", lane.symbol), gap.first_id, last_id, source)
                gap.first_id = last_id + 1
        elif self._clock() - gap.progress_s >= self._deadline_s:
            self._intake.pass_over(lane, gap.last_id, "lost")

    async def _skip_what_is_old(self, lane: Lane, gap: OpenGap) -> bool:
        """After a start: only so much of the hole is filled. Whether the answer has to be waited for."""
        if lane.next_id != lane.resumed_id:
            return False
        try:
            first_id = await self._refill.oldest_wanted(lane, gap.last_id + 1)
        except (VenueUnreachable, VenueRefused) as error:
            self._put_off(lane, gap, error)
            return True
        lane.resumed_id = -1
        if first_id > lane.next_id:
            last_id = min(first_id - 1, gap.last_id)
            self._intake.pass_over(lane, last_id, "skipped")
            gap.first_id = lane.next_id
            self._intake.release(lane)
        return lane.gap is not gap

    async def _ask(self, lane: Lane, gap: OpenGap) -> None:
        """Ask the exchange for the ids from the due one on, and some before: they show what is absent."""
        due_id = lane.next_id
        # The id right before may be absent itself: every other try reaches further back.
        before = 1 if gap.tries % 2 == 0 else PAGE_TRADES - 1
        self._ledger.noted(Key("trade", lane.symbol), "rest_asked")
        urgent = gap.last_id - due_id < URGENT_TRADES
        try:
            trades = await self._history.trades(lane.symbol, max(due_id - before, 0), limit=PAGE_TRADES, urgent=urgent)
        except (VenueUnreachable, VenueRefused) as error:
            self._put_off(lane, gap, error)
            return
        if not self._refill.believes(trades):
            self._counters.add("data_collector_rest_bad_pages_total")
            self._retry_later(gap)
            return
        absent = absent_ranges(trades, due_id)
        for trade in trades:
            if trade.trade_id > gap.last_id:
                break
            self._pass_over_absent(lane, absent, trade.trade_id)
            self._intake.take_repaired(lane, trade)
        self._pass_over_absent(lane, absent, gap.last_id + 1)
        if lane.gap is not gap or lane.next_id > gap.last_id:
            return
        if len(trades) < PAGE_TRADES and not (trades and trades[-1].trade_id >= gap.last_id):
            self._ended_before(lane, gap)
            return
        gap.disproved = 0
        if lane.next_id == due_id:
            self._retry_later(gap)

    def _pass_over_absent(self, lane: Lane, absent: list[Gap], before_id: int) -> None:
        for each in absent:
            if each.first == lane.next_id and each.first < before_id:
                last_id = min(each.last, before_id - 1)
                self._intake.pass_over(lane, last_id, "absent")

    def _ended_before(self, lane: Lane, gap: OpenGap) -> None:
        """An answer that ends before the gap does proves nothing; but many of them are against a lonely trade.

        Also where the stream goes on: it moves the beginning of such a gap for ever, and never reaches its end.
        """
        self._retry_later(gap)
        now_s = self._clock()
        if not gap.disproved:
            gap.disproved_s = now_s
        gap.disproved += 1
        if gap.disproved < DISPROVED_MIN:
            return
        gap.retry_s = max(gap.retry_s, now_s + DISPROVED_PAUSE_S)
        if now_s - gap.disproved_s < DISPROVED_S:
            return
        if not lane.held:
            # A ticker had named it.
            lane.gap = None
            lane.head_s = 0.0
            lane.reference_id = lane.next_id - 1
            # Or it was spilled. If it exists after all, then what follows it opens a gap again.
            lane.spilled = Spilled()
            self._intake.release(lane)
        elif all(trade_id + 1 not in lane.held for trade_id in lane.held):
            self._counters.add("data_collector_implausible_total", rule="trade_id_jump")
            self._intake.refuse_held(lane, lane.next_id)
        else:
            return
        self._withdraw(lane)

    def _withdraw(self, lane: Lane) -> None:
        """Nothing is missing from the due id on, although the ledger was told so."""
        told = self._told.pop(lane, None)
        if told is not None:
            first_id, last_id = told
            self._ledger.healed(Key("trade", lane.symbol), first_id, lane.next_id - 1, "ws")
            self._ledger.withdrawn(Key("trade", lane.symbol), lane.next_id, last_id)

    def _put_off(self, lane: Lane, gap: OpenGap, error: VenueUnreachable | VenueRefused) -> None:
        self._retry_later(gap, error.retry_after_s if isinstance(error, VenueUnreachable) else None)
        self._ledger.noted(Key("trade", lane.symbol), "rest_failed")
        if gap.tries == 1:
            structlog.get_logger().warning("repair_put_off", symbol=lane.symbol, reason=str(error))

    def _retry_later(self, gap: OpenGap, retry_after_s: float | None = None) -> None:
        gap.tries += 1
        delay_s = min(RETRY_FIRST_S * 2.0 ** min(gap.tries - 1, 10), RETRY_CAP_S)
        gap.retry_s = self._clock() + max(delay_s, retry_after_s or 0.0)
