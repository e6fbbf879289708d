"""Trades from the decoder to the outlet: each id once, in order; what is ahead waits, what is missing is known.

Life cycle: the intake makes one. It is pure but for the clock that was passed in, raises nothing for what an exchange
sends, and asks nobody for anything: what stays missing is filled by `pipeline.repair` through `take_repaired`,
`take_runs` and `pass_over`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from data_collector.model.batch import TradeRun
from data_collector.model.gaps import Gap, GapReason, add_gap, explain_ids
from data_collector.model.protocols import AuditNotes, Gate
from data_collector.model.records import Trade
from data_collector.model.verdict import Verdict
from data_collector.model.wire import trade_json
from data_collector.observe.counters import Counters
from data_collector.pipeline.arbiter import JUMP_MAX, Order
from data_collector.pipeline.holdback import ARBITRATION_S, HELD_MAX, Holdback
from data_collector.pipeline.lane import Lane
from data_collector.pipeline.minutes import MinuteVolumes
from data_collector.pipeline.outlet import Outlet
from data_collector.pipeline.refusals import Refusals
from data_collector.pipeline.runs import runs_of
from data_collector.pipeline.tally import Tally, also_refused

REFUSED_AHEAD_MAX = 10_000
"""A refused id further ahead gets no place in the sequence."""

STRANGE_BEHIND = 100_000
"""A copy or a late trade is behind by less."""

CONFLICTS_MAX = 100
"""Those that wait to be asked about; more are counted only."""

MARKET_FRESH_MS = 60_000
"""Such trades have happened a moment ago, by their own send time."""


class TradeIntake:
    """The sequencer of all symbols."""

    def __init__(
        self, outlet: Outlet, gate: Gate, tally: Tally, refusals: Refusals, counters: Counters, audit: AuditNotes,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._outlet = outlet
        self._put = outlet.put_trade
        self.lanes = dict(outlet.lanes)
        """Symbols whose trades are collected."""
        self._tally = tally
        self._refusals = refusals
        self._counters = counters
        self._note = audit.note_trade
        self._clock = clock
        self.holdback = Holdback(clock)
        self.conflicts: deque[Trade] = deque()
        """Trades that were let through and came again with other contents; the repair asks which is right."""
        self.on_explained: Callable[[str, Gap], None] = lambda _symbol, _gap: None
        """Gets each gap that is passed over, with its symbol."""
        self.use(gate)

    def use(self, gate: Gate) -> None:
        """Judge by this gate from now on."""
        self._check = gate.check_trade

    def take(self, trade: Trade) -> None:
        """A trade of a stream."""
        lane = self.lanes.get(trade.symbol)
        tally = self._tally
        if lane is None:
            tally.refuse_unknown(trade)
            return
        verdict = self._check(trade)
        if trade.event_ms > tally.event_limit_ms and not tally.is_timely(trade.event_ms):
            verdict = also_refused("event_time_jump", verdict)
        if verdict is not None and verdict.critical:
            self._refuse(lane, trade, verdict)
            return
        if trade.trade_id != lane.next_id:
            self._take_unexpected(lane, trade, verdict)
            return
        if verdict is None:
            # As `_let_through`, written out to spare every trade a call.
            next_id = trade.trade_id + 1
            self._put(lane, trade)
            lane.next_id = next_id
            lane.recent[trade.trade_id & lane.recent_mask] = trade
            tally.received += 1
            tally.validated += 1
            tally.newest_trade = trade
            lane.minutes.add(trade)
            self._note(trade)
            if tally.tap is not None:
                tally.tap(trade)
        else:
            self._let_through(lane, trade, verdict)
        if lane.gap is not None or lane.refused_s:
            if lane.spilled:
                self._count_once(lane, trade.trade_id)
            self.release(lane)

    def release(self, lane: Lane, *, everything: bool = False) -> None:
        """Let go what need not wait any more; `everything`: no good copy of a refused id comes any more."""
        if self.lanes.get(lane.symbol) is not lane:
            # Collected no longer.
            return
        if lane.next_id < 0:
            self._begin(lane, everything=everything)
            if lane.next_id < 0:
                return
        holdback = self.holdback
        # A good copy may have taken the place of a refused one.
        lane.refused_s.pop(lane.next_id - 1, None)
        while True:
            due_id = lane.next_id
            trade = holdback.take(lane, due_id)
            if trade is not None:
                lane.refused_s.pop(due_id, None)
                self._admit(lane, trade)
            elif due_id in lane.refused_s and (everything or holdback.is_ripe(lane.refused_s[due_id])):
                self.pass_over(lane, due_id, "refused")
            if lane.next_id == due_id:
                break
        holdback.settle(lane)

    def take_repaired(self, lane: Lane, trade: Trade) -> None:
        """A trade that the exchange's REST side gave; nothing is done unless its turn is now."""
        if trade.trade_id != lane.next_id or self.lanes.get(lane.symbol) is not lane:
            return
        verdict = self._check(trade)
        if verdict is not None and verdict.critical:
            self._refuse(lane, trade, verdict)
            # Asking again would give the same answer.
            self.pass_over(lane, trade.trade_id, "refused")
        else:
            lane.repaired += 1
            self._let_through(lane, trade, verdict)
        if lane.spilled:
            self._count_once(lane, trade.trade_id)

    def take_runs(self, lane: Lane, runs: Sequence[TradeRun]) -> None:
        """Trades that were spilled when memory was full: they were judged and counted then, and their turn is now."""
        self._outlet.end_run(lane)
        for run in runs:
            if run.start_id != lane.next_id:
                break
            self._outlet.queue_kept(lane, run)
            lane.next_id = run.first_id + run.count
        lane.spilled.pass_to(lane.next_id)
        # The volumes of their minutes are not known here.
        lane.minutes = MinuteVolumes()
        for trade_id in [trade_id for trade_id in lane.refused_s if trade_id < lane.next_id]:
            del lane.refused_s[trade_id]
        for trade_id in [trade_id for trade_id in lane.held if trade_id < lane.next_id]:
            self.holdback.take(lane, trade_id)
            self._tally.copy("trade")

    def pass_over(self, lane: Lane, last_id: int, reason: GapReason) -> None:
        """Nothing more is waited for up to `last_id`: explain it, and go on."""
        first_id = lane.next_id
        if last_id < first_id:
            return
        if lane.newest is not None:
            self._outlet.end_run(lane)
        passed = range(first_id, last_id + 1)
        rules = {number: lane.refused[number].rules for number in _common(passed, lane.refused)}
        for number in _common(passed, lane.refused_s):
            del lane.refused_s[number]
        for gap in explain_ids(first_id, last_id, rules, reason):
            add_gap(lane.passed, gap)
            self.on_explained(lane.symbol, gap)
        lane.order.pass_over(first_id, last_id)
        lane.next_id = last_id + 1
        lane.spilled.pass_to(lane.next_id)
        lane.repaired += last_id + 1 - first_id
        self._outlet.mark(lane)

    def refuse_held(self, lane: Lane, above_id: int) -> None:
        """What is held beyond `above_id` does not exist, as the exchange itself says."""
        for trade_id in [trade_id for trade_id in lane.held if trade_id > above_id]:
            trade = self.holdback.take(lane, trade_id)
            if trade is not None:
                verdict = also_refused("trade_id_jump", self._check(trade))
                self._tally.refuse(trade, "trade", verdict)
                self._refusals.quarantine(trade, verdict)
        lane.gap = None
        self.holdback.settle(lane)

    def settle_conflict(self, first: Trade, truth: Trade) -> Literal["right", "wrong"]:
        """The exchange has told what is right; where that is not what is stored, it goes to `late:`."""
        if (first.price, first.quantity) == (truth.price, truth.quantity) and not is_other(first, truth):
            return "right"
        lane = self.lanes.get(first.symbol)
        if lane is None:
            # It is collected no longer.
            return "wrong"
        fields = ("data", trade_json(truth, lane.symbol_json), "why", "revision")
        self._outlet.put_side("late", first.symbol, fields)
        return "wrong"

    def learn_reference(self, lane: Lane, trade_id: int) -> None:
        """A ticker names the last trade id: what a first trade's id is held against, and where the feed should be."""
        lane.reference_id = trade_id
        if lane.next_id < 0 and lane.held:
            self.release(lane)

    def spill(self, lane: Lane) -> None:
        """Put what is held back into the retention: there is no room for it in memory."""
        trades = self.holdback.take_all(lane)
        if not trades:
            return
        runs = runs_of(lane, trades, self._check)
        self._outlet.keep_only(runs)
        self._tally.received += len(trades)
        self._tally.validated += len(trades)
        for trade in trades:
            self._count_once(lane, trade.trade_id)
        lane.spilled.add(runs, trades[-1].trade_id)
        self._counters.add("data_collector_trades_spilled_total", len(trades))
        for trade in trades:
            self._note(trade)

    def begin_anew(self, lane: Lane, due_id: int | None) -> None:
        """The exchange's ids have: nothing that we hold counts. `due_id`: what the store wants next, if anything."""
        held = len(self.holdback.take_all(lane))
        self._tally.received += held
        self._tally.validated += held
        self.holdback.forget(lane)
        self._outlet.forget_trades(lane)
        lane.begin_anew(-1 if due_id is None else due_id)

    def remove(self, lane: Lane) -> None:
        """Its trades are collected no longer: let go what can be, and keep what cannot."""
        self.release(lane, everything=True)
        self.spill(lane)
        self.lanes.pop(lane.symbol, None)
        lane.gap = None
        lane.refused_s.clear()
        self.holdback.forget(lane)

    def _let_through(self, lane: Lane, trade: Trade, verdict: Verdict | None) -> None:
        next_id = trade.trade_id + 1
        # First of all: where memory is short it raises and has done nothing, and the id stays due.
        self._put(lane, trade, () if verdict is None else verdict.warnings)
        lane.next_id = next_id
        lane.recent[trade.trade_id & lane.recent_mask] = trade
        tally = self._tally
        tally.received += 1
        tally.validated += 1
        if trade.received_ns:
            tally.newest_trade = trade
        lane.minutes.add(trade)
        tally.note_accepted(trade, "trade", verdict)

    def _count_once(self, lane: Lane, trade_id: int) -> None:
        """It was counted when it was spilled, and the retention has lost it: this is a copy."""
        if lane.spilled.take(trade_id):
            self._tally.received -= 1
            self._tally.validated -= 1
            self._tally.copy("trade")

    def _admit(self, lane: Lane, trade: Trade) -> None:
        """A trade that had to wait is judged by the rules of now."""
        verdict = self._check(trade)
        if verdict is not None and verdict.critical:
            self._refuse(lane, trade, verdict)
        else:
            self._let_through(lane, trade, verdict)
        if lane.spilled:
            self._count_once(lane, trade.trade_id)

    def _take_unexpected(self, lane: Lane, trade: Trade, verdict: Verdict | None) -> None:
        """A trade that is not the next one: it waits, or it was known, or it is late, or it cannot be believed."""
        if lane.next_id < 0:
            self._take_first(lane, trade)
            return
        match lane.order.judge(trade, lane.next_id):
            case Order.AHEAD:
                self._hold(lane, trade)
            case Order.LATE:
                self._take_late(lane, trade, verdict)
            case Order.IMPLAUSIBLE:
                self._refuse(lane, trade, also_refused("trade_id_jump", verdict))
            case Order.KNOWN | Order.NEXT | Order.REVISED:
                self._take_copy(lane, trade)

    def _hold(self, lane: Lane, trade: Trade) -> None:
        lane.strangers = 0
        if not self.holdback.hold(lane, trade):
            self._tally.copy("trade")
            return
        if lane.gap is not None:
            lane.gap.last_id = min(lane.gap.last_id, trade.trade_id - 1)
        if self.holdback.is_full(lane):
            self.spill(lane)
        if lane.gap is None or lane.refused_s:
            self.release(lane)

    def _take_late(self, lane: Lane, trade: Trade, verdict: Verdict | None) -> None:
        tally = self._tally
        tally.received += 1
        tally.validated += 1
        self._counters.add("data_collector_records_late_total", channel="trade")
        fields = ("data", trade_json(trade, lane.symbol_json), "why", "recovered")
        self._outlet.put_side("late", trade.symbol, fields)
        tally.note_accepted(trade, "trade", verdict, late=True)

    def _take_copy(self, lane: Lane, trade: Trade) -> None:
        self._tally.copy("trade")
        first = lane.recent[trade.trade_id & lane.recent_mask]
        if first is None or first.trade_id != trade.trade_id:
            self._notice_stranger(lane, trade)
            return
        lane.strangers = 0
        if first.price != trade.price or first.quantity != trade.quantity or is_other(first, trade):
            self._take_conflict(first, trade)

    def _take_conflict(self, first: Trade, second: Trade) -> None:
        """One id with two contents: the first stands, both are kept, and the exchange is asked which is right."""
        self._counters.add("data_collector_trade_conflicts_total")
        if len(self.conflicts) >= CONFLICTS_MAX:
            return
        self.conflicts.append(first)
        for trade in (first, second):
            self._refusals.quarantine(trade, Verdict(("trade_id_conflict",)))

    def _notice_stranger(self, lane: Lane, trade: Trade) -> None:
        """Ids that began anew (a testnet's reset, a new listing), or a store that was filled from another market."""
        if trade.trade_id < lane.next_id - STRANGE_BEHIND and trade.event_ms - trade.time_ms < MARKET_FRESH_MS:
            lane.strangers += 1
        else:
            lane.strangers = 0

    def _take_first(self, lane: Lane, trade: Trade) -> None:
        if not lane.held:
            lane.first_s = self._clock()
        if len(lane.held) >= HELD_MAX:
            self._begin(lane, everything=True)
            if lane.next_id < 0:
                self._refuse(lane, trade, also_refused("trade_id_jump", self._check(trade)))
            else:
                self._take_unexpected(lane, trade, None)
        elif not self.holdback.hold(lane, trade):
            self._tally.copy("trade")

    def _begin(self, lane: Lane, *, everything: bool) -> None:
        """Where nothing is stored yet: with the smallest id that came within the arbitration time.

        Ids are believed when a ticker names one near them, or when two of them vouch for each other.
        """
        if not lane.held or not (everything or self._clock() - lane.first_s >= ARBITRATION_S):
            return
        ids = sorted(lane.held)
        if lane.reference_id >= 0:
            good = [each for each in ids if abs(each - lane.reference_id) <= JUMP_MAX]
        else:
            neighbours = zip([-JUMP_MAX * 2, *ids], ids, [*ids[1:], ids[-1] + JUMP_MAX * 2], strict=False)
            good = [each for before, each, after in neighbours if min(each - before, after - each) <= JUMP_MAX]
        if not good:
            return
        lane.next_id = good[0]
        if lane.lost:
            # From before the first trade, as far back as a start fills.
            lane.lost = False
            self._outlet.fall_behind(lane, None)
        else:
            lane.origin_id = good[0]
            lane.begins = True
        for each in set(ids) - set(good):
            trade = self.holdback.take(lane, each)
            if trade is not None:
                self._refuse(lane, trade, also_refused("trade_id_jump", self._check(trade)))

    def _refuse(self, lane: Lane, trade: Trade, verdict: Verdict) -> None:
        self._tally.refuse(trade, "trade", verdict)
        # Before the first good trade there is no sequence that it could have a place in; an id that is behind or
        # far ahead has none either.
        if lane.next_id >= 0 and 0 <= trade.trade_id - lane.next_id <= REFUSED_AHEAD_MAX:
            self._outlet.put_refused(lane, trade.trade_id, self._refusals.refusal(trade, verdict))
            if len(lane.refused_s) < HELD_MAX:
                lane.refused_s.setdefault(trade.trade_id, self._clock())
            self.holdback.watch(lane)
        else:
            self._refusals.quarantine(trade, verdict)


def _common(ids: range, known: Mapping[int, object]) -> list[int]:
    """The ids that are known, found by walking whichever is shorter."""
    if len(ids) <= len(known):
        return [number for number in ids if number in known]
    return [number for number in known if number in ids]


def is_other(first: Trade, second: Trade) -> bool:
    """Whether two copies of a trade contradict each other beyond price and quantity."""
    return first.time_ms != second.time_ms or first.is_buyer_maker != second.is_buyer_maker
