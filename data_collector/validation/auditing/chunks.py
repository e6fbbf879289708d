"""Judged records as chunks, the form in which real Great Expectations gets them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct, structs

from data_collector.model.errors import Transient
from data_collector.model.venue import SymbolRules
from data_collector.validation.auditing.messages import AuditReport, Chunk, encode
from data_collector.validation.gate.compiler import CompiledSuite, whole
from data_collector.validation.rules.columns import Checked, Kind

CHUNK_ROWS_MAX: Final = 1_000
"""Encoding so many takes about 0.3 ms of the event loop."""

OVERHEAD_BYTES: Final = 300
"""What a chunk takes beside its body: of a quiet kind it is a row or two."""


class Mark(Struct, frozen=True):
    """What there is to say of a row that did not simply pass."""

    broken: Sequence[str] = ()
    """Ids of the suite's gated rules that the gate found broken."""
    accepted: bool = True
    """Whether it was stored."""
    late: bool = False
    """Whether it was stored after its place had been passed."""


class Sealed(Struct, frozen=True):
    """Messages of one kind that were judged by one suite."""

    kind: Kind
    digest: str
    document: bytes
    """That suite, as JSON."""
    rows: int
    accepted: int
    body: bytes
    """msgpack of a `Chunk`."""
    since_s: float
    """Monotonic: since when the oldest row waits."""

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.body) + OVERHEAD_BYTES


class AuditBroken(Transient):
    """The audit worker died or failed while it had this delivery."""


class AuditPort(Protocol):
    """Where chunks are checked."""

    @property
    def batch_bytes_max(self) -> int:
        """Of what is checked at once."""

    async def audit(self, chunks: Sequence[Sealed]) -> AuditReport:
        """Check all of them at once. Raises `AuditBroken`, or `Transient` when nobody answers at all."""

    async def close(self) -> None:
        """Let go of what is held."""


def seal(
    suite: CompiledSuite,
    document: bytes,
    records: Sequence[Checked],
    marks: Mapping[int, Mark],
    listed: Mapping[str, SymbolRules],
    since_s: float,
) -> Iterator[Sealed]:
    """The records as chunks. `document`: of the suite, which takes long to make."""
    for start in range(0, len(records), CHUNK_ROWS_MAX):
        yield _sealed(suite, document, records[start : start + CHUNK_ROWS_MAX], _of(marks, start), listed, since_s)


def _of(marks: Mapping[int, Mark], start: int) -> list[tuple[int, Mark]]:
    end = start + CHUNK_ROWS_MAX
    return [(row - start, mark) for row, mark in marks.items() if start <= row < end]


def _sealed(
    suite: CompiledSuite,
    document: bytes,
    records: Sequence[Checked],
    marks: Sequence[tuple[int, Mark]],
    listed: Mapping[str, SymbolRules],
    since_s: float,
) -> Sealed:
    chunk = Chunk(suite.suite.kind, suite.digest)
    chunk.records = records
    chunk.broken = {row: list(mark.broken) for row, mark in marks if mark.broken}
    chunk.refused = [row for row, mark in marks if not mark.accepted]
    chunk.late = [row for row, mark in marks if mark.late]
    symbols = {record.symbol for record in records}
    chunk.sizes = {name: (listed[name].tick_size, listed[name].step_size) for name in symbols if name in listed}
    accepted = len(records) - len(chunk.refused)
    return Sealed(chunk.kind, chunk.digest, document, len(records), accepted, _encoded(chunk), since_s)


def _encoded(chunk: Chunk) -> bytes:
    try:
        return encode(chunk)
    except OverflowError:
        # Refused records may hold integers that msgpack has no room for; rules see them clamped anyway.
        chunk.records = [_clamped(record) for record in chunk.records]
        return encode(chunk)


def _clamped(record: Checked) -> Checked:
    numbers = {
        name: whole(value)
        for name in record.__struct_fields__
        if name != "received_ns" and type(value := getattr(record, name)) is int
    }
    return structs.replace(record, **numbers)
