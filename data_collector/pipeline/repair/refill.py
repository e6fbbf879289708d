"""Brings a store up again that lost what it had acknowledged, was away for long, or is behind after a restart.

Life cycle: the repair asks it for one step of one symbol at a time. Everything that was let through is in the spool
(`pipeline.spool.spool`), or was dropped from it and is asked of the exchange by id. No message is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import dropwhile

import structlog
from msgspec import Struct, structs

from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.gaps import Gap, GapReason
from data_collector.model.gate import Verdict
from data_collector.model.keys import Key
from data_collector.model.records import Trade
from data_collector.model.sink import Refusal, TradeRun, place_of
from data_collector.model.venue import TradePage, TradesApi, TradesRefused
from data_collector.pipeline.gaps.ledger import Ledger
from data_collector.pipeline.outlet.debts import Debt
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.outlet.runs import absent_ranges, parted, runs_of
from data_collector.pipeline.outlet.symbol_queue import SymbolQueue
from data_collector.pipeline.repair.places import Places
from data_collector.pipeline.repair.told_refusals import ToldRefusals
from data_collector.pipeline.sequence.refusals import Refusals
from data_collector.pipeline.spool.spool import Spool

QUEUED_MAX = 100
"""Runs of a symbol that wait for the pump before more are brought."""

READ_TRADES = 10_000
"""What is read from the spool at a time."""

BEGIN_S = 0.1
"""How often it is looked whether an epoch's first trade has come."""

PROBE_S = 0.5
"""So long the first run has to be stored before others follow, where none could be."""

FORMER_PAUSE_S = 60.0
"""Between two attempts to fill a store with epochs that are over: one that refuses them does so at once."""

AHEAD_MS = 3_600_000
"""The exchange's clock is asked once a minute; a simulated one may run much faster than ours."""


class Reach(Struct, frozen=True):
    """How far back a hole is filled after a start or a wipe; what is older is declared `skipped`."""

    seconds: int
    trades: int
    """What the store's streams keep: filling more would only be trimmed."""


class Refill:
    """The store side of the repair."""

    def __init__(
        self, outlet: Outlet, refusals: Refusals, spool: Spool, rest: TradesApi, ledger: Ledger, reach: Reach,
        now_ms: Callable[[], int], clock: Callable[[], float], *, note: Callable[[Trade, Verdict | None], None],
        places: Places, page_trades: int,
    ) -> None:  # fmt: skip
        """`now_ms` is the exchange's time; `note` gets each trade of the exchange that is brought or refused.

        `page_trades`: what one answer holds at most.
        """
        self._outlet = outlet
        self._refusals = refusals
        self._spool = spool
        self._rest = rest
        self._ledger = ledger
        self._reach = reach
        self._places = places
        self.page_trades = page_trades
        self._now_ms = now_ms
        self._note = note
        self._clock = clock
        self._former_tried_s: dict[str, float] = {}
        """When a store that was emptied was given a symbol's former epochs too."""
        self.refused = ToldRefusals(clock)

    async def trades(self, symbol: str, from_id: int, *, limit: int | None = None, urgent: bool = False) -> TradePage:
        """See `TradesApi`; without `limit` as many as one answer holds."""
        limit, near = self.page_trades if limit is None else limit, self._places.before(symbol, from_id)
        page = await self._rest.trades(symbol, from_id, near=near, limit=limit, urgent=urgent)
        self.refused.answered(Key("trade", symbol))
        return page

    async def step(self, debt: Debt) -> None:
        """Bring what the store wants next, as much as may wait. A new debt of the symbol ends it."""
        queue = self._outlet.queues[debt.symbol]
        if debt.wiped and not debt.begins:
            self._turn_to_former(queue, debt)
        if debt.epoch < queue.epoch and not await self._bring_former(queue, debt):
            return
        if debt.wiped:
            if queue.next_id < 0:
                # The first trade of the epoch tells where it is.
                debt.attempts.put_off(self._clock() + BEGIN_S)
                return
            await self._find_beginning(queue, debt)
            if debt.wiped:
                return
        while self._stands(debt) and len(queue.runs) < QUEUED_MAX and not self._outlet.is_full:
            self._outlet.end_run(debt.symbol)
            if debt.due_id >= queue.next_id:
                self._finish(queue, debt)
                return
            runs = await self._spool.read(queue.place, debt.due_id, trades_max=READ_TRADES)
            if not self._stands(debt):
                return
            if runs and debt.probes:
                debt.probes = False
                self._bring(debt, runs[:1])
                debt.attempts.put_off(self._clock() + PROBE_S)
                break
            if runs:
                self._bring(debt, runs)
            elif not await self._ask(queue, debt):
                return

    @property
    def fills_starts(self) -> bool:
        """Whether anything of the hole after a start is filled; else nobody waits for the exchange there."""
        return self._reach.seconds > 0

    async def oldest_wanted(self, symbol: str, until_id: int) -> int:
        """From which id on a hole that ends before `until_id` is filled. Raises `VenueUnreachable`, `VenueRefused`."""
        if self._outlet.queues[symbol].is_suspended:
            raise VenueUnreachable("its trade ids seem to have begun anew")
        oldest = until_id - self._reach.trades
        if not self._reach.seconds:
            return until_id
        since_ms = self._now_ms() - self._reach.seconds * 1000
        first_id = await self._rest.first_trade_id(symbol, since_ms)
        if first_id is None:
            # The empty answer alone proves nothing. Only the trade before the end does, when it is older than that.
            last = (await self.trades(symbol, max(until_id - 1, 0), limit=1)).trades
            if not last or last[0].trade_id >= until_id:
                raise VenueUnreachable(f"The exchange tells neither when {symbol} was traded last nor since when.")
            return until_id if last[0].time_ms < since_ms else oldest
        return max(oldest, min(first_id, until_id))

    def believes(self, trades: Sequence[Trade]) -> bool:
        """Whether nothing of an answer lies in the future: such a time would move the ids of all later entries."""
        latest_ms = self._now_ms() + AHEAD_MS
        return all(trade.time_ms <= latest_ms for trade in trades)

    def _stands(self, debt: Debt) -> bool:
        """Else the store was found to want something else while the exchange, or the disk, was asked."""
        return self._outlet.debts.get(debt.symbol) is debt

    def _turn_to_former(self, queue: SymbolQueue, debt: Debt) -> None:
        """An emptied store begins with epochs that are over; one that lost the stream alone refuses that at once."""
        oldest = next(iter(self._spool.epochs(debt.symbol)), queue.epoch)
        oldest_id = self._spool.oldest_id(place_of(debt.symbol, oldest))
        is_tried = self._clock() - self._former_tried_s.get(debt.symbol, -FORMER_PAUSE_S) < FORMER_PAUSE_S
        if oldest >= queue.epoch or oldest_id is None or is_tried:
            return
        self._former_tried_s[debt.symbol] = self._clock()
        debt.epoch, debt.due_id, debt.begins = oldest, oldest_id, True

    async def _bring_former(self, queue: SymbolQueue, debt: Debt) -> bool:
        """What the spool has of epochs that are over: the exchange has it no more. Whether all of it was brought."""
        from_id = debt.due_id
        while self._stands(debt) and len(queue.runs) < QUEUED_MAX and not self._outlet.is_full:
            place, ended_ms = place_of(debt.symbol, debt.epoch), queue.ended_ms.get(debt.epoch)
            kept_id = self._spool.following_id(place, from_id)
            if kept_id is None:
                self._end_former(queue, debt)
                if debt.epoch == queue.epoch:
                    return True
                from_id = debt.due_id
                continue
            runs = await self._spool.read(place, kept_id, trades_max=READ_TRADES)
            if not self._stands(debt):
                break
            from_id = runs[-1].first_id + runs[-1].count if runs else self._spool.end_id(place, kept_id)
            former, later = (runs, []) if ended_ms is None else parted(runs, ended_ms, debt.epoch + 1)
            if later:
                # They came, and were spilled, before it was known that they are of the next epoch.
                self._outlet.keep_only(later)
            if former or (not runs and ended_ms is None):
                # What the disk has lost of it can be had nowhere.
                until_id = former[0].start_id if former else from_id
                if until_id > debt.due_id:
                    self._explain(debt, until_id - 1, "lost")
            if former:
                self._bring(debt, former)
        return False

    def _end_former(self, queue: SymbolQueue, debt: Debt) -> None:
        if not debt.begins:
            if debt.gaps:
                self._bring(debt, [TradeRun(debt.symbol, debt.due_id, [], "", "", 0, 0, epoch=debt.epoch)])
            debt.after_id = debt.due_id - 1
        debt.gaps = []
        debt.begins = True
        debt.epoch += 1
        debt.wiped = debt.epoch == queue.epoch
        debt.due_id = self._spool.oldest_id(place_of(debt.symbol, debt.epoch)) or 0

    async def _find_beginning(self, queue: SymbolQueue, debt: Debt) -> None:
        """Where a stream begins that the store has lost altogether, or an epoch of which it has nothing yet."""
        self._outlet.end_run(debt.symbol)
        kept_id = self._spool.oldest_id(queue.place)
        if debt.after_id >= 0 and kept_id is not None:
            debt.due_id = kept_id
        first_id = queue.next_id if kept_id is None else max(kept_id, queue.next_id - self._reach.trades)
        try:
            wanted_id = await self.oldest_wanted(queue.symbol, queue.next_id)
            if wanted_id < queue.next_id or not self._reach.seconds:
                first_id = wanted_id
            # Else no trade is young enough: our clock, which counts before the exchange's first message, is ahead.
        except (VenueUnreachable, VenueRefused) as error:
            holds_nothing = kept_id is None or kept_id >= debt.due_id
            if holds_nothing and isinstance(error, VenueUnreachable) and not debt.attempts.is_over(self._clock()):
                # Only the exchange knows what came before the wipe: what came since would begin too late.
                debt.attempts.fail(self._clock(), error.retry_after_s)
                return
            structlog.get_logger().warning("refill_from_memory_only", symbol=queue.symbol, reason=str(error))
        if debt.after_id >= 0 and kept_id is not None:
            # What came of an epoch that begins under our eyes is never too old.
            first_id = min(first_id, kept_id)
        debt.wiped = False
        debt.begins = True
        debt.skips = False
        debt.due_id = min(max(first_id, queue.origin_id), queue.next_id)

    def _bring(self, debt: Debt, runs: list[TradeRun]) -> None:
        debt.attempts.succeed(self._clock())
        debt.due_id = runs[-1].first_id + runs[-1].count
        # Only the first may begin a stream, also where a later one did once.
        runs = [structs.replace(run, begins=False) if run.begins else run for run in runs]
        if debt.begins:
            # What a stream passed over before its first record is not told, and without one there is no stream.
            runs = list(dropwhile(lambda run: not run.count, runs))
            if not runs:
                return
            runs[0] = structs.replace(runs[0], begins=True, gaps=[], after_id=debt.after_id)
        elif debt.gaps:
            runs[0] = structs.replace(runs[0], gaps=debt.gaps + runs[0].gaps)
        debt.begins = False
        debt.gaps = []
        self._outlet.bring(debt.symbol, runs)

    def _finish(self, queue: SymbolQueue, debt: Debt) -> None:
        if debt.gaps and not debt.begins:
            self._bring(debt, [TradeRun(debt.symbol, queue.next_id, [], "", "", 0, 0, epoch=queue.epoch)])
        self._outlet.catch_up(debt.symbol, begins=debt.begins, after_id=debt.after_id)

    async def _ask(self, queue: SymbolQueue, debt: Debt) -> bool:
        """Ask the exchange for what the spool lacks; whether that brought anything."""
        due_id = debt.due_id
        trades: list[Trade] = []
        retry_after_s: float | None = None
        is_final = False
        try:
            if debt.skips:
                first_id = await self._oldest_given(queue)
                debt.skips = False
                if first_id > due_id:
                    self._explain(debt, min(first_id, queue.next_id) - 1, "skipped")
                    return True
            trades = (await self.trades(queue.symbol, max(due_id - 1, 0))).trades
            if not self.believes(trades) or queue.is_suspended:
                trades = []
        except VenueUnreachable as error:
            retry_after_s = error.retry_after_s
        except VenueRefused as error:
            is_final = True
            self.refused.note(Key("trade", queue.symbol), error)
            trades = error.page.trades if isinstance(error, TradesRefused) else []
            trades = trades if self.believes(trades) else []
        absent = absent_ranges(trades, due_id)
        if not is_final:
            absent = debt.left_out.confirmed(absent, self._clock())
        runs = self._runs(queue, trades, due_id, absent)
        if runs and self._stands(debt):
            self._ledger.healed(Key("trade", queue.symbol), due_id, runs[-1].first_id + runs[-1].count - 1, "rest")
            for gap in (gap for run in runs for gap in run.gaps):
                self._ledger.given_up(Key("trade", queue.symbol), gap.first, gap.last, gap.reason, rules=gap.rules)
            self._outlet.keep_only(runs)
            self._bring(debt, runs)
            for trade in trades:
                if due_id <= trade.trade_id < debt.due_id:
                    self._note(trade, self._refusals.gate.check_trade(trade))
            return True
        debt.attempts.fail(self._clock(), retry_after_s)
        begins_late = bool(trades) and trades[0].trade_id > due_id and debt.attempts.begins_late(self._clock())
        is_over = debt.attempts.is_hopeless or debt.attempts.is_over(self._clock())
        if not self._stands(debt) or not (is_final or begins_late or is_over):
            return False
        self._give_up(queue, debt, trades)
        return True

    async def _oldest_given(self, queue: SymbolQueue) -> int:
        try:
            return await self.oldest_wanted(queue.symbol, queue.next_id)
        except VenueRefused:
            # How old it is it will never tell: all that the store keeps is asked for by id.
            return queue.next_id - self._reach.trades

    def _runs(
        self, queue: SymbolQueue, trades: list[Trade], due_id: int, absent_gaps: list[Gap]
    ) -> list[TradeRun]:  # fmt: skip
        """Runs of what an answer holds from `due_id` on, up to ids that it leaves out and that are not absent."""
        absent = {gap.first: gap for gap in absent_gaps}
        good: list[Trade] = []
        gaps: list[Gap] = []
        refused: dict[int, Refusal] = {}
        before: dict[int, tuple[list[Gap], dict[int, Refusal]]] = {}
        position = due_id
        for trade in trades:
            if trade.trade_id < position:
                continue
            if trade.trade_id >= queue.next_id or (trade.trade_id > position and position not in absent):
                break
            if trade.trade_id > position:
                gaps.append(absent[position])
            verdict = self._refusals.gate.check_trade(trade)
            if verdict is not None and verdict.critical:
                gaps.append(Gap(trade.trade_id, trade.trade_id, 1, "refused", verdict.critical))
                refused[trade.trade_id] = self._refusals.refusal(trade, verdict)
            else:
                good.append(trade)
                before[trade.trade_id] = gaps, refused
                gaps, refused = [], {}
            position = trade.trade_id + 1
        runs = runs_of(queue.symbol, good, self._refusals.gate.check_trade, epoch=queue.epoch)
        for run in runs:
            run.gaps, run.refused = before[run.first_id]
        if gaps:
            runs.append(TradeRun(queue.symbol, position, [], "", "", 0, 0, refused, gaps, epoch=queue.epoch))
        return runs

    def _give_up(self, queue: SymbolQueue, debt: Debt, trades: list[Trade]) -> None:
        """Declare lost what nobody can give."""
        kept_id = self._spool.following_id(queue.place, debt.due_id)
        given_id = trades[0].trade_id if trades else None
        nearest = [each for each in (kept_id, given_id) if each is not None and each > debt.due_id]
        self._explain(debt, min([queue.next_id, *nearest]) - 1, "lost")

    def _explain(self, debt: Debt, last_id: int, reason: GapReason) -> None:
        first_id = debt.due_id
        self._ledger.given_up(Key("trade", debt.symbol), first_id, last_id, reason, epoch=debt.epoch)
        debt.gaps.append(Gap(first_id, last_id, last_id - first_id + 1, reason))
        debt.due_id = last_id + 1
        debt.attempts.succeed(self._clock())
