"""Klines from a frame, or from REST, to the outlet: judge, order, put. No task, queue or await.

Life cycle: the intake makes one and gives it every kline that a frame holds; `pipeline.repair.kline_repair` gives it
what the exchange's REST side told. It runs on the event loop and raises nothing for what an exchange sends.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Literal, assert_never

import structlog

from data_collector.candles.contents import content, says_alike
from data_collector.model.gate import OFF_GRID, Verdict, verdict_of_odd
from data_collector.model.keys import Key
from data_collector.model.records import Kline
from data_collector.model.sink import Behind, KlineCheck, KlineUpdate, RecordSource
from data_collector.observe.counters import Counters
from data_collector.pipeline.gaps.contradictions import Contradictions
from data_collector.pipeline.gaps.ledger import Ledger
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.sequence.built_klines import BuiltKlines
from data_collector.pipeline.sequence.kline_doubts import KlineDoubt, KlineDoubts
from data_collector.pipeline.sequence.refusals import Refusals
from data_collector.pipeline.sequence.series import KlineSeries, Order
from data_collector.pipeline.sequence.tally import TIME_JUMP, Tally, also_refused
from data_collector.pipeline.sequence.trade_sequence import TradeSequence
from data_collector.pipeline.sequence.wanted_klines import WantedKlines

TIME_MS_MIN = 10**12
TIME_MS_MAX = 4_102_444_800_000
"""What calendars can place."""

KLINE_CONFLICT = "kline_conflict"

CHECKED_INTERVAL = "1m"
"""Its klines are compared with our own trades: the others are made of the same ones."""


class KlineIntake:
    """The series of all symbols and intervals."""

    def __init__(
        self, outlet: Outlet, wanted: WantedKlines, tally: Tally, refusals: Refusals, ledger: Ledger,
        counters: Counters, trades: Mapping[str, TradeSequence], contradictions: Contradictions,
    ) -> None:  # fmt: skip
        """`trades` of the same symbols: closed klines of a minute are compared with them."""
        self._contradictions = contradictions
        self._outlet = outlet
        self.calendar = wanted.calendar
        self.catch_up_ms = int(wanted.catch_up_s * 1000)
        self._counters = counters
        self.ledger = ledger
        self._tally = tally
        self._refusals = refusals
        self._trades = trades
        self.series: dict[Key, KlineSeries] = {}
        self._counted_ms: dict[Key, int] = {}
        self._lost: set[Key] = set()
        self.begun: list[Kline] = []
        """First closed kline of each series that began: what lies before it may be fetched for charts."""
        self.beginning: set[Key] = set()
        """Series that are to begin with a certain kline: nothing of them was stored, and nothing is missing yet."""
        self.resumed: set[Key] = set()
        """Series whose due time the store told: what it lacks is missing, and not only late."""
        self.doubts = KlineDoubts()
        """Closed klines of which REST decides."""
        self.built = BuiltKlines(self, trades) if wanted.are_built else None
        for symbol in outlet.queues:
            for interval in wanted.intervals:
                self.add(Key("kline", symbol, interval))

    def add(self, key: Key) -> None:
        """A series is collected from now on; its symbol has a queue in the outlet."""
        self.series[key] = KlineSeries(key, self.calendar, self._check)
        self._counted_ms[key] = -1
        if self.built is not None:
            self.built.add(key, self._tally.exchange_ms())

    def remove(self, key: Key) -> None:
        """A series is collected no longer; what was released waits in the outlet."""
        self.series.pop(key, None)
        self._counted_ms.pop(key, None)
        self.resumed.discard(key)
        self._lost.discard(key)
        self.beginning.discard(key)
        if self.built is not None:
            self.built.remove(key)

    def take(self, kline: Kline) -> None:
        """A kline of the stream."""
        series = self.series.get(Key("kline", kline.symbol, kline.interval))
        if series is None:
            self._tally.refuse_unknown(kline)
            return
        verdict = self._judge(kline)
        if (verdict is None or not verdict.critical) and not self._has_come(kline):
            if not self._tally.sets_aside(kline):
                # What closes then is not refused with it: the true frame comes at its end, or REST tells it.
                self._refuse(kline, also_refused(TIME_JUMP, verdict))
        elif verdict is not None and verdict.critical:
            if kline.is_closed and TIME_MS_MIN <= kline.open_ms <= TIME_MS_MAX:
                series.refuse(kline.open_ms, verdict.critical)
            self._refuse(kline, verdict)
        elif kline.is_closed:
            self._take_closed(series, kline, verdict)
        else:
            self._take_open(series, kline, verdict)

    def _has_come(self, kline: Kline) -> bool:
        """Whether it was sent by now, and has begun, or ended if it says so."""
        tally, time_ms = self._tally, kline.close_ms + 1 if kline.is_closed else kline.open_ms
        if kline.event_ms > tally.event_limit_ms and not tally.is_timely(kline.event_ms):
            return False
        return time_ms <= tally.passed_ms or tally.has_come(time_ms)

    def take_built(self, kline: Kline, *, is_doubtful: bool) -> None:
        """A closed kline that was made of our trades; where REST told it before, that stands."""
        series = self.series[Key("kline", kline.symbol, kline.interval)]
        if 0 <= kline.open_ms < series.due_ms:
            return
        verdict = self._judge(kline)
        if verdict is not None and verdict.critical:
            series.refuse(kline.open_ms, verdict.critical)
            self._refuse(kline, verdict)
            return
        starts = series.due_ms < 0
        order = series.take_closed(kline, _marks(verdict), "built")
        if order is Order.IMPLAUSIBLE:
            self._refuse(kline, Verdict((OFF_GRID,)))
        elif order in (Order.NEXT, Order.AHEAD):
            self._tally.note_told(kline, "kline", verdict)
            self._place(series, kline, order, _marks(verdict), starts=starts)
            if is_doubtful:
                self.compare(kline)

    def take_running(self, kline: Kline) -> None:
        """An open kline, as far as our trades make it."""
        series, verdict = self.series[Key("kline", kline.symbol, kline.interval)], self._judge(kline)
        if verdict is not None and verdict.critical:
            self._refusals.count("kline", verdict)
        elif series.judge_open(kline) is Order.NEXT:
            if self._tally.tap is not None:
                self._tally.tap(kline)
            self._show_open(series, kline, _marks(verdict), "built")

    def compare(self, kline: Kline) -> None:
        """REST is to tell what it has of a closed kline."""
        self.doubts.note(kline, "frame" if kline.received_ns else "built")

    def prove(self, symbol: str, trade_id: int, time_ms: int, latest_ms: int) -> None:
        """The exchange has no trade with a later id from before `time_ms`, and no other one from after `latest_ms`."""
        if self.built is not None:
            clock = self._tally.listen()
            time_ms = min(time_ms, clock.now_ms()) if clock.is_vouched_for else time_ms
            self.built.prove(symbol, trade_id, time_ms, latest_ms)

    def take_told(self, series: KlineSeries, kline: Kline) -> None:
        """A closed kline that REST told; its place is due, or behind others that are."""
        verdict = self._judge(kline)
        if verdict is not None and verdict.critical:
            if series.refuse(kline.open_ms, verdict.critical):
                # REST tells it again as long as it does not tell what is due before.
                self._refuse(kline, verdict)
            # No other copy will come.
            series.pass_refused()
            self.release(series)
            return
        starts = series.due_ms < 0
        order = series.take_closed(kline, _marks(verdict), "rest")
        if order is Order.KNOWN or order is Order.BEYOND:
            return
        if order is Order.IMPLAUSIBLE:
            if series.is_new_off_grid(kline.open_ms):
                self._refuse(kline, Verdict((OFF_GRID,)))
            return
        self._tally.note_told(kline, "kline", verdict, late=order in (Order.LATE, Order.REVISED))
        self._place(series, kline, order, _marks(verdict), starts=starts)

    def set_aside(self, series: KlineSeries, kline: Kline, place: int) -> None:
        """REST told something that is no whole kline of its interval: its place is refused, unless that is past."""
        if not series.is_awaited(place):
            return
        verdict = verdict_of_odd(self._judge(kline), kline, place)
        self._refuse(kline, verdict)
        series.refuse(place, verdict.critical)
        if place == series.due_ms:
            # No other copy will come.
            series.pass_refused()
        self.release(series)

    def reconcile(self, doubt: KlineDoubt, theirs: Kline, now_ms: int) -> None:
        """A closed kline of which REST was to decide, and what it told then."""
        series = self.series.get(Key("kline", theirs.symbol, theirs.interval))
        kline = (series.remembered(theirs.open_ms) if series is not None else None) or doubt.kline
        is_frame = doubt.origin == "frame"
        agrees = content(kline) == content(theirs) if is_frame else says_alike(kline, theirs)
        if doubt.origin == "built" and kline == doubt.kline:
            self._note_built(kline, agrees=agrees)
        if is_frame:
            self.doubts.note_told(theirs, now_ms)
        if not agrees or is_frame:
            structlog.get_logger().warning(
                "candle_mismatch", symbol=kline.symbol, open_ms=kline.open_ms, rest_agrees_with_frame=agrees
            )
        if agrees:
            if is_frame and self._check(kline, -1) == "mismatch":
                self._contradictions.suspect(kline)
            return
        verdict = self._judge(theirs)
        if verdict is not None and verdict.critical:
            self._refuse(theirs, verdict)
            return
        if series is not None:
            series.revise(theirs)
        self._put_revision(theirs, "revision", _marks(verdict))

    def _note_built(self, kline: Kline, *, agrees: bool) -> None:
        self._counters.add("data_collector_candle_checks_total", result="ok" if agrees else "mismatch")
        self.doubts.note_built(kline, self.series.values(), agrees=agrees)
        if not agrees and self.built is not None:
            self.built.doubt(kline)

    def put_past(self, klines: Iterable[Kline]) -> None:
        """Closed klines from before the beginning of their series, for `kline:` alone."""
        for kline in klines:
            verdict = self._judge(kline)
            if verdict is None or not verdict.critical:
                self._outlet.side.put_past(kline, _marks(verdict))

    def begin(self, cursors: Mapping[Key, int], *, was_filled: bool = False) -> None:
        """Collection starts: the open time that the store must get next, of each series that it has.

        Where the store `was_filled` before, the other series were lost: they are filled again from before their first
        closing frame, as far back as a start fills.
        """
        self._lost = {key for key, series in self.series.items() if was_filled and series.due_ms < 0} - set(cursors)
        self.resume(cursors)

    def begin_at(self, series: KlineSeries, open_ms: int) -> None:
        """A new series begins with the kline that opened then."""
        series.begin_at(open_ms)
        if series.key in self._lost:
            self._lost.discard(series.key)
            self._rewind(series, None)
        else:
            self.beginning.add(series.key)

    def resume(self, cursors: Mapping[Key, int]) -> None:
        """The open time that the store must get next, of series that are added while others go on."""
        for key, due_ms in cursors.items():
            series = self.series.get(key)
            if series is not None:
                self._rewind(series, due_ms)
                if self.built is not None:
                    self.built.anchor(key, due_ms)

    def go_back(self, behind: Behind) -> None:
        """The store lacks klines that it was given."""
        series = self.series.get(behind.key)
        if series is not None:
            self._rewind(series, behind.due)

    def release(self, series: KlineSeries) -> None:
        """Put what can follow now."""
        if self.series.get(series.key) is not series:
            # It was removed while the exchange was asked.
            return
        for update in series.release():
            self._note_closed(series, update)
            self._outlet.put_closed_kline(update)

    def _rewind(self, series: KlineSeries, due_ms: int | None) -> None:
        if due_ms is None:
            series.begin_anew(self._oldest_wanted_ms())
        else:
            series.rewind(due_ms)
        if series.due_ms >= 0:
            self.resumed.add(series.key)
        self.release(series)

    def _oldest_wanted_ms(self) -> int:
        """For a store that has lost everything; before the exchange's time is known, nothing is older than now."""
        now_ms = self._tally.exchange_ms()
        return now_ms - self.catch_up_ms if now_ms else sys.maxsize

    def _take_open(self, series: KlineSeries, kline: Kline, verdict: Verdict | None) -> None:
        if series.open_ms > kline.open_ms and not self._tally.has_come(series.open_ms):
            # It was believed while nobody else told the time.
            series.open_ms = series.event_ms = -1
        match series.judge_open(kline):
            case Order.KNOWN:
                self._tally.copy("kline")
                return
            case Order.IMPLAUSIBLE:
                self._refuse(kline, Verdict((OFF_GRID,)))
                return
        self._accept(kline, verdict)
        self._show_open(series, kline, _marks(verdict), "ws")

    def _show_open(
        self, series: KlineSeries, kline: Kline, warnings: tuple[str, ...], source: RecordSource
    ) -> None:  # fmt: skip
        if kline.open_ms > series.due_ms:
            # Its trade ids may prove that what has not closed had no trade.
            self.release(series)
        next_open_ms = self.calendar.next_open_ms(kline.interval, kline.open_ms)
        self._outlet.put_open_kline(KlineUpdate(kline, next_open_ms, warnings, source=source))

    def _take_closed(self, series: KlineSeries, kline: Kline, verdict: Verdict | None) -> None:
        starts = series.due_ms < 0
        order = series.take_closed(kline, _marks(verdict))
        if order is Order.KNOWN or order is Order.BEYOND:
            # What is beyond is counted when REST tells it.
            self._tally.copy("kline")
            if (first := series.contradicted(kline)) is not None:
                self._refusals.quarantine(kline, Verdict((KLINE_CONFLICT,)))
                self.compare(first)
        elif order is Order.IMPLAUSIBLE:
            self._refuse(kline, Verdict((OFF_GRID,)))
        else:
            self._accept(kline, verdict, late=order in (Order.LATE, Order.REVISED))
            self._place(series, kline, order, _marks(verdict), starts=starts)

    def _place(
        self, series: KlineSeries, kline: Kline, order: Order, warnings: tuple[str, ...], *, starts: bool
    ) -> None:  # fmt: skip
        match order:
            case Order.NEXT | Order.AHEAD:
                if starts and series.key in self._lost:
                    self._lost.discard(series.key)
                    self._rewind(series, None)
                    return
                if starts:
                    self.begun.append(kline)
                self.release(series)
            case Order.REVISED:
                self._put_revision(kline, "revision", warnings)
            case Order.LATE:
                self._put_revision(kline, "recovered", warnings)
            case Order.KNOWN | Order.BEYOND | Order.IMPLAUSIBLE:
                pass
            case _:
                assert_never(order)

    def _put_revision(self, kline: Kline, why: Literal["revision", "recovered"], warnings: tuple[str, ...]) -> None:
        if why == "revision":
            self._counters.add("data_collector_kline_revisions_total")
        if kline.symbol in self._outlet.queues:
            self._outlet.put_revision(kline, why, warnings)

    def _judge(self, kline: Kline) -> Verdict | None:
        """By the rules alone: what REST told has no event time."""
        return self._refusals.gate.check(kline)

    def _accept(self, kline: Kline, verdict: Verdict | None, *, late: bool = False) -> None:
        if kline.last_trade_id >= 0:
            self.doubts.newest_ids[kline.symbol] = kline.last_trade_id
        self._tally.accept(kline, "kline", verdict, late=late)
        self._tally.other_event_ms = max(self._tally.other_event_ms, kline.event_ms)

    def _refuse(self, kline: Kline, verdict: Verdict) -> None:
        self._tally.refuse(kline, "kline", verdict)
        self._refusals.quarantine(kline, verdict)

    def _note_closed(self, series: KlineSeries, update: KlineUpdate) -> None:
        key, kline = series.key, update.kline
        self.ledger.healed(key, kline.open_ms, kline.open_ms, update.source, are_ordinary=self.built is not None)
        self.ledger.passed(key, kline.open_ms)
        if kline.open_ms <= self._counted_ms[key]:
            # The store lost it, and gets it again.
            return
        self._counted_ms[key] = kline.open_ms
        if key in self.beginning:
            self.beginning.discard(key)
            self.begun.append(kline)
        self._counters.add("data_collector_klines_closed_total", source=update.source)
        for gap in update.gaps:
            if gap.reason == "refused":
                self.ledger.given_up(key, gap.first, gap.last, gap.reason, rules=gap.rules)
        if update.source == "rest":
            self.doubts.note_told(kline, self._tally.exchange_ms())
        if update.source != "ws":
            if self._tally.tap is not None:
                self._tally.tap(kline)
        elif key.interval == CHECKED_INTERVAL:
            self._counters.add("data_collector_candle_checks_total", result=update.check)
            if update.check == "mismatch":
                self.compare(kline)

    def _check(self, kline: Kline, id_before: int) -> KlineCheck:
        if kline.interval != CHECKED_INTERVAL and kline.trades != 0:
            return "unchecked"
        return self._trades[kline.symbol].check_minute(kline, id_before)


def _marks(verdict: Verdict | None) -> tuple[str, ...]:
    return () if verdict is None else verdict.warnings
