"""From a frame to the outlet in plain function calls: decode, order, check, put. No task, queue or await.

Life cycle: the service makes one intake; every line calls `receive` from its socket's read callback. It runs on the
event loop, holds nothing that grows, and raises nothing for what an exchange sends: a bad frame is counted and kept
in quarantine, and the next one is read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from data_collector.model.batch import KlineUpdate, Refusal
from data_collector.model.calendar import Calendar
from data_collector.model.errors import BadFrame
from data_collector.model.protocols import Codec, Gate, Reply, ShutdownNotice, UnknownEvent
from data_collector.model.records import Kline, Record, Ticker, Trade
from data_collector.model.wire import json_text, kline_json, trade_json
from data_collector.observe.counters import Counters
from data_collector.pipeline.arbiter import JUMP_MAX, KlineOrder, Order
from data_collector.pipeline.outlet import Lane, Outlet

RAW_BYTES_MAX = 4096
"""What quarantine keeps of a frame that cannot be read."""

REFUSED_KLINES_MAX = 1_000
"""Refused closed klines remembered per interval until a good one follows; those beyond are declared lost."""

EVENT_STEP_MS = 86_400_000
"""A day: an event time further ahead is believed when a second message confirms it."""

UNWRITABLE = frozenset({"number_text", "number_length", "time_range", "close_after_open"})
"""Rules whose breach keeps a record from being written as JSON of the contract."""

OFF_GRID = frozenset({"time_range", "open_time_grid"})
"""Rules whose breach leaves a kline no place in its interval."""

UNKNOWN = "quarantine:unknown"
"""Where frames go whose symbol cannot be read or was not subscribed."""

Tap = Callable[[Record], None]
"""Called with each record that passed; for subclasses that look at records themselves."""

Sentences = Callable[[Sequence[str]], list[dict[str, str]]]
"""Rule ids to what people read: [{"rule", "message"}]."""


class Intake:
    """Where all lines meet."""

    def __init__(
        self, codec: Codec, gate: Gate, sentences: Sentences, outlet: Outlet, calendar: Calendar,
        intervals: Sequence[str], counters: Counters,
    ) -> None:  # fmt: skip
        self._decode = codec.decode
        self._check = gate.check
        self._check_trade = gate.check_trade
        self._sentences = sentences
        self._outlet = outlet
        self._put_trade = outlet.put_trade
        self._calendar = calendar
        self._counters = counters
        self.lanes = outlet.lanes
        self.kline_orders = {(symbol, interval): KlineOrder() for symbol in outlet.lanes for interval in intervals}
        self._ticker_event_ms = dict.fromkeys(outlet.lanes, -1)
        self.tickers_spoken: set[str] = set()
        """Symbols whose ticker came from the stream, and not only from REST."""
        self.tap: Tap | None = None
        self.received = 0
        self.validated = 0
        self.errors = 0
        self.newest_trade: Trade | None = None
        self._last_other_ns = 0
        self._newest_event_ms = 0
        self._event_limit_ms = 0
        self._untimely_ms = 0

    @property
    def last_received_ns(self) -> int:
        """Wall clock of the newest message that passed; 0 before the first."""
        return max(self._last_other_ns, self.newest_trade.received_ns if self.newest_trade else 0)

    def receive(self, frame: memoryview, received_ns: int) -> Reply | ShutdownNotice | None:
        """One text frame. What concerns the connection is returned to the line."""
        try:
            decoded = self._decode(frame, received_ns)
        except BadFrame as error:
            self._refuse_frame(frame, error)
            return None
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
        broken = self._check_ticker(lane, ticker)
        if broken:
            self._counters.add("data_collector_statistics_refused_total")
            return
        self._put_ticker(lane, ticker)

    def take_ticker(self, ticker: Ticker) -> None:
        """A ticker of the stream."""
        lane = self.lanes.get(ticker.symbol)
        if lane is None:
            self._refuse_unknown(ticker)
        elif ticker.event_ms <= self._ticker_event_ms[ticker.symbol]:
            self._counters.add("data_collector_messages_copies_total", channel="ticker")
        elif self._passes(ticker, "ticker", self._check_ticker(lane, ticker)):
            self.tickers_spoken.add(ticker.symbol)
            self._put_ticker(lane, ticker)

    def _put_ticker(self, lane: Lane, ticker: Ticker) -> None:
        self._ticker_event_ms[ticker.symbol] = ticker.event_ms
        self._newest_event_ms = max(self._newest_event_ms, ticker.event_ms)
        self._outlet.put_ticker(lane, ticker)
        self._learn_reference(lane, ticker.last_id)

    def _take_trade(self, trade: Trade) -> None:
        lane = self.lanes.get(trade.symbol)
        if lane is None:
            self._refuse_unknown(trade)
            return
        broken = self._check_trade(trade)
        if trade.event_ms > self._event_limit_ms and not self._is_timely(trade.event_ms):
            broken = (*broken, "event_time_jump")
        if broken:
            self._refuse_trade(lane, trade, broken)
            return
        trade_id = trade.trade_id
        if trade_id != lane.next_id and not self._take_unexpected(lane, trade):
            return
        # As `_let_through`, written out to spare every trade a call.
        lane.next_id = trade_id + 1
        self.received += 1
        self.validated += 1
        self.newest_trade = trade
        self._put_trade(lane, trade)
        if self.tap is not None:
            self.tap(trade)

    def _let_through(self, lane: Lane, trade: Trade) -> None:
        lane.next_id = trade.trade_id + 1
        self.received += 1
        self.validated += 1
        self.newest_trade = trade
        self._put_trade(lane, trade)
        if self.tap is not None:
            self.tap(trade)

    def _take_unexpected(self, lane: Lane, trade: Trade) -> bool:
        """Whether a trade that is not the next one goes on to the stream."""
        return self._take_out_of_order(lane, trade) if lane.next_id >= 0 else self._take_first(lane, trade)

    def _take_first(self, lane: Lane, trade: Trade) -> bool:
        """The first id of a symbol is believed when a ticker names one near it, or when a second trade follows it."""
        waiting, lane.unconfirmed = lane.unconfirmed, None
        if waiting is not None:
            if trade.trade_id == waiting.trade_id:
                self._counters.add("data_collector_messages_copies_total", channel="trade")
                lane.unconfirmed = waiting
                return False
            if abs(trade.trade_id - waiting.trade_id) <= JUMP_MAX:
                first, second = sorted((waiting, trade), key=lambda each: each.trade_id)
                self._let_through(lane, first)
                if second.trade_id == lane.next_id or self._take_out_of_order(lane, second):
                    self._let_through(lane, second)
                return False
            self._refuse_trade(lane, waiting, ("trade_id_jump",))
        if lane.reference_id >= 0 and abs(trade.trade_id - lane.reference_id) <= JUMP_MAX:
            return True
        lane.unconfirmed = trade
        return False

    def _learn_reference(self, lane: Lane, trade_id: int) -> None:
        lane.reference_id = trade_id
        waiting = lane.unconfirmed
        if waiting is not None and abs(waiting.trade_id - trade_id) <= JUMP_MAX:
            lane.unconfirmed = None
            self._let_through(lane, waiting)

    def _take_out_of_order(self, lane: Lane, trade: Trade) -> bool:
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
            case Order.IMPLAUSIBLE:
                self._refuse_trade(lane, trade, ("trade_id_jump",))
            case Order.KNOWN | Order.NEXT:
                self._counters.add("data_collector_messages_copies_total", channel="trade")
        return False

    def _refuse_trade(self, lane: Lane, trade: Trade, rules: tuple[str, ...]) -> None:
        self._count_refused("trade", rules)
        refusal = self._refusal(trade, rules)
        # Before the first good trade there is no sequence that it could have a place in; an id that is behind or
        # far ahead has none either, and must not move the store's tail.
        if lane.next_id >= 0 and 0 <= trade.trade_id - lane.next_id <= JUMP_MAX:
            self._outlet.put_refused(lane, trade.trade_id, refusal)
        else:
            self._quarantine(trade.symbol, refusal)

    def _take_kline(self, kline: Kline) -> None:
        lane = self.lanes.get(kline.symbol)
        order = self.kline_orders.get((kline.symbol, kline.interval))
        if lane is None or order is None:
            self._refuse_unknown(kline)
            return
        broken = self._check_timely(kline, kline.event_ms)
        if not broken and not self._calendar.is_open_time(kline.interval, kline.open_ms):
            broken = ("open_time_grid",)
        if broken:
            refused = lane.refused_klines.setdefault(kline.interval, {})
            if (
                kline.is_closed
                and {"time_range", "open_time_grid"}.isdisjoint(broken)
                and len(refused) < REFUSED_KLINES_MAX
            ):
                refused[kline.open_ms] = broken
            self._count_refused("kline", broken)
            self._quarantine(kline.symbol, self._refusal(kline, broken))
            return
        verdict = order.judge(kline)
        if verdict is Order.KNOWN:
            self._counters.add("data_collector_messages_copies_total", channel="kline")
            return
        self._accept(kline)
        self._newest_event_ms = max(self._newest_event_ms, kline.event_ms)
        if verdict is not Order.NEXT:
            self._outlet.put_revision(lane, kline, "revision" if verdict is Order.REVISED else "recovered")
            return
        next_open_ms = self._calendar.next_open_ms(kline.interval, kline.open_ms)
        if kline.is_closed:
            refused = lane.refused_klines.pop(kline.interval, {})
            self._outlet.put_closed_kline(lane, KlineUpdate(kline, next_open_ms, refused))
        else:
            self._outlet.put_open_kline(lane, KlineUpdate(kline, next_open_ms))

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

    def _check_timely(self, record: Record, event_ms: int) -> tuple[str, ...]:
        broken = self._check(record)
        if not broken and event_ms > self._event_limit_ms and not self._is_timely(event_ms):
            return ("event_time_jump",)
        return broken

    def _check_ticker(self, lane: Lane, ticker: Ticker) -> tuple[str, ...]:
        broken = self._check_timely(ticker, ticker.event_ms)
        known_id = max(lane.next_id, lane.reference_id)
        if not broken and 0 <= known_id < ticker.last_id - JUMP_MAX:
            return ("trade_id_jump",)
        return broken

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

    def _passes(self, record: Record, channel: str, broken: tuple[str, ...]) -> bool:
        if broken:
            self._count_refused(channel, broken)
            self._quarantine(record.symbol, self._refusal(record, broken))
            return False
        self._accept(record)
        return True

    def _accept(self, record: Record) -> None:
        self.received += 1
        self.validated += 1
        self._last_other_ns = record.received_ns or time.time_ns()
        if self.tap is not None:
            self.tap(record)

    def _count_refused(self, channel: str, rules: tuple[str, ...]) -> None:
        self.received += 1
        self.errors += 1
        for rule in rules:
            self._counters.add("data_collector_records_refused_total", channel=channel, rule=rule)

    def _refuse_unknown(self, record: Record) -> None:
        self.received += 1
        self.errors += 1
        self._counters.add("data_collector_frames_bad_total", reason="not_subscribed")
        why = [{"rule": "not_subscribed", "message": "The symbol or interval was not subscribed to."}]
        content = msgspec.json.encode(record).decode()[:RAW_BYTES_MAX]
        self._put_quarantine(UNKNOWN, content, json.dumps(why), _now())

    def _refuse_frame(self, frame: memoryview, error: BadFrame) -> None:
        self.received += 1
        self.errors += 1
        self._counters.add("data_collector_frames_bad_total", reason=error.reason)
        why = json.dumps([{"rule": error.reason, "message": str(error)}])
        stream = f"quarantine:{error.symbol}" if error.symbol in self.lanes else UNKNOWN
        self._put_quarantine(stream, bytes(frame[:RAW_BYTES_MAX]).decode(errors="replace"), why, _now())

    def _refusal(self, record: Record, rules: tuple[str, ...]) -> Refusal:
        return Refusal(_content(record, rules), json.dumps(self._sentences(rules)), _now(), rules)

    def _quarantine(self, symbol: str, refusal: Refusal) -> None:
        self._put_quarantine(f"quarantine:{symbol}", refusal.content, refusal.why, refusal.at)

    def _put_quarantine(self, stream: str, content: str, why: str, at: str) -> None:
        self._outlet.put_side(stream, ("data", content, "why", why, "at", at))


def _content(record: Record, rules: tuple[str, ...]) -> str:
    """The record as users know it, where its parts can be written so; else all that was read of it."""
    if UNWRITABLE.isdisjoint(rules):
        if isinstance(record, Trade):
            return trade_json(record, json_text(record.symbol))
        if isinstance(record, Kline):
            return kline_json(record, json_text(record.symbol))
    return msgspec.json.encode(record).decode()[:RAW_BYTES_MAX]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
