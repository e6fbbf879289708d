"""Trades from the decoder to the outlet: judged, counted, each id once, in order.

Life cycle: the intake makes one. A `TradeSequence` for each symbol knows the order; what it gives back is judged,
counted and put here. It raises nothing for what an exchange sends, and asks nobody for anything: what stays missing is
filled by `pipeline.repair.trade_repair` through `take_repaired`, `take_runs` and `pass_over`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, assert_never

from data_collector.model.gaps import GapReason
from data_collector.model.gate import AuditNotes, Gate, Verdict
from data_collector.model.keys import Key
from data_collector.model.records import Trade
from data_collector.model.sink import TradeRun
from data_collector.observe.counters import Counters
from data_collector.pipeline.gaps.contradictions import Contradictions
from data_collector.pipeline.gaps.ledger import Ledger
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.outlet.runs import runs_of
from data_collector.pipeline.sequence.holdback import Holdback
from data_collector.pipeline.sequence.lives import Lives
from data_collector.pipeline.sequence.new_life import contradicts
from data_collector.pipeline.sequence.refusals import Refusals
from data_collector.pipeline.sequence.tally import TIME_JUMP, Tally, also_refused
from data_collector.pipeline.sequence.trade_sequence import HELD_MAX, RECENT_MAX, Outcome, TradeSequence

CONFLICTS_MAX = 100
"""Those that wait to be asked about; more are counted only."""

RECENT_MIN = 16
RECENT_TOTAL_MAX = 65_536
"""Some 30 MB for all symbols together."""


def recent_of(symbols: int) -> int:
    """How many trades each sequence remembers, when there are so many symbols."""
    share = max(RECENT_MIN, min(RECENT_MAX, RECENT_TOTAL_MAX // max(symbols, 1)))
    return 1 << (share.bit_length() - 1)


class TradeIntake:
    """The sequences of all symbols, and what their trades pass."""

    def __init__(
        self, outlet: Outlet, gate: Gate, tally: Tally, refusals: Refusals, ledger: Ledger, counters: Counters,
        audit: AuditNotes, clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._outlet = outlet
        self._put = outlet.put_trade
        recent = recent_of(len(outlet.queues))
        self.sequences = {symbol: TradeSequence(symbol, recent) for symbol in outlet.queues}
        """Of every symbol: tickers name trade ids too."""
        self.collected = dict(self.sequences)
        """Those whose trades are collected."""
        self.trusted = dict(self.sequences)
        """Those of them of which nothing that came may be of a next life: what is due passes unasked."""
        self._tally = tally
        self._refusals = refusals
        self._ledger = ledger
        self._counters = counters
        self._note = audit.note_trade
        self._clock = clock
        self.holdback = Holdback()
        self.lives = Lives(self, outlet, ledger, tally)
        self.contradictions = Contradictions(clock)
        self.conflicts: deque[Trade] = deque()
        """Trades that were let through and came again with other contents; the repair asks which is right."""
        self.use(gate)

    def use(self, gate: Gate) -> None:
        """Judge by this gate from now on."""
        self._check = gate.check_trade

    def add(self, symbol: str) -> None:
        """Something of the symbol is collected from now on."""
        if symbol not in self.sequences:
            self.sequences[symbol] = TradeSequence(symbol, recent_of(len(self.sequences) + 1))

    def collect(self, symbol: str) -> TradeSequence:
        """Its trades are, too."""
        sequence = self.collected[symbol] = self.trusted[symbol] = self.sequences[symbol]
        return sequence

    def collect_none(self) -> None:
        """No symbol's trades are collected."""
        self.collected.clear()
        self.trusted.clear()

    def remove(self, symbol: str) -> None:
        """Its trades are collected no longer: let go what can be, and keep what cannot."""
        sequence = self.sequences[symbol]
        self.release(sequence, at_once=True)
        self.spill(sequence)
        self.collected.pop(symbol, None)
        self.trusted.pop(symbol, None)
        sequence.leave()
        self.lives.leave(sequence)
        self.holdback.note(sequence)

    def forget(self, symbol: str) -> None:
        """Nothing of the symbol is collected any more."""
        self.sequences.pop(symbol, None)

    def take(self, trade: Trade) -> None:
        """A trade of a stream."""
        sequence = self.trusted.get(trade.symbol)
        tally = self._tally
        if sequence is None:
            sequence = self.collected.get(trade.symbol)
            if sequence is None or self.lives.suspend_where_lives_meet(sequence, trade):
                self.lives.take(trade)
                return
        verdict = self._check(trade)
        if trade.event_ms > tally.event_limit_ms and not tally.is_timely(trade.event_ms):
            self._set_aside(trade)
            return
        if verdict is not None and verdict.critical:
            if verdict.readable and sequence.shows_new_life(trade):
                self.lives.doubt(sequence, trade)
            else:
                self._refuse(sequence, trade, verdict)
            return
        trade_id = trade.trade_id
        if trade_id != sequence.next_id:
            self._take_unexpected(sequence, trade, verdict)
            return
        if verdict is None:
            # As `_let_through`, written out to spare every trade a call.
            next_id = trade_id + 1
            self._put(trade)
            sequence.next_id = next_id
            sequence.recent[trade_id & sequence.recent_mask] = trade
            tally.judged += 1
            tally.validated += 1
            tally.newest_trade = trade
            sequence.minutes.add(trade)
            self._note(trade)
            if tally.tap is not None:
                tally.tap(trade)
        else:
            self._let_through(sequence, trade, verdict)
        if sequence.gap is not None or sequence.refused_s:
            if sequence.spilled:
                self._count_once(sequence, trade_id)
            self.release(sequence)

    def release(self, sequence: TradeSequence, *, at_once: bool = False) -> None:
        """Let go what need not wait any more; `at_once`: no good copy of a refused id comes any more."""
        if not self._is_collected(sequence):
            return
        now_s = self._clock()
        if sequence.next_id < 0:
            self._begin(sequence, now_s, at_once=at_once)
            if sequence.next_id < 0:
                return
        while True:
            due_id = sequence.next_id
            trade = sequence.take_due()
            if trade is not None and sequence.is_out_of_turn(trade):
                self._disprove(trade)
            elif trade is not None:
                self._admit(sequence, trade)
            elif sequence.lacks_refused(now_s, at_once=at_once):
                self.pass_over(sequence, due_id, "refused")
            if sequence.next_id == due_id:
                break
        sequence.settle(now_s)
        self.holdback.note(sequence)

    def take_repaired(self, sequence: TradeSequence, trade: Trade) -> None:
        """A trade that the exchange's REST side gave; nothing is done unless its turn is now."""
        if trade.trade_id != sequence.next_id or not self._is_collected(sequence):
            return
        if sequence.symbol not in self.trusted and self.lives.suspend_where_lives_meet(sequence, trade):
            return
        verdict = self._check(trade)
        if verdict is not None and verdict.critical:
            self._refuse(sequence, trade, verdict)
            # Asking again would give the same answer.
            self.pass_over(sequence, trade.trade_id, "refused")
        else:
            sequence.repaired += 1
            self._let_through(sequence, trade, verdict)
        if sequence.spilled:
            self._count_once(sequence, trade.trade_id)

    def take_runs(self, sequence: TradeSequence, runs: Sequence[TradeRun]) -> None:
        """Trades that were spilled when memory was full: they were judged and counted then, and their turn is now."""
        if not self._is_collected(sequence):
            return
        next_id = sequence.next_id
        due: list[TradeRun] = []
        for run in runs:
            if run.start_id != next_id or run.epoch != sequence.epoch:
                break
            due.append(run)
            next_id = run.first_id + run.count
        self._outlet.put_kept(sequence.symbol, due)
        self._tally.copy("trade", sequence.skip_to(next_id))
        self.holdback.note(sequence)

    def pass_over(self, sequence: TradeSequence, last_id: int, reason: GapReason) -> None:
        """Nothing more is waited for up to `last_id`: explain it, and go on."""
        symbol, first_id = sequence.symbol, sequence.next_id
        if last_id < first_id or not self._is_collected(sequence):
            return
        gaps = sequence.pass_over(last_id, reason, self._outlet.rules(symbol, range(first_id, last_id + 1)))
        self._outlet.pass_over(symbol, gaps)
        for gap in gaps:
            self._ledger.given_up(Key("trade", symbol), gap.first, gap.last, gap.reason, rules=gap.rules)

    def refuse_held(self, sequence: TradeSequence) -> None:
        """What is held beyond the due id does not exist, as the exchange itself says."""
        for trade in sequence.take_held(sequence.next_id):
            self._disprove(trade)
        sequence.gap = None
        sequence.settle(self._clock())
        self.holdback.note(sequence)

    def _disprove(self, trade: Trade, rule: str = "trade_id_jump") -> None:
        verdict = also_refused(rule, self._check(trade))
        self._tally.refuse(trade, "trade", verdict)
        self._refusals.quarantine(trade, verdict)

    def settle_conflict(self, first: Trade, truth: Trade) -> Literal["right", "wrong"]:
        """The exchange has told what is right; other contents go to `late:`, but for those of new ids."""
        sequence = self.collected.get(first.symbol)
        if not contradicts(first, truth):
            return "right"
        self.contradictions.note(first.symbol)
        if sequence is not None and (sequence.next_id < 0 or truth.time_ms <= sequence.newest_ms):
            verdict = self._check(truth)
            self._outlet.put_late(truth, "revision", () if verdict is None else verdict.warnings)
        return "wrong"

    def learn_reference(self, symbol: str, trade_id: int) -> None:
        """A ticker names the last trade id: what a first trade's id is held against, and where the feed should be."""
        if trade_id < 0:
            # Nothing was traded for a day: what was named before still is the last one.
            return
        sequence = self.sequences[symbol]
        sequence.reference_id = trade_id
        if sequence.next_id < 0 and sequence.held:
            self.release(sequence)

    def look_at_heads(self) -> None:
        """Notice trades that a ticker has long named and no stream brought: they are missing."""
        now_s = self._clock()
        for sequence in self.collected.values():
            if sequence.look_at_head(now_s):
                self.holdback.note(sequence)

    def spill(self, sequence: TradeSequence) -> None:
        """Put what is held back into the spool, judged: nothing is refused once it is there."""
        trades: list[Trade] = []
        for trade in sequence.take_held():
            verdict = self._check(trade)
            if verdict is not None and verdict.critical:
                self._refuse(sequence, trade, verdict)
            else:
                trades.append(trade)
        if not trades:
            return
        runs = runs_of(sequence.symbol, trades, self._check, epoch=sequence.epoch)
        self._outlet.keep_only(runs)
        self._count_unseen(len(trades))
        for trade in trades:
            self._count_once(sequence, trade.trade_id)
            self._note(trade)
        sequence.spilled.add(runs, trades[-1].trade_id)
        self._counters.add("data_collector_trades_spilled_total", len(trades))
        self.holdback.note(sequence)

    def drop(self, trade: Trade, first: Trade | None) -> None:
        """See `Feed`."""
        verdict = self._check(trade)
        if verdict is not None and verdict.critical:
            self._tally.refuse(trade, "trade", verdict)
            self._refusals.quarantine(trade, verdict)
            return
        self._tally.copy("trade")
        self._take_conflict(first, trade)

    def due_id(self, symbol: str) -> int:
        """The trade that comes next; -1 before the first, and where nothing is collected."""
        sequence = self.sequences.get(symbol)
        return -1 if sequence is None else sequence.next_id

    def _is_collected(self, sequence: TradeSequence) -> bool:
        """Else it was removed while the exchange, or the disk, was asked."""
        return self.collected.get(sequence.symbol) is sequence

    def _let_through(self, sequence: TradeSequence, trade: Trade, verdict: Verdict | None) -> None:
        # First of all: where memory is short it raises and has done nothing, and the id stays due.
        self._put(trade, () if verdict is None else verdict.warnings)
        sequence.advance(trade)
        tally = self._tally
        tally.judged += 1
        tally.validated += 1
        if trade.received_ns:
            tally.newest_trade = trade
        tally.note_accepted(trade, "trade", verdict)

    def _count_unseen(self, count: int) -> None:
        """Trades that came, and are not let through now."""
        self._tally.judged += count
        self._tally.validated += count

    def _count_once(self, sequence: TradeSequence, trade_id: int) -> None:
        """It was counted when it was spilled, and the spool has lost it: this is a copy."""
        if sequence.spilled.take(trade_id):
            self._count_unseen(-1)
            self._tally.copy("trade")

    def _admit(self, sequence: TradeSequence, trade: Trade) -> None:
        """A trade that had to wait is judged by the rules of now."""
        verdict = self._check(trade)
        if verdict is not None and verdict.critical:
            self._refuse(sequence, trade, verdict)
        else:
            self._let_through(sequence, trade, verdict)
        if sequence.spilled:
            self._count_once(sequence, trade.trade_id)

    def _take_unexpected(self, sequence: TradeSequence, trade: Trade, verdict: Verdict | None) -> None:
        """A trade that is not the next one: it waits, or it was known, or it is late, or it cannot be believed."""
        now_s = self._clock()
        if sequence.next_id < 0 and len(sequence.held) >= HELD_MAX:
            self._begin(sequence, now_s, at_once=True)
        match sequence.offer(trade, now_s):
            case Outcome.HELD:
                self._note_held(sequence)
            case Outcome.COPY:
                self._tally.copy("trade")
            case Outcome.NEWER:
                self.lives.doubt(sequence, trade)
            case Outcome.CONFLICT:
                self._tally.copy("trade")
                self._take_conflict(sequence.known(trade.trade_id), trade)
                if trade.trade_id in sequence.held:
                    self._disprove(sequence.held.pop(trade.trade_id), "trade_id_conflict")
                    self.holdback.note(sequence)
            case Outcome.LATE:
                self._take_late(trade, verdict)
            case Outcome.IMPLAUSIBLE:
                self._refuse(sequence, trade, also_refused("trade_id_jump", verdict))
            case never:
                assert_never(never)

    def _note_held(self, sequence: TradeSequence) -> None:
        self.holdback.note(sequence)
        if sequence.next_id < 0:
            return
        if self.holdback.is_full(sequence):
            self.spill(sequence)
        if sequence.gap is None or sequence.refused_s:
            self.release(sequence)

    def _set_aside(self, trade: Trade) -> None:
        """It is of a time that has not come. Its id stays due: the exchange's REST side tells it with its true time."""
        if not self._tally.sets_aside(trade):
            self._disprove(trade, TIME_JUMP)

    def _take_late(self, trade: Trade, verdict: Verdict | None) -> None:
        self._count_unseen(1)
        self._counters.add("data_collector_records_late_total", channel="trade")
        self._outlet.put_late(trade, "recovered", () if verdict is None else verdict.warnings)
        self._tally.note_accepted(trade, "trade", verdict, late=True)

    def _take_conflict(self, first: Trade | None, second: Trade) -> None:
        """One id with two contents: what was let through stands, both are kept, and the exchange is asked."""
        self._counters.add("data_collector_trade_conflicts_total")
        if len(self.conflicts) >= CONFLICTS_MAX:
            return
        if first is not None:
            self.conflicts.append(first)
            self._refusals.quarantine(first, Verdict(("trade_id_conflict",)))
        self._refusals.quarantine(second, Verdict(("trade_id_conflict",)))

    def _begin(self, sequence: TradeSequence, now_s: float, *, at_once: bool) -> None:
        """Where nothing is stored yet."""
        strays = sequence.begin(now_s, at_once=at_once)
        if strays is None:
            return
        self.holdback.note(sequence)
        self._outlet.begin(sequence.symbol, sequence.next_id)
        for trade in strays:
            self._refuse(sequence, trade, also_refused("trade_id_jump", self._check(trade)))

    def _refuse(self, sequence: TradeSequence, trade: Trade, verdict: Verdict) -> None:
        self._tally.refuse(trade, "trade", verdict)
        if sequence.refuse(trade.trade_id, self._clock()):
            self._outlet.put_refused(sequence.symbol, trade.trade_id, self._refusals.refusal(trade, verdict))
            self.holdback.note(sequence)
        else:
            self._refusals.quarantine(trade, verdict)
