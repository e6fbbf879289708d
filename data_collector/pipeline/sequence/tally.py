"""What every kind of record has in common on its way in: counts, the judgement of its send time, notes for the audit.

Life cycle: the intake makes one and shares it with the intakes of trades and klines. Pure, but for the wall clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct, structs

from data_collector.model.channels import key_of
from data_collector.model.gate import AuditNotes, Verdict
from data_collector.model.keys import Key
from data_collector.model.records import Record, Trade
from data_collector.observe.counters import Counters
from data_collector.pipeline.sequence.refusals import Refusals

EVENT_STEP_MS = 86_400_000
"""A day: an event time further ahead is believed when a second message confirms it."""

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
        "_counters", "_note", "_refusals", "_untimely_ms", "errors", "event_limit_ms", "former",
        "judged", "last_other_ns", "newest_trade", "other_event_ms", "refused", "tap", "validated",
    )  # fmt: skip

    def __init__(self, refusals: Refusals, counters: Counters, audit: AuditNotes) -> None:
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
        """The newest send time of a message that is no trade."""
        self.refused: dict[Key, StreamRefusals] = {}
        """What streams brought and rules refused: who is refused is not silent."""
        self.former: set[Key] = set()
        """Streams that were given up: what an exchange still sends of them is no fault."""
        self.event_limit_ms = 0
        """What is sent later than this must be judged by `is_timely`."""
        self._untimely_ms = 0

    def is_timely(self, event_ms: int) -> bool:
        """Whether the exchange's clock may stand there: at most a day after the newest time, or told twice.

        The limit moves here and not with every message, so that a message costs one comparison.
        """
        newest_ms = self.exchange_ms()
        if newest_ms and event_ms - newest_ms > EVENT_STEP_MS and abs(event_ms - self._untimely_ms) > EVENT_STEP_MS:
            self._untimely_ms = event_ms
            return False
        self.other_event_ms = event_ms
        self.event_limit_ms = event_ms + EVENT_STEP_MS
        return True

    @property
    def last_received_ns(self) -> int:
        """Wall clock of the newest message; 0 before the first."""
        return max(self.last_other_ns, self.newest_trade.received_ns if self.newest_trade else 0)

    def exchange_ms(self) -> int:
        """The exchange's clock, as its messages told it last; 0 before the first."""
        trade = self.newest_trade
        return max(self.other_event_ms, trade.event_ms if trade is not None else 0)

    def exchange_now_ms(self) -> int:
        """The exchange's clock; our own before the first message."""
        return self.exchange_ms() or time.time_ns() // 1_000_000

    def judged_in_time(self, event_ms: int, verdict: Verdict | None) -> Verdict | None:
        """The verdict, with the rule about the send time added where it is broken."""
        if verdict is not None and verdict.critical:
            return verdict
        if event_ms > self.event_limit_ms and not self.is_timely(event_ms):
            return also_refused("event_time_jump", verdict)
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
