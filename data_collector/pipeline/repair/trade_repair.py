"""Fills what is missing of trades: in the feed, and in the store.

Life cycle: the service makes one and runs it in a task. Every few milliseconds it looks at the sequences that wait.
What a twin line has not brought within the arbitration time is read from the spool (trades that were spilled), else
asked of the exchange by id, else explained: `absent` when two answers hold both sides of it and nothing inside, `lost`
when nobody could give it for the gap deadline. A store that fell behind (`pipeline.outlet.debts`) is brought up from
the spool and, where that has a hole, from the exchange in the same way. A few symbols are worked on at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from data_collector.model.backoff import REPEATED_MIN
from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.records import Trade
from data_collector.model.sink import place_of
from data_collector.model.venue import TradePage, TradesRefused
from data_collector.observe.counters import Counters
from data_collector.pipeline.gaps.ledger import HealSource, Ledger
from data_collector.pipeline.gaps.missing_ids import MissingIds
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.outlet.runs import absent_ranges
from data_collector.pipeline.repair.conflicts import Conflicts
from data_collector.pipeline.repair.doubts import contradicts_order, doubts_of, goes_on, is_doubtful, outweighs
from data_collector.pipeline.repair.refill import READ_TRADES, Refill
from data_collector.pipeline.sequence.trade_intake import TradeIntake
from data_collector.pipeline.sequence.trade_sequence import ARBITRATION_S, TradeSequence
from data_collector.pipeline.spool.spool import Spool
from data_collector.pipeline.supervise import until_any

LOOK_S = 0.02
"""How often what waits is looked at."""

HEAD_LOOK_S = 1.0

WORKERS = 4
"""Symbols worked on at a time."""

URGENT_TRADES = 10_000
"""A larger gap is catching up with the past, for which half of the budget must do."""

DISPROVED_PAUSE_S = 1.0
"""Between answers that disprove what is held back, also where a stream that goes on looks like progress."""


class TradeRepair:
    """Heals the gaps of all symbols."""

    def __init__(
        self, outlet: Outlet, intake: TradeIntake, refill: Refill, spool: Spool, ledger: Ledger,
        counters: Counters, clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._outlet = outlet
        self._intake = intake
        self._refill = refill
        self._spool = spool
        self._ledger = ledger
        self._counters = counters
        self._clock = clock
        self._conflicts = Conflicts(intake, refill, counters)
        self._busy: set[str] = set()
        self._queue: asyncio.Queue[str] = asyncio.Queue()

    @property
    def refusals(self) -> set[str]:
        """Why the exchange will never give what was asked of it of late, of some symbols."""
        return self._refill.refused.told({Key("trade", symbol) for symbol in self._intake.collected})

    @property
    def doubts(self) -> list[str]:
        """Sentences about trades that came ahead and that nobody has confirmed, or that REST tells otherwise."""
        return doubts_of(self._intake.holdback.sequences, self._clock()) + self._intake.contradictions.told()

    async def run(self) -> None:
        """Until cancelled."""
        self._busy.clear()
        self._queue = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())
            group.create_task(self._watch_heads())
            group.create_task(self._conflicts.run())
            while True:
                await until_any(self._intake.holdback.waiting, self._outlet.debts.due)
                self.look()
                await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Let go what has waited long enough, and put to work what stays missing."""
        now_s = self._clock()
        for sequence in self._intake.holdback.sequences:
            self._intake.release(sequence)
            gap = sequence.gap
            if gap is not None and now_s - gap.opened_s >= ARBITRATION_S and now_s >= gap.attempts.retry_s:
                self._put_to_work(sequence.symbol)
            self._tell_what_came(sequence)
        for debt in self._outlet.debts.payable():
            if now_s >= debt.attempts.retry_s:
                self._put_to_work(debt.symbol)

    async def _watch_heads(self) -> None:
        while True:
            await asyncio.sleep(HEAD_LOOK_S)
            self._intake.look_at_heads()

    def _put_to_work(self, symbol: str) -> None:
        if symbol not in self._busy:
            self._busy.add(symbol)
            self._queue.put_nowait(symbol)

    async def _work(self) -> None:
        while True:
            await self._step(await self._queue.get())

    async def work_off(self) -> None:
        """One step of each symbol that was put to work; for tests, which have no tasks."""
        while not self._queue.empty():
            await self._step(self._queue.get_nowait())

    async def _step(self, symbol: str) -> None:
        try:
            debt = self._outlet.debts.get(symbol)
            if debt is not None and not debt.stands_by:
                await self._refill.step(debt)
            sequence = self._intake.collected.get(symbol)
            if sequence is not None and sequence.gap is not None:
                await self._fill(sequence, sequence.gap)
        finally:
            self._busy.discard(symbol)

    async def _fill(self, sequence: TradeSequence, gap: MissingIds) -> None:
        """One step: read or ask once, and let through what came."""
        if sequence.next_id in sequence.refused_s:
            # A refused id waits for its own time, and is not asked for.
            return
        # What the twin line heals at once is no story, and comes here never.
        self._report(sequence)
        if await self._skip_what_is_old(sequence, gap):
            return
        due_id, place = sequence.next_id, place_of(sequence.symbol, sequence.epoch)
        source: HealSource = "spool"
        told: list[Trade] = []
        runs = await self._spool.read(place, due_id, trades_max=READ_TRADES)
        if runs:
            self._intake.take_runs(sequence, runs)
        if sequence.next_id == due_id and sequence.gap is gap:
            source = "rest"
            told = await self._ask(sequence, gap)
        self._note_progress(sequence, gap, due_id, source)
        self._intake.release(sequence)
        self._fill_later(sequence, told)

    def _fill_later(self, sequence: TradeSequence, told: list[Trade]) -> None:
        """Fill what is missing behind the gap with the rest of the answer, which spares questions.

        What it leaves out there proves nothing: it may have been given before that was missed.
        """
        if not sequence.held or contradicts_order(sequence, max(sequence.held), told):
            return
        for trade in told:
            gap, due_id = sequence.gap, sequence.next_id
            if trade.trade_id < due_id:
                continue
            if gap is None or trade.trade_id > due_id or due_id == sequence.resumed_id or due_id in sequence.refused_s:
                return
            self._report(sequence)
            self._intake.take_repaired(sequence, trade)
            self._note_progress(sequence, gap, due_id, "rest")
            self._intake.release(sequence)

    def _report(self, sequence: TradeSequence) -> None:
        unreported = sequence.report()
        if unreported is not None:
            self._ledger.opened(Key("trade", sequence.symbol), *unreported)

    def _tell_what_came(self, sequence: TradeSequence) -> None:
        """What was missing and is passed without another word was brought by a stream after all."""
        if sequence.reported is None:
            return
        first_id, last_id = sequence.reported
        self._ledger.healed(Key("trade", sequence.symbol), first_id, sequence.next_id - 1, "ws")
        if sequence.next_id > last_id:
            self._end_report(sequence)

    def _end_report(self, sequence: TradeSequence) -> None:
        sequence.reported = None
        self._intake.holdback.note(sequence)

    def _note_progress(self, sequence: TradeSequence, gap: MissingIds, due_id: int, source: HealSource) -> None:
        if sequence.gap is not gap:
            # A stream has filled it, or its ids are of an epoch that is over.
            return
        last_id, now_s, attempts = min(sequence.next_id - 1, gap.last_id), self._clock(), gap.attempts
        gap.note_brought(sequence.in_order, now_s)
        if sequence.next_id > due_id:
            attempts.succeed(now_s)
            if last_id >= gap.first_id:
                self._ledger.healed(Key("trade", sequence.symbol), gap.first_id, last_id, source)
                gap.first_id = last_id + 1
        elif attempts.is_over(now_s) or (attempts.is_hopeless and not goes_on(sequence, gap)):
            self._give_up_vouched(sequence, gap)

    def _give_up_vouched(self, sequence: TradeSequence, gap: MissingIds) -> bool:
        """Give up what nobody gives, if enough says that it is missing; whether it does."""
        last_id = self._last_missing(sequence, gap)
        is_vouched = not is_doubtful(sequence, last_id)
        if is_vouched:
            self._give_up(sequence, gap, last_id)
        return is_vouched

    def _last_missing(self, sequence: TradeSequence, gap: MissingIds) -> int:
        """The last id before what is held, or what the spool keeps."""
        kept_id = self._spool.following_id(place_of(sequence.symbol, sequence.epoch), sequence.next_id)
        is_nearer = kept_id is not None and sequence.next_id < kept_id <= gap.last_id
        return kept_id - 1 if kept_id is not None and is_nearer else gap.last_id

    def _give_up(self, sequence: TradeSequence, gap: MissingIds, last_id: int) -> None:
        """Nobody can give what is missing up to there, or to what the spool keeps: waiting for it is for nothing."""
        if sequence.gap is not gap:
            return
        self._intake.pass_over(sequence, min(last_id, self._last_missing(sequence, gap)), "lost")
        gap.first_id = sequence.next_id
        gap.attempts.succeed(self._clock())

    async def _skip_what_is_old(self, sequence: TradeSequence, gap: MissingIds) -> bool:
        """After a start: only so much of the hole is filled. Whether the answer has to be waited for."""
        if sequence.next_id != sequence.resumed_id:
            return False
        try:
            first_id = await self._refill.oldest_wanted(sequence.symbol, gap.last_id + 1)
            # Else the stored id is in the answer that fills the hole.
            is_asked = first_id > sequence.next_id or sequence.stored_id < sequence.next_id - 1
            if is_asked and await self._begins_anew(sequence):
                return True
        except VenueUnreachable as error:
            self._put_off(sequence, gap, error)
            self._note_progress(sequence, gap, sequence.next_id, "rest")
            return True
        except VenueRefused:
            # How old it is it will never tell: all of it is asked for by id.
            first_id = sequence.next_id
        if sequence.gap is not gap:
            return True
        sequence.settle_start()
        if first_id > sequence.next_id:
            last_id, place = min(first_id - 1, gap.last_id), place_of(sequence.symbol, sequence.epoch)
            kept_id = self._spool.following_id(place, sequence.next_id)
            if kept_id is not None and kept_id <= last_id:
                # What came is never too old, and the hole goes on behind it.
                last_id, sequence.resumed_id = kept_id - 1, self._spool.end_id(place, kept_id)
            self._intake.pass_over(sequence, last_id, "skipped")
            gap.first_id = sequence.next_id
            self._intake.release(sequence)
        return sequence.gap is not gap

    async def _ask(self, sequence: TradeSequence, gap: MissingIds) -> list[Trade]:
        """Ask for the ids from the due one on, and some before: they show what is absent. The answer, if believed."""
        symbol, due_id = sequence.symbol, sequence.next_id
        # The id right before may be absent itself: every other try reaches further back.
        before = 1 if gap.attempts.failed % 2 == 0 else self._refill.page_trades - 1
        self._ledger.noted(Key("trade", symbol), "rest_asked")
        urgent = gap.last_id - due_id < URGENT_TRADES
        try:
            page = await self._refill.trades(symbol, max(due_id - before, 0), urgent=urgent)
        except VenueUnreachable as error:
            self._put_off(sequence, gap, error)
            return []
        except VenueRefused as error:
            is_refused = True
            page = self._note_refusal(sequence, error)
        else:
            is_refused = False
        trades = page.trades
        if not self._refill.believes(trades) or contradicts_order(sequence, gap.last_id, trades):
            self._counters.add("data_collector_rest_bad_pages_total")
            gap.attempts.fail(self._clock())
            return []
        if self._suspends(sequence, trades):
            return []
        absent = absent_ranges(trades, due_id)
        absent = absent if is_refused else gap.left_out.confirmed(absent, self._clock())
        if not is_refused or self._give_up_refused(sequence, gap, trades, absent):
            self._take_answer(sequence, gap, page, absent, due_id)
        return trades

    def _take_answer(
        self, sequence: TradeSequence, gap: MissingIds, page: TradePage, absent: list[Gap], due_id: int
    ) -> None:
        """Let through what it has from `due_id` on, which was due when it was asked for."""
        trades = page.trades
        for trade in trades:
            # The gap may have been filled meanwhile, or its ids have begun anew.
            if sequence.gap is not gap or trade.trade_id > gap.last_id:
                break
            self._pass_over_absent(sequence, absent, trade.trade_id)
            self._intake.take_repaired(sequence, trade)
        self._pass_over_absent(sequence, absent, gap.last_id + 1)
        if sequence.gap is not gap or sequence.next_id > gap.last_id:
            return
        if page.reaches_head and trades and trades[-1].trade_id < gap.last_id:
            self._ended_before(sequence, gap)
            return
        gap.disproved.forget()
        if sequence.next_id != due_id:
            return
        gap.attempts.fail(self._clock())
        if trades and trades[0].trade_id > due_id and gap.attempts.begins_late(self._clock()):
            self._give_up(sequence, gap, trades[0].trade_id - 1)

    async def _begins_anew(self, sequence: TradeSequence) -> bool:
        """Whether the newest id of the store is another trade's now. Raises `VenueUnreachable`."""
        if sequence.stored_id < 0:
            return False
        try:
            trades = (await self._refill.trades(sequence.symbol, sequence.stored_id, limit=1)).trades
        except (VenueRefused, VenueUnreachable) as error:
            if isinstance(error, VenueUnreachable) and self._refill.fills_starts:
                raise
            # Nobody can tell.
            return False
        return self._suspends(sequence, trades)

    def _suspends(self, sequence: TradeSequence, trades: list[Trade]) -> bool:
        """Whether an answer of the exchange has another trade under an id of ours: what it has beyond is not ours."""
        is_collected = self._intake.collected.get(sequence.symbol) is sequence
        if not is_collected or not self._refill.believes(trades) or not sequence.recognise(trades):
            return False
        self._intake.lives.suspend(sequence)
        return True

    def _note_refusal(self, sequence: TradeSequence, error: VenueRefused) -> TradePage:
        """Returns what the exchange gave nonetheless."""
        key = Key("trade", sequence.symbol)
        self._refill.refused.note(key, error)
        self._ledger.noted(key, "rest_refused")
        return error.page if isinstance(error, TradesRefused) else TradePage([], reaches_head=False)

    def _give_up_refused(
        self, sequence: TradeSequence, gap: MissingIds, trades: list[Trade], absent: list[Gap]
    ) -> bool:
        """What the exchange will never give is final at once, but for what it gave nonetheless: whether that helps."""
        if sequence.gap is not gap:
            return False
        self._pass_over_absent(sequence, absent, gap.last_id + 1)
        later = next((trade.trade_id for trade in trades if trade.trade_id >= sequence.next_id), None)
        if later is None and not self._give_up_vouched(sequence, gap):
            gap.attempts.fail(self._clock())
        elif later is not None and later != sequence.next_id:
            self._give_up(sequence, gap, later - 1)
        return bool(trades) and sequence.gap is gap and sequence.next_id <= gap.last_id

    def _pass_over_absent(self, sequence: TradeSequence, absent: list[Gap], before_id: int) -> None:
        for each in absent:
            if each.first == sequence.next_id and each.first < before_id:
                last_id = min(each.last, before_id - 1)
                self._intake.pass_over(sequence, last_id, "absent")

    def _ended_before(self, sequence: TradeSequence, gap: MissingIds) -> None:
        """An answer that ends before the gap does proves nothing; but many of them are against what is held.

        Also where the stream goes on: it moves the beginning of such a gap for ever, and never reaches its end.
        """
        gap.attempts.fail(self._clock())
        now_s = self._clock()
        is_believed = gap.disproved.note(now_s)
        if gap.disproved.count >= REPEATED_MIN:
            gap.attempts.put_off(now_s + DISPROVED_PAUSE_S)
        if not is_believed:
            return
        if not sequence.held:
            sequence.disbelieve_head()
            self._intake.release(sequence)
        elif outweighs(sequence, gap):
            return
        else:
            self._counters.add("data_collector_implausible_total", rule="trade_id_jump")
            self._intake.refuse_held(sequence)
        self._withdraw(sequence)

    def _withdraw(self, sequence: TradeSequence) -> None:
        """Nothing is missing from the due id on, although the ledger was told so."""
        if sequence.reported is not None:
            first_id, last_id = sequence.reported
            self._ledger.healed(Key("trade", sequence.symbol), first_id, sequence.next_id - 1, "ws")
            self._ledger.withdrawn(Key("trade", sequence.symbol), sequence.next_id, last_id)
            self._end_report(sequence)

    def _put_off(self, sequence: TradeSequence, gap: MissingIds, error: VenueUnreachable) -> None:
        gap.attempts.fail(self._clock(), error.retry_after_s)
        self._ledger.noted(Key("trade", sequence.symbol), "rest_failed")
        if gap.attempts.failed == 1:
            structlog.get_logger().warning("repair_put_off", symbol=sequence.symbol, reason=str(error))
