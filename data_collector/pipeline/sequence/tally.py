"""What every kind of record has in common on its way in: counts, the judgement of its send time, notes for the audit.

Life cycle: the intake makes one and shares it with the intakes of trades and klines. Pure, but for the wall clock.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from msgspec import Struct, structs

from data_collector.model.channels import key_of
from data_collector.model.gate import AuditNotes, Verdict
from data_collector.model.keys import Key
from data_collector.model.records import Record, Trade
from data_collector.observe.counters import Counters
from data_collector.pipeline.sequence.exchange_clock import AHEAD_MS, ExchangeClock
from data_collector.pipeline.sequence.refusals import Refusals

EVENT_STEP_MS = 86_400_000
"""A day: while messages alone tell the time, one further ahead is believed when a second message confirms it."""

TIME_JUMP = "event_time_jump"
"""The rule that is broken by what is of a time that has not come."""

DOUBTED_MAX = 10_000
"""Records of a time that has not come, as far as is known; what comes beyond is refused at once."""

OLD_S = 60.0
"""A message came so long ago at most; otherwise somebody has set this machine's time of day."""

Tap = Callable[[Record], None]
"""Called with each record that passed; for subclasses that look at records themselves."""


class StreamRefusals(Struct):
    """What was refused of a stream since the process started."""

    count: int = 0
    rules: tuple[str, ...] = ()
    """Those that refused the newest."""


class Tally:
    """Counts since the process started: judged = validated + errors. A trade that is held back is not judged yet."""

    __slots__ = (
        "_counters", "_heard_trade", "_note", "_refusals", "_untimely_ms", "clock", "doubted", "errors",
        "event_limit_ms", "former", "is_settling", "judged", "last_other_ns", "newest_trade", "other_event_ms",
        "passed_ms", "refused", "tap", "validated",
    )  # fmt: skip

    def __init__(
        self, refusals: Refusals, counters: Counters, audit: AuditNotes, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._refusals = refusals
        self._counters = counters
        self._note = audit.note
        self.tap: Tap | None = None
        self.judged = 0
        self.validated = 0
        self.errors = 0
        self.newest_trade: Trade | None = None
        """The newest one that a stream brought."""
        self.last_other_ns = 0
        """Wall clock of the newest message that is no trade, or was refused."""
        self.other_event_ms = 0
        """The newest send time of a message that is no trade, since the clock was told; 0 where none came."""
        self.refused: dict[Key, StreamRefusals] = {}
        """What streams brought and rules refused: who is refused is not silent."""
        self.former: set[Key] = set()
        """Streams that were given up: what an exchange still sends of them is no fault."""
        self.event_limit_ms = 0
        """What is sent later than this must be judged by `is_timely`."""
        self.passed_ms = 0
        """What has come by then needs not be judged by `has_come`."""
        self._untimely_ms = 0
        self.clock = ExchangeClock(clock)
        self._heard_trade: Trade | None = None
        """The one that the clock was told of last."""
        self.doubted: deque[Record] = deque()
        """Records of a time that has not come, in the order in which they came: the exchange is asked for its clock."""
        self.is_settling = False
        """Whether it has been asked: nothing is put aside any more."""

    def listen(self) -> ExchangeClock:
        """The exchange's clock, which knows the newest messages.

        It is told when it is asked, and not with every message, so that a message costs one comparison.
        """
        trade = self.newest_trade
        if trade is not None and trade is not self._heard_trade:
            self._heard_trade = trade
            self.clock.trades.note_sent(trade.event_ms + _age_ms(trade.received_ns), self.clock.now_s)
        if self.other_event_ms:
            self.clock.messages.note_sent(self.other_event_ms + _age_ms(self.last_other_ns), self.clock.now_s)
            self.other_event_ms = 0
        return self.clock

    def is_timely(self, event_ms: int) -> bool:
        """Whether the exchange's clock may stand there, by what anybody else says.

        Where nobody does: at most a day after the newest time, or told twice.
        """
        clock = self.listen()
        is_agreed = clock.agrees(event_ms)
        if not is_agreed and clock.is_vouched_for:
            return False
        newest_ms = self.exchange_ms()
        is_step = newest_ms and event_ms - newest_ms > EVENT_STEP_MS
        if not is_agreed and is_step and abs(event_ms - self._untimely_ms) > EVENT_STEP_MS:
            self._untimely_ms = event_ms
            return False
        self.event_limit_ms = clock.now_ms() + AHEAD_MS if clock.is_vouched_for else event_ms + EVENT_STEP_MS
        return True

    def has_come(self, time_ms: int) -> bool:
        """Whether it is so late by anything but the message, no trade, that says so."""
        clock = self.listen()
        if clock.is_vouched_for:
            self.passed_ms = clock.now_ms()
        return clock.has_come(time_ms)

    def note_rest(self, rest_ms: int) -> None:
        """The exchange's REST side told its time just now."""
        self.listen().note_rest(rest_ms)
        self.event_limit_ms = self.passed_ms = 0

    def sets_aside(self, record: Record) -> bool:
        """Keep a record of a time that has not come until the exchange's clock is known better; else it is refused."""
        if self.is_settling or not self.clock.is_vouched_for or len(self.doubted) >= DOUBTED_MAX:
            return False
        self.doubted.append(record)
        return True

    @property
    def last_received_ns(self) -> int:
        """Wall clock of the newest message; 0 before the first."""
        return max(self.last_other_ns, self.newest_trade.received_ns if self.newest_trade else 0)

    def exchange_ms(self) -> int:
        """The exchange's clock; 0 before the first message that tells it."""
        clock = self.listen()
        return clock.now_ms() if clock.trades.is_known or clock.messages.is_known else 0

    def exchange_now_ms(self) -> int:
        """The exchange's clock; our own before anybody has told it."""
        return self.listen().now_ms() or time.time_ns() // 1_000_000

    def judged_in_time(self, event_ms: int, verdict: Verdict | None) -> Verdict | None:
        """The verdict, with the rule about the send time added where it is broken."""
        if verdict is not None and verdict.critical:
            return verdict
        if event_ms > self.event_limit_ms and not self.is_timely(event_ms):
            return also_refused(TIME_JUMP, verdict)
        return verdict

    def copy(self, channel: str, count: int = 1) -> None:
        """Further copies of what was counted before."""
        self._counters.add("data_collector_messages_copies_total", count, channel=channel)

    def accept(self, record: Record, channel: str, verdict: Verdict | None, *, late: bool = False) -> None:
        """A record passed."""
        self.judged += 1
        self.validated += 1
        self.last_other_ns = record.received_ns or time.time_ns()
        self.note_accepted(record, channel, verdict, late=late)

    def note_accepted(self, record: Record, channel: str, verdict: Verdict | None, *, late: bool = False) -> None:
        """The part of `accept` that comes after counting."""
        if verdict is not None:
            self._refusals.count_marks(channel, verdict)
        self._note(record, verdict, late=late)
        if self.tap is not None:
            self.tap(record)

    def note_refilled(self, trade: Trade, verdict: Verdict | None) -> None:
        """A trade that the exchange gave for the store alone, behind the feed: judged and audited as any other."""
        if verdict is not None and verdict.critical:
            self.refuse(trade, "trade", verdict)
            return
        self.note_told(trade, "trade", verdict, late=True)

    def note_told(self, record: Record, channel: str, verdict: Verdict | None, *, late: bool = False) -> None:
        """A record passed that the exchange's REST side told."""
        self.judged += 1
        self.validated += 1
        if verdict is not None:
            self._refusals.count_marks(channel, verdict)
        self._note(record, verdict, late=late)

    def refuse(self, record: Record, channel: str, verdict: Verdict) -> None:
        """A record was refused; keeping it is the caller's."""
        self.judged += 1
        self.errors += 1
        if TIME_JUMP in verdict.critical:
            self.clock.note_refused()
        if record.received_ns:
            self.last_other_ns = record.received_ns
            refused = self.refused.setdefault(key_of(record), StreamRefusals())
            refused.count += 1
            refused.rules = verdict.critical
        self._refusals.count(channel, verdict)
        self._note(record, verdict, accepted=False)

    def passes(self, record: Record, channel: str, verdict: Verdict | None) -> bool:
        """Accept a record without a sequence, or put it into quarantine."""
        if verdict is not None and verdict.critical:
            self.refuse(record, channel, verdict)
            self._refusals.quarantine(record, verdict)
            return False
        self.accept(record, channel, verdict)
        return True

    def refuse_unknown(self, record: Record) -> None:
        """A record of what was not subscribed; what was, but is no longer, is passed over."""
        if self.former and key_of(record) in self.former:
            self._counters.add("data_collector_records_former_total")
            return
        self.judged += 1
        self.errors += 1
        self._refusals.quarantine_unknown(record)


def also_refused(rule: str, verdict: Verdict | None) -> Verdict:
    """The verdict with a rule of the pipeline added."""
    return Verdict((rule,)) if verdict is None else structs.replace(verdict, critical=(*verdict.critical, rule))


def _age_ms(received_ns: int) -> int:
    """How long ago a message came."""
    age_s = (time.time_ns() - received_ns) / 1e9
    return int(age_s * 1000) if 0 < age_s <= OLD_S else 0
