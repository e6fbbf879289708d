"""From a frame to the outlet in plain function calls: decode, order, check, put. No task, queue or await.

Life cycle: the service makes one intake; every line calls `receive` from its socket's read callback. It runs on the
event loop and raises nothing for what an exchange sends: a bad frame is counted and kept in quarantine, and the next
one is read. Trades behind a refused id wait in their lane for a moment (`pipeline.holdback`), a bounded number of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from msgspec import structs

from data_collector.model.batch import KlineUpdate
from data_collector.model.calendar import Calendar
from data_collector.model.errors import BadFrame
from data_collector.model.protocols import AuditNotes, Codec, Gate, Reply, ShutdownNotice, UnknownEvent
from data_collector.model.records import Kline, Record, Ticker, Trade
from data_collector.model.verdict import Verdict
from data_collector.model.wire import trade_json
from data_collector.observe.counters import Counters
from data_collector.pipeline.arbiter import JUMP_MAX, KlineOrder, Order
from data_collector.pipeline.holdback import ARBITRATION_S, Holdback
from data_collector.pipeline.outlet import Lane, Outlet
from data_collector.pipeline.refusals import Refusals

REFUSED_KLINES_MAX = 1_000
"""Refused closed klines remembered per interval until a good one follows; those beyond are declared lost."""

EVENT_STEP_MS = 86_400_000
"""A day: an event time further ahead is believed when a second message confirms it."""

REFUSED_AHEAD_MAX = 10_000
"""A refused id further ahead gets no place in the sequence: when nothing follows it, it would move the symbol there."""

TIME_MS_MIN = 10**12
TIME_MS_MAX = 4_102_444_800_000
"""What calendars can place."""

Tap = Callable[[Record], None]
"""Called with each record that passed; for subclasses that look at records themselves."""


class Intake:
    """Where all lines meet."""

    def __init__(
        self, codec: Codec, gate: Gate, outlet: Outlet, calendar: Calendar, intervals: Sequence[str],
        counters: Counters, audit: AuditNotes, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._decode = codec.decode
        self._outlet = outlet
        self._put_trade = outlet.put_trade
        self._calendar = calendar
        self._counters = counters
        self._note_trade = audit.note_trade
        self._note = audit.note
        self._refusals = Refusals(outlet, gate, counters)
        self._holdback = Holdback(clock)
        self.use(gate)
        self.lanes = outlet.lanes
        self.kline_orders = {(symbol, interval): KlineOrder() for symbol in outlet.lanes for interval in intervals}
        self._ticker_event_ms = dict.fromkeys(outlet.lanes, -1)
        self.tickers_spoken: dict[str, int] = {}
        """Event time of the newest ticker that came from the stream, and not from REST."""
        self.tap: Tap | None = None
        self.received = 0
        self.validated = 0
        self.errors = 0
        self.newest_trade: Trade | None = None
        self._last_other_ns = 0
        self._newest_event_ms = 0
        self._event_limit_ms = 0
        self._untimely_ms = 0

    def use(self, gate: Gate) -> None:
        """Judge by this gate from now on."""
        self._check = gate.check
        self._check_trade = gate.check_trade
        self._refusals.gate = gate

    async def arbitrate(self) -> None:
        """Let go the trades that waited long enough behind a refused id; never returns."""
        while True:
            await self._holdback.holding.wait()
            await asyncio.sleep(ARBITRATION_S / 3)
            self.release_held()

    def release_held(self, *, everything: bool = False) -> None:
        """Let go what was held back, as far as the time is over; `everything`: nothing comes any more."""
        for lane in list(self._holdback.lanes):
            if everything:
                lane.refused_s.clear()
            self._release(lane)

    @property
    def last_received_ns(self) -> int:
        """Wall clock of the newest message that passed; 0 before the first."""
        return max(self._last_other_ns, self.newest_trade.received_ns if self.newest_trade else 0)

    def receive(self, frame: memoryview, received_ns: int) -> Reply | ShutdownNotice | BadFrame | None:
        """One text frame. What concerns the connection is returned to the line."""
        try:
            decoded = self._decode(frame, received_ns)
        except BadFrame as error:
            self._refuse_frame(frame, error)
            return error
        if type(decoded) is Trade:
            self._take_trade(decoded)
        elif type(decoded) is Kline:
            self._take_kline(decoded)
        elif isinstance(decoded, Reply | ShutdownNotice):
            return decoded
        elif isinstance(decoded, UnknownEvent):
            self._counters.add("data_collector_events_unknown_total")
        elif isinstance(decoded, list):
            for record in decoded:
                self._take_other(record)
        else:
            self._take_other(decoded)
        return None

    def take_statistics(self, ticker: Ticker) -> None:
        """A ticker that we asked REST for: it keeps `latest:` current, and is no message of the feed."""
        lane = self.lanes.get(ticker.symbol)
        if lane is None or ticker.event_ms <= self._ticker_event_ms[ticker.symbol]:
            return
        verdict = self._check_ticker(lane, ticker)
        if verdict is not None and verdict.critical:
            self._counters.add("data_collector_statistics_refused_total")
            return
        self._put_ticker(lane, ticker, verdict)

    def take_ticker(self, ticker: Ticker) -> None:
        """A ticker of the stream."""
        lane = self.lanes.get(ticker.symbol)
        if lane is None:
            self._refuse_unknown(ticker)
        elif ticker.event_ms <= self._ticker_event_ms[ticker.symbol]:
            self._counters.add("data_collector_messages_copies_total", channel="ticker")
        else:
            verdict = self._check_ticker(lane, ticker)
            if self._passes(ticker, "ticker", verdict):
                self.tickers_spoken[ticker.symbol] = ticker.event_ms
                self._put_ticker(lane, ticker, verdict)

    def _put_ticker(self, lane: Lane, ticker: Ticker, verdict: Verdict | None) -> None:
        self._ticker_event_ms[ticker.symbol] = ticker.event_ms
        self._newest_event_ms = max(self._newest_event_ms, ticker.event_ms)
        self._outlet.put_ticker(lane, ticker, verdict.warnings if verdict is not None else ())
        self._learn_reference(lane, ticker.last_id)

    def _take_trade(self, trade: Trade) -> None:
        lane = self.lanes.get(trade.symbol)
        if lane is None:
            self._refuse_unknown(trade)
            return
        verdict = self._check_trade(trade)
        if trade.event_ms > self._event_limit_ms and not self._is_timely(trade.event_ms):
            verdict = _also_refused("event_time_jump", verdict)
        if verdict is not None and verdict.critical:
            self._refuse_trade(lane, trade, verdict)
            return
        if trade.trade_id != lane.next_id and not self._take_unexpected(lane, trade, verdict):
            return
        if verdict is None:
            # As `_let_through`, written out to spare every trade a call.
            lane.next_id = trade.trade_id + 1
            self.received += 1
            self.validated += 1
            self.newest_trade = trade
            self._put_trade(lane, trade)
            self._note_trade(trade)
            if self.tap is not None:
                self.tap(trade)
        else:
            self._let_through(lane, trade, verdict)
        if lane.held:
            self._release(lane)

    def _let_through(self, lane: Lane, trade: Trade, verdict: Verdict | None) -> None:
        lane.next_id = trade.trade_id + 1
        self.received += 1
        self.validated += 1
        self.newest_trade = trade
        self._put_trade(lane, trade, () if verdict is None else verdict.warnings)
        self._note_accepted(trade, "trade", verdict)

    def _note_accepted(self, record: Record, channel: str, verdict: Verdict | None, *, late: bool = False) -> None:
        if verdict is not None:
            self._refusals.count_marks(channel, verdict)
        self._note(record, verdict, late=late)
        if self.tap is not None:
            self.tap(record)

    def _take_unexpected(self, lane: Lane, trade: Trade, verdict: Verdict | None) -> bool:
        """Whether a trade that is not the next one goes on to the stream."""
        if lane.next_id < 0:
            return self._take_first(lane, trade)
        # What waited longest goes first.
        self._release(lane)
        if self._holdback.must_wait(lane, trade.trade_id):
            if not self._holdback.hold(lane, trade):
                self._counters.add("data_collector_messages_copies_total", channel="trade")
            return False
        if lane.held and trade.trade_id > next(reversed(lane.held)):
            # This one goes past what is held: a jump, or too much is held.
            lane.refused_s.clear()
            self._release(lane)
        return trade.trade_id == lane.next_id or self._take_out_of_order(lane, trade, verdict)

    def _release(self, lane: Lane) -> None:
        while (trade := self._holdback.take(lane)) is not None:
            self._admit(lane, trade)

    def _admit(self, lane: Lane, trade: Trade) -> None:
        """A trade that had to wait is judged by the rules of now."""
        verdict = self._check_trade(trade)
        if verdict is not None and verdict.critical:
            self._refuse_trade(lane, trade, verdict)
        elif lane.next_id < 0 or trade.trade_id == lane.next_id or self._take_out_of_order(lane, trade, verdict):
            self._let_through(lane, trade, verdict)

    def _take_first(self, lane: Lane, trade: Trade) -> bool:
        """The first id of a symbol is believed when a ticker names one near it, or when a second trade follows it."""
        waiting, lane.unconfirmed = lane.unconfirmed, None
        if waiting is not None:
            if trade.trade_id == waiting.trade_id:
                self._counters.add("data_collector_messages_copies_total", channel="trade")
                lane.unconfirmed = waiting
                return False
            if abs(trade.trade_id - waiting.trade_id) <= JUMP_MAX:
                for each in sorted((waiting, trade), key=lambda each: each.trade_id):
                    self._admit(lane, each)
                return False
            self._refuse_trade(lane, waiting, _also_refused("trade_id_jump", self._check_trade(waiting)))
        if lane.reference_id >= 0 and abs(trade.trade_id - lane.reference_id) <= JUMP_MAX:
            return True
        lane.unconfirmed = trade
        return False

    def _learn_reference(self, lane: Lane, trade_id: int) -> None:
        lane.reference_id = trade_id
        waiting = lane.unconfirmed
        if waiting is not None and abs(waiting.trade_id - trade_id) <= JUMP_MAX:
            lane.unconfirmed = None
            self._admit(lane, waiting)

    def _take_out_of_order(self, lane: Lane, trade: Trade, verdict: Verdict | None) -> bool:
        order = lane.order.judge(trade, lane.next_id)
        match order:
            case Order.AHEAD:
                lane.end_run()
                return True
            case Order.LATE:
                self.received += 1
                self.validated += 1
                self._counters.add("data_collector_records_late_total", channel="trade")
                fields = ("data", trade_json(trade, lane.symbol_json), "why", "recovered")
                self._outlet.put_side(f"late:{trade.symbol}", fields)
                self._note_accepted(trade, "trade", verdict, late=True)
            case Order.IMPLAUSIBLE:
                self._refuse_trade(lane, trade, _also_refused("trade_id_jump", verdict))
            case Order.KNOWN | Order.NEXT:
                self._counters.add("data_collector_messages_copies_total", channel="trade")
        return False

    def _refuse_trade(self, lane: Lane, trade: Trade, verdict: Verdict) -> None:
        self._count_refused(trade, "trade", verdict)
        # Before the first good trade there is no sequence that it could have a place in; an id that is behind or
        # far ahead has none either, and must not move the store's tail.
        if lane.next_id >= 0 and 0 <= trade.trade_id - lane.next_id <= REFUSED_AHEAD_MAX:
            self._outlet.put_refused(lane, trade.trade_id, self._refusals.refusal(trade, verdict))
            self._holdback.note_refused(lane, trade.trade_id)
        else:
            self._refusals.quarantine(trade, verdict)

    def _take_kline(self, kline: Kline) -> None:
        lane = self.lanes.get(kline.symbol)
        order = self.kline_orders.get((kline.symbol, kline.interval))
        if lane is None or order is None:
            self._refuse_unknown(kline)
            return
        verdict = self._check_timely(kline, kline.event_ms)
        if verdict is not None and verdict.critical:
            self._refuse_kline(lane, kline, verdict)
            return
        place = order.judge(kline)
        if place is Order.KNOWN:
            self._counters.add("data_collector_messages_copies_total", channel="kline")
            return
        self._accept(kline, "kline", verdict, late=place is not Order.NEXT)
        self._newest_event_ms = max(self._newest_event_ms, kline.event_ms)
        if place is not Order.NEXT:
            self._outlet.put_revision(lane, kline, "revision" if place is Order.REVISED else "recovered")
            return
        next_open_ms = self._calendar.next_open_ms(kline.interval, kline.open_ms)
        warnings = () if verdict is None else verdict.warnings
        if kline.is_closed:
            refused = lane.refused_klines.pop(kline.interval, {})
            self._outlet.put_closed_kline(lane, KlineUpdate(kline, next_open_ms, warnings, refused))
        else:
            self._outlet.put_open_kline(lane, KlineUpdate(kline, next_open_ms, warnings))

    def _refuse_kline(self, lane: Lane, kline: Kline, verdict: Verdict) -> None:
        refused = lane.refused_klines.setdefault(kline.interval, {})
        if kline.is_closed and len(refused) < REFUSED_KLINES_MAX and self._has_place(kline):
            refused[kline.open_ms] = verdict.critical
        self._count_refused(kline, "kline", verdict)
        self._refusals.quarantine(kline, verdict)

    def _has_place(self, kline: Kline) -> bool:
        """Whether a kline of its interval can open then."""
        in_time = TIME_MS_MIN <= kline.open_ms <= TIME_MS_MAX
        return in_time and self._calendar.is_open_time(kline.interval, kline.open_ms)

    def _take_other(self, record: Record) -> None:
        match record:
            case Trade():
                self._take_trade(record)
            case Kline():
                self._take_kline(record)
            case Ticker():
                self.take_ticker(record)
            case _:
                if record.symbol not in self.lanes:
                    self._refuse_unknown(record)
                else:
                    self._passes(record, "other", self._check(record))

    def _check_timely(self, record: Record, event_ms: int) -> Verdict | None:
        verdict = self._check(record)
        if verdict is not None and verdict.critical:
            return verdict
        if event_ms > self._event_limit_ms and not self._is_timely(event_ms):
            return _also_refused("event_time_jump", verdict)
        return verdict

    def _check_ticker(self, lane: Lane, ticker: Ticker) -> Verdict | None:
        verdict = self._check_timely(ticker, ticker.event_ms)
        known_id = max(lane.next_id, lane.reference_id)
        if 0 <= known_id < ticker.last_id - JUMP_MAX and not (verdict is not None and verdict.critical):
            return _also_refused("trade_id_jump", verdict)
        return verdict

    def _is_timely(self, event_ms: int) -> bool:
        """Whether the exchange's clock may stand there: at most a day after the newest time, or told twice.

        The limit moves here and not with every message, so that a message costs one comparison.
        """
        trade = self.newest_trade
        newest_ms = max(self._newest_event_ms, trade.event_ms if trade is not None else 0)
        if newest_ms and event_ms - newest_ms > EVENT_STEP_MS and abs(event_ms - self._untimely_ms) > EVENT_STEP_MS:
            self._untimely_ms = event_ms
            return False
        self._newest_event_ms = event_ms
        self._event_limit_ms = event_ms + EVENT_STEP_MS
        return True

    def _passes(self, record: Record, channel: str, verdict: Verdict | None) -> bool:
        if verdict is not None and verdict.critical:
            self._count_refused(record, channel, verdict)
            self._refusals.quarantine(record, verdict)
            return False
        self._accept(record, channel, verdict)
        return True

    def _accept(self, record: Record, channel: str, verdict: Verdict | None, *, late: bool = False) -> None:
        self.received += 1
        self.validated += 1
        self._last_other_ns = record.received_ns or time.time_ns()
        self._note_accepted(record, channel, verdict, late=late)

    def _count_refused(self, record: Record, channel: str, verdict: Verdict) -> None:
        self.received += 1
        self.errors += 1
        self._refusals.count(channel, verdict)
        self._note(record, verdict, accepted=False)

    def _refuse_unknown(self, record: Record) -> None:
        self.received += 1
        self.errors += 1
        self._refusals.quarantine_unknown(record)

    def _refuse_frame(self, frame: memoryview, error: BadFrame) -> None:
        self.received += 1
        self.errors += 1
        self._refusals.quarantine_frame(frame, error, self.lanes)


def _also_refused(rule: str, verdict: Verdict | None) -> Verdict:
    """The verdict with a rule of the pipeline added."""
    return Verdict((rule,)) if verdict is None else structs.replace(verdict, critical=(*verdict.critical, rule))
