"""Faults on request: what the exchange shall do wrong, how often, and to whom.

In process through `Simulator.faults`; from outside as JSON through POST /simulator/faults (docs/simulator.md).
"""

from __future__ import annotations

import random
from fnmatch import fnmatchcase
from typing import Literal

from msgspec import Struct, field

from data_collector.model.records import Kline, Record

FrameFaultKind = Literal["drop", "duplicate", "reorder", "delay", "change", "conflict", "corrupt"]

RestFaultKind = Literal["overlap", "short", "shuffle", "alter", "missing", "newest"]

CorruptShape = Literal["truncated", "bad_utf8", "deep", "nan", "huge_number", "duplicate_keys", "empty", "binary"]


class FrameFault(Struct, kw_only=True, forbid_unknown_fields=True):
    """A fault in the frames of streams.

    `drop`: not sent. `duplicate`: sent twice. `reorder`: sent after the next `span` frames of the connection.
    `delay`: sent `delay_s` later. `change`: `set`, `add` and `remove` are applied to the payload. `conflict`: sent,
    and then once more with the change. `corrupt`: something of the given `shape` is sent in its place.
    """

    kind: FrameFaultKind
    stream: str = "*"
    """Name of the streams, as a shell pattern: `btcusdt@trade`, `*@kline_1m`."""
    connection: int | None = None
    """Number of one connection (they are counted from 1); None is all."""
    contains: str = ""
    """Only payloads with this text in them: `"x":true` for closing frames."""
    rate: float = 1.0
    """Which share of the frames, drawn from the seed."""
    count: int | None = None
    """How many frames; None until it is cleared."""
    span: int = 1
    delay_s: float = 0.0
    set: dict[str, object] = field(default_factory=dict)
    """New values by key; `k.x` is the key `x` inside `k`, and `data.0.x` that of the first item of the list `data`."""
    add: dict[str, int] = field(default_factory=dict)
    """What to add to integers."""
    remove: tuple[str, ...] = ()
    shape: CorruptShape = "truncated"


class RestFault(Struct, kw_only=True, forbid_unknown_fields=True):
    """A fault in REST answers: another status, a delay, silence, an empty list, or a page that is not true.

    `overlap`: the page begins `span` rows before what was asked for. `short`: its second half is missing. `shuffle`:
    the two rows in its middle have changed places. `alter`: `set` and `add` are applied to its rows. `missing`: `span`
    rows in its middle are left out, or those `within` a range, as if REST itself had never had them; a range is for
    `alter` too. `newest`: of klines only the newest `span` are served, the open one too. Errors are told as usual.
    """

    kind: RestFaultKind | None = None
    path: str = "*"
    """Shell pattern of the path: `/api/v3/klines`, `*/Trades`."""
    status: int | None = None
    """429, 418, 403, 451, 500, … with the body that the exchange sends with it; None answers as usual."""
    retry_after_s: int | None = None
    code: int | None = None
    message: str | None = None
    delay_s: float = 0.0
    hang: bool = False
    """Never answer; the connection is dropped when the simulator stops."""
    empty: bool = False
    """An empty list, whatever is usual."""
    location: str | None = None
    """For a 3xx status: where to redirect to."""
    span: int = 1
    within: tuple[int, int] | None = None
    """Of `missing` and `alter`: first and last id, or open time of klines."""
    row: int | None = None
    """Which row `alter` is for, from 0 or, negative, from the end; None is all."""
    set: dict[str, object] = field(default_factory=dict)
    """New values by key; the columns of kline rows are `0`, `1`, …"""
    add: dict[str, int] = field(default_factory=dict)
    """What to add to integers."""
    count: int | None = None


class Refuse(Struct, kw_only=True, forbid_unknown_fields=True):
    """New stream connections get this HTTP status instead of an upgrade."""

    status: int = 503
    count: int | None = None
    location: str | None = None
    """For a 3xx status: where to redirect to."""


class RefuseStreams(Struct, kw_only=True, forbid_unknown_fields=True):
    """A request for such streams is refused; the exchange's own way decides whether all of it is, or these alone."""

    stream: str
    """Name of the streams, as a shell pattern."""
    closes: bool = False
    """Whether the connection is closed after it."""
    message: str | None = None
    """What is told; None is what the exchange usually says."""
    code: int | None = None
    count: int | None = None


class EqualTimes(Struct, kw_only=True, forbid_unknown_fields=True):
    """Streams leave out trades that took place at the same time as the one before. REST has them."""

    stream: str = "*"
    """Shell pattern of the streams' names."""
    rate: float = 1.0
    """Which share of them, drawn from the seed."""


class Lie(Struct, kw_only=True, forbid_unknown_fields=True):
    """A record that is not so, told by a stream in the exchange's own form, whichever exchange it is."""

    stream: str = "*"
    """Shell pattern of the streams' names."""
    beside: bool = False
    """Whether the true record is told too, before it."""
    closed: bool | None = None
    """Of klines: only closing ones, or only open ones."""
    ids: int = 0
    """How far trade ids are off."""
    times_ms: int = 0
    """How far every time is off."""
    price: str | None = None
    """Of a trade, or the newest one of a ticker."""
    closes: bool = False
    """Whether an open kline is told to be closed."""
    rate: float = 1.0
    """Which share of the records, drawn from the seed."""
    count: int | None = None


Fault = FrameFault | RestFault | Refuse | RefuseStreams | EqualTimes | Lie


class Faults:
    """Every fault that is in force. They are tried in the order in which they came; the first that fits acts."""

    def __init__(self, seed: int) -> None:
        self.frame_faults: list[FrameFault] = []
        self.rest_faults: list[RestFault] = []
        self.refusals: list[Refuse] = []
        self.refused_streams: list[RefuseStreams] = []
        self.equal_times: list[EqualTimes] = []
        self.lies: list[Lie] = []
        self.hit_counts: dict[str, int] = {}
        self._random = random.Random(f"{seed}:faults")

    @property
    def count(self) -> int:
        """How many are in force."""
        faults = len(self.frame_faults) + len(self.rest_faults) + len(self.refusals)
        return faults + len(self.refused_streams) + len(self.equal_times) + len(self.lies)

    def add(self, fault: Fault) -> None:
        """Put a fault in force."""
        match fault:
            case FrameFault():
                self.frame_faults.append(fault)
            case RestFault():
                self.rest_faults.append(fault)
            case Refuse():
                self.refusals.append(fault)
            case RefuseStreams():
                self.refused_streams.append(fault)
            case EqualTimes():
                self.equal_times.append(fault)
            case Lie():
                self.lies.append(fault)

    def clear(self) -> None:
        """Behave again."""
        self.frame_faults.clear()
        self.rest_faults.clear()
        self.refusals.clear()
        self.refused_streams.clear()
        self.equal_times.clear()
        self.lies.clear()

    def frame_fault(self, connection: int, stream: str, payload: bytes) -> FrameFault | None:
        """The fault for a frame that is about to be sent; counts it."""
        for fault in self.frame_faults:
            fits = fault.connection in (None, connection) and fnmatchcase(stream, fault.stream)
            if fits and fault.contains.encode() in payload and self._random.random() < fault.rate:
                if _is_spent(fault):
                    self.frame_faults.remove(fault)
                self._hit(fault.kind)
                return fault
        return None

    def rest_fault(self, path: str) -> RestFault | None:
        """The fault for a REST request; counts it."""
        for fault in self.rest_faults:
            if fnmatchcase(path, fault.path):
                if _is_spent(fault):
                    self.rest_faults.remove(fault)
                self._hit("rest" if fault.kind is None else f"rest_{fault.kind}")
                return fault
        return None

    def refusal(self) -> Refuse | None:
        """The fault for a new stream connection; counts it."""
        if not self.refusals:
            return None
        fault = self.refusals[0]
        if _is_spent(fault):
            self.refusals.remove(fault)
        self._hit("refuse")
        return fault

    def refused_stream(self, stream: str) -> RefuseStreams | None:
        """The fault for a subscription to a stream; counts it."""
        for fault in self.refused_streams:
            if fnmatchcase(stream, fault.stream):
                if _is_spent(fault):
                    self.refused_streams.remove(fault)
                self._hit("refuse_stream")
                return fault
        return None

    def leaves_out(self, stream: str) -> bool:
        """Whether a trade of the same time as the one before it is left out of a stream; counts it."""
        for fault in self.equal_times:
            if fnmatchcase(stream, fault.stream) and self._random.random() < fault.rate:
                self._hit("equal_times")
                return True
        return False

    def lie(self, stream: str, record: Record) -> Lie | None:
        """The lie in place of a record, or beside it; counts it."""
        for lie in self.lies:
            fits = lie.closed is None or (isinstance(record, Kline) and record.is_closed == lie.closed)
            if fits and fnmatchcase(stream, lie.stream) and self._random.random() < lie.rate:
                if _is_spent(lie):
                    self.lies.remove(lie)
                self._hit("lie")
                return lie
        return None

    def _hit(self, kind: str) -> None:
        self.hit_counts[kind] = self.hit_counts.get(kind, 0) + 1


def _is_spent(fault: FrameFault | RestFault | Refuse | RefuseStreams | Lie) -> bool:
    if fault.count is None:
        return False
    fault.count -= 1
    return fault.count <= 0
