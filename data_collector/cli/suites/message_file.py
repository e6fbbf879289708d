"""Recorded messages, line by line: frames of the exchange, records as they lie in Redis, entries of quarantine.

A line is one of these, and what is none of them is counted with the reason:

    {"stream": "btcusdt@trade", "data": {"e": "trade", …}}      a frame, combined or raw
    1723161254087896568 {"stream": …}                          the same behind the nanosecond it came
    1633998512.564785: {"stream": …}                           the same behind the second it came
    {"symbol": "BTCUSDT", "timestamp": …, "price": 45180.50}    a record, as in the field `data` of a stream
    {"data": "{\\"symbol\\": …}", "why": …, "columns": …}         an entry of quarantine or of a stream
    {"symbol": …, "reasons": […], "record": {…}}                 an entry of `GET /validation/errors`
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from msgspec import Struct

from data_collector.model.channels import CHANNELS, channel_by_keys
from data_collector.model.errors import BadFrame, Misconfigured
from data_collector.model.venue import Codec, UnknownEvent
from data_collector.validation.gate.compiler import values_of
from data_collector.validation.gate.rows import ROW_TYPES, values_of_row
from data_collector.validation.rules.columns import GATE_COLUMNS, Checked, Kind, Value, kind_of

LINE_BYTES_MAX: Final = 16 * 1024 * 1024
"""The tickers of a whole exchange come as one frame of a megabyte or two."""

REASONS_MAX: Final = 50
"""Kinds of lines that are no record: event kinds come from the file, and so might millions of them."""

_STAMPED_NS = re.compile(rb"(\d{1,20}) +(?=[\[{])")
_STAMPED_S = re.compile(rb"(\d{1,12}(?:\.\d{1,12})?): *(?=[\[{])")

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
_BROKEN = (msgspec.DecodeError, UnicodeError, RecursionError)


class Recorded(Struct, frozen=True):
    """A record of a recording."""

    line: int
    kind: Kind
    values: list[Value]
    """In the order of `GATE_COLUMNS`."""
    reading: list[str]
    """Rules about reading that it breaks."""
    record: Checked | None
    """As the gate would see it, where it came as a frame."""

    def value(self, column: str) -> object:
        """A column as people read it: with the exchange's own digits, where they are at hand."""
        value = self.values[GATE_COLUMNS[self.kind].index(column)]
        return value if self.record is None or isinstance(value, int) else getattr(self.record, column)


class Skipped(Struct, frozen=True):
    """Lines that hold no record, for one reason."""

    reason: str
    count: int
    line: int
    """The first of them."""
    detail: str
    """What was wrong with it, if more is known."""


class _Row(Struct, frozen=True):
    """A record as JSON."""

    kind: Kind | None
    content: bytes


class MessageFile:
    """A file of messages; iterate once, then ask what was skipped."""

    def __init__(self, path: Path, codec: Codec) -> None:
        self._path = path
        self._codec = codec
        self._skipped: dict[str, Skipped] = {}
        self.lines = 0

    def __iter__(self) -> Iterator[Recorded]:
        """Its records. Raises `Misconfigured` when it cannot be read."""
        try:
            with self._opened() as file:
                for number, line in enumerate(_lines(file), start=1):
                    self.lines = number
                    yield from self._read(number, line)
        except (OSError, EOFError, zlib.error) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise Misconfigured(f"{self._path} cannot be read ({reason}).") from error

    def skipped(self) -> list[Skipped]:
        """The lines that were none of these, most frequent reason first."""
        return sorted(self._skipped.values(), key=lambda skipped: -skipped.count)

    def _opened(self) -> BinaryIO | gzip.GzipFile:
        return gzip.open(self._path, "rb") if self._path.suffix == ".gz" else self._path.open("rb")

    def _read(self, number: int, line: bytes | None) -> Iterator[Recorded]:
        if line is None:
            self._skip(number, f"longer than {LINE_BYTES_MAX} bytes")
            return
        content = line.strip()
        if not content:
            self._skip(number, "empty")
            return
        frame, received_ns = _unstamped(content)
        try:
            # A frame of a whole exchange is an array; everything else is an object.
            given = {} if frame[:1] == b"[" else _object(frame)
            found = _row_of(given)
        except _BROKEN as error:
            self._skip(number, "not JSON", str(error))
            return
        if isinstance(found, _Row):
            yield from self._as_row(number, found)
        else:
            yield from self._as_frame(number, frame if found is None else found, received_ns)

    def _as_row(self, number: int, found: _Row) -> Iterator[Recorded]:
        kind, content = found.kind, found.content
        if kind is None:
            self._skip(number, "an object that is no record", "neither trade_id, interval nor last_price is in it")
            return
        try:
            row = msgspec.json.decode(content, type=ROW_TYPES[kind])
        except _BROKEN as error:
            # Quarantine has a record that is no record of ours in the words of the collector: prices as text.
            yield from self._as_text_record(number, kind, content, error)
            return
        yield Recorded(number, kind, values_of_row(kind, row), [], None)

    def _as_text_record(self, number: int, kind: Kind, content: bytes, first: Exception) -> Iterator[Recorded]:
        try:
            record = msgspec.json.decode(content, type=CHANNELS[kind].record)
        except _BROKEN:
            self._skip(number, f"a {kind} record with a wrong type", str(first))
            return
        yield _of_record(number, record)

    def _as_frame(self, number: int, frame: bytes, received_ns: int) -> Iterator[Recorded]:
        try:
            decoded = self._codec.decode(frame, received_ns)
        except BadFrame as error:
            self._skip(number, f"a bad frame ({error.reason})", str(error))
            return
        if decoded == []:
            self._skip(number, "an empty array")
        for record in decoded if isinstance(decoded, list) else [decoded]:
            if isinstance(record, Checked):
                yield _of_record(number, record)
            elif isinstance(record, UnknownEvent):
                self._skip(number, f"an event of another kind ({record.kind})")
            else:
                self._skip(number, f"a message without rules ({type(record).__name__})")

    def _skip(self, number: int, reason: str, detail: str = "") -> None:
        if reason not in self._skipped and len(self._skipped) >= REASONS_MAX:
            reason = "something else"
        known = self._skipped.get(reason)
        self._skipped[reason] = (
            Skipped(reason, 1, number, detail)
            if known is None
            else msgspec.structs.replace(known, count=known.count + 1)
        )


def _lines(file: BinaryIO | gzip.GzipFile) -> Iterator[bytes | None]:
    """None for a line that is too long."""
    while line := file.readline(LINE_BYTES_MAX + 1):
        if len(line) <= LINE_BYTES_MAX:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(LINE_BYTES_MAX)
        yield None


def _of_record(number: int, record: Checked) -> Recorded:
    kind = kind_of(record)
    values, reading = values_of(kind, record)
    return Recorded(number, kind, values, reading, record)


def _unstamped(content: bytes) -> tuple[bytes, int]:
    """The frame, and when it was received in nanoseconds; 0 where nobody says."""
    if found := _STAMPED_NS.match(content):
        return content[found.end() :], int(found[1])
    if found := _STAMPED_S.match(content):
        return content[found.end() :], int(Decimal(found[1].decode()) * 1_000_000_000)
    return content, 0


def _row_of(given: dict[str, msgspec.Raw]) -> _Row | bytes | None:
    """A record with all that is known beside it, or the frame that an entry encloses; None for anything else."""
    if "reasons" in given:
        return _row(_object(given["record"])) if _starts(given.get("record"), b"{") else _enclosed(given, "frame")
    if _starts(given.get("data"), b'"') and "stream" not in given:
        content = _enclosed(given, "data")
        fields = _object(content) if content.lstrip().startswith(b"{") else {}
        columns = _enclosed(given, "columns")
        return _row(fields, _object(columns) if columns else {}) if "symbol" in fields else content
    return _row(given) if "symbol" in given and "e" not in given else None


def _row(fields: dict[str, msgspec.Raw], columns: dict[str, msgspec.Raw] | None = None) -> _Row:
    return _Row(channel_by_keys(fields), msgspec.json.encode((columns or {}) | fields))


def _enclosed(given: dict[str, msgspec.Raw], name: str) -> bytes:
    """JSON that stands in JSON as a text; nothing where there is none."""
    return _text(given[name]).encode() if _starts(given.get(name), b'"') else b""


def _starts(content: msgspec.Raw | None, mark: bytes) -> bool:
    return content is not None and bytes(memoryview(content)[:1]) == mark
