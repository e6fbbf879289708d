"""The body of `/audit`: counted before it is decoded, for an empty entry costs its sender a byte and us a hundred."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from data_collector.validation.auditing.chunks import CHUNK_ROWS_MAX, OVERHEAD_BYTES
from data_collector.validation.auditing.messages import SOURCE_CHARACTERS_MAX, AuditUpload
from data_collector.validation.rules.columns import Kind
from data_collector.validation.rules.suite import RULES_MAX
from data_collector.validation.service.bodies import AUDIT_BYTES_MAX, UNREADABLE, entries_in, wrong

CHUNKS_MAX: Final = AUDIT_BYTES_MAX // OVERHEAD_BYTES
"""No collector sends more: it counts so many bytes for each."""

UNCOUNTED_BYTES_MAX: Final = 64 * 1024
"""Of names and small fields. More is not what was counted: a field that comes twice is decoded twice."""

NONE: Final = Raw(b"\x90")


class _Envelope(Struct):
    source: Annotated[str, Meta(min_length=1, max_length=SOURCE_CHARACTERS_MAX)]
    chunks: Raw


class Label(Struct):
    """What of a chunk the service looks at; what it holds is counted only."""

    kind: Kind
    digest: str
    trades: Raw = NONE
    klines: Raw = NONE
    tickers: Raw = NONE
    quotes: Raw = NONE
    broken: Raw = NONE
    refused: Raw = NONE
    late: Raw = NONE
    sizes: Raw = NONE


_envelope: Final = msgspec.msgpack.Decoder(_Envelope)
_upload: Final = msgspec.msgpack.Decoder(AuditUpload)
_label: Final = msgspec.msgpack.Decoder(Label)
_broken: Final = msgspec.msgpack.Decoder(dict[int, Raw])


def read_upload(body: bytes) -> tuple[AuditUpload, list[Label]]:
    """The body, and of each chunk its label. Raises 422."""
    try:
        envelope = _envelope.decode(body)
        _demand_counted(body, [envelope.chunks], "at `$`")
        if entries_in(envelope.chunks) > CHUNKS_MAX:
            raise wrong(f"There are more than {CHUNKS_MAX} chunks - at `$.chunks`")
        upload = _upload.decode(body)
    except UNREADABLE as error:
        raise wrong(str(error)) from error
    return upload, [_label_of(number, chunk) for number, chunk in enumerate(upload.chunks)]


def _label_of(number: int, chunk: Raw) -> Label:
    place = f"in `$.chunks[{number}]`"
    try:
        label = _label.decode(chunk)
        _demand(chunk, label, place)
    except UNREADABLE as error:
        raise wrong(f"{error} - {place}") from error
    return label


def _demand(chunk: Raw, label: Label, place: str) -> None:
    """Raise 422 for more than a chunk of a collector can hold."""
    fields = (
        label.trades, label.klines, label.tickers, label.quotes, label.broken, label.refused, label.late, label.sizes,
    )  # fmt: skip
    _demand_counted(chunk, fields, place)
    if _most(fields) > CHUNK_ROWS_MAX:
        raise wrong(f"There are more than {CHUNK_ROWS_MAX} of something - {place}")
    if label.broken is not NONE and _most(_broken.decode(label.broken).values()) > RULES_MAX:
        raise wrong(f"A row breaks more than {RULES_MAX} rules - {place}")


def _demand_counted(content: Raw | bytes, fields: Iterable[Raw], place: str) -> None:
    if memoryview(content).nbytes - sum(memoryview(field).nbytes for field in fields) > UNCOUNTED_BYTES_MAX:
        raise wrong(f"There is much in it that is no field, or one comes twice - {place}")


def _most(fields: Iterable[Raw]) -> int:
    return max(map(entries_in, fields), default=0)
