"""What becomes of a message that may not pass: counted by rule, and kept in quarantine with the reason."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime

import msgspec

from data_collector.model.channels import key_of
from data_collector.model.errors import BadFrame
from data_collector.model.gate import Gate, Verdict
from data_collector.model.keys import UNKNOWN
from data_collector.model.records import Kline, Record, Trade
from data_collector.model.sink import RecordSource, Refusal
from data_collector.model.wire import json_text, kline_json, trade_json
from data_collector.observe.counters import Counters
from data_collector.pipeline.outlet.outlet import Outlet

RAW_BYTES_MAX = 4096
"""What quarantine keeps of a frame that cannot be read."""

_NOT_SUBSCRIBED = json.dumps([{"rule": "not_subscribed", "message": "The symbol or interval was not subscribed to."}])


class Refusals:
    """Makes entries of quarantine. `gate` may be replaced when the rules change."""

    def __init__(self, outlet: Outlet, gate: Gate, counters: Counters) -> None:
        self._outlet = outlet
        self._counters = counters
        self.gate = gate

    def count(self, channel: str, verdict: Verdict) -> None:
        """A message was refused."""
        for rule in verdict.critical:
            self._counters.add("data_collector_records_refused_total", channel=channel, rule=rule)
        self.count_marks(channel, verdict)

    def count_marks(self, channel: str, verdict: Verdict) -> None:
        """Rules that refuse nothing."""
        for severity, rules in (("warning", verdict.warnings), ("info", verdict.infos)):
            for rule in rules:
                self._counters.add("data_collector_records_marked_total", channel=channel, rule=rule, severity=severity)

    def refusal(self, record: Record, verdict: Verdict) -> Refusal:
        """The entry of a record, with the sentences of all rules that it broke."""
        why = json.dumps(self.gate.sentences(record, verdict.rules))
        source: RecordSource = "ws" if record.received_ns else "rest"
        epoch = self._outlet.epoch_of(record.symbol) if isinstance(record, Trade) else 0
        return Refusal(_content(record, verdict), why, _now(), _columns(record), verdict.critical, source, epoch)

    def quarantine(self, record: Record, verdict: Verdict) -> None:
        """A record that has no place in a sequence of trades."""
        self._outlet.side.put("quarantine", record.symbol, self.refusal(record, verdict).fields)

    def quarantine_unknown(self, record: Record) -> None:
        """A record of a symbol or interval that was not subscribed."""
        self._counters.add("data_collector_frames_bad_total", reason="not_subscribed")
        content = msgspec.json.encode(record).decode()[:RAW_BYTES_MAX]
        self._outlet.side.put("quarantine", UNKNOWN, ("data", content, "why", _NOT_SUBSCRIBED, "at", _now()))

    def quarantine_frame(self, frame: bytes, error: BadFrame, symbols: Collection[str]) -> None:
        """A frame that is no record."""
        self._counters.add("data_collector_frames_bad_total", reason=error.reason)
        why = json.dumps([{"rule": error.reason, "message": str(error)}])
        symbol = UNKNOWN if error.symbol is None or error.symbol not in symbols else error.symbol
        content = frame[:RAW_BYTES_MAX].decode(errors="replace")
        self._outlet.side.put("quarantine", symbol, ("data", content, "why", why, "at", _now()))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _content(record: Record, verdict: Verdict) -> str:
    """The record as users know it, where its parts can be written so; else all that was read of it."""
    if verdict.readable:
        try:
            if isinstance(record, Trade):
                return trade_json(record, json_text(record.symbol))
            if isinstance(record, Kline):
                return kline_json(record, json_text(record.symbol))
        except (ValueError, OverflowError, OSError):
            # A time beyond the calendar, which is what it was refused for.
            pass
    return msgspec.json.encode(record).decode()[:RAW_BYTES_MAX]


def _columns(record: Record) -> str:
    """Its kind and what rules see beside the record's keys, so that it can be judged again."""
    columns: dict[str, object] = {"kind": key_of(record).channel}
    if isinstance(record, Kline):
        names: tuple[str, ...] = ("open_ms", "close_ms", "event_ms", "first_trade_id", "last_trade_id")
    else:
        names = ("time_ms", "event_ms") if isinstance(record, Trade) else ()
    columns |= {name: getattr(record, name) for name in names}
    if record.received_ns:
        columns["received_ms"] = record.received_ns // 1_000_000
    return json.dumps(columns)
