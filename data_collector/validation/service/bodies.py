"""The bodies of `/validate` and `/audit`: read strictly, answered in the encoding that came in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import GenericAlias
from typing import Final, Literal

import msgspec
from fastapi import HTTPException, Request, Response
from msgspec import Struct

from data_collector.validation.auditing.messages import AuditUpload
from data_collector.validation.gate.rows import ROW_TYPES
from data_collector.validation.rules.columns import Kind

RECORDS_MAX: Final = 10_000
VALIDATE_BYTES_MAX: Final = 8 * 1024 * 1024
AUDIT_BYTES_MAX: Final = 16 * 1024 * 1024

LARGE_BYTES: Final = 1024 * 1024
LARGE_AT_A_TIME: Final = 16
"""So many larger bodies are in memory together; a client with a further one waits."""

BRACES_PER_RECORD: Final = 8
"""A record is one object. Counting braces bounds what JSON can make us allocate before its records are counted."""

MSGPACK: Final = "application/msgpack"
JSON: Final = "application/json"
_MSGPACK_TYPES: Final = frozenset({MSGPACK, "application/x-msgpack"})

Encoding = Literal["json", "msgpack"]

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Envelope(Struct):
    kind: Kind
    records: msgspec.Raw


_envelope_decoders: Final[dict[Encoding, Callable[[bytes], _Envelope]]] = {
    "json": msgspec.json.Decoder(_Envelope).decode,
    "msgpack": msgspec.msgpack.Decoder(_Envelope).decode,
}
_record_decoders: Final[dict[tuple[Encoding, Kind], Callable[[msgspec.Raw], list[Struct]]]] = {
    **{("json", kind): msgspec.json.Decoder(GenericAlias(list, row)).decode for kind, row in ROW_TYPES.items()},
    **{("msgpack", kind): msgspec.msgpack.Decoder(GenericAlias(list, row)).decode for kind, row in ROW_TYPES.items()},
}
_upload_decoder: Final = msgspec.msgpack.Decoder(AuditUpload)


class Failed(Struct):
    """A rule that a record breaks."""

    rule: str
    severity: str
    message: str


class Result(Struct):
    """Of one record; `valid` is false when a critical rule failed."""

    valid: bool
    failed: list[Failed]


class NotEvaluated(Struct):
    """A rule that Great Expectations could not evaluate for these records."""

    rule: str
    message: str


class Validation(Struct, omit_defaults=True):
    """The answer of `/validate`. Results are in the order of the records."""

    kind: Kind
    engine: Literal["compiled", "gx"]
    results: list[msgspec.Raw]
    """Each an encoded `Result`."""
    not_evaluated: list[NotEvaluated] = []
    broken_as_a_whole: list[Failed] = []
    """Rules about all records together that these break."""


class LargeBodies:
    """Reads bodies so that only a few large ones are in memory; waits for room."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(LARGE_AT_A_TIME)

    async def read(self, request: Request) -> bytes:
        """The whole body. Raises `HTTPException` when it is too large or too slow."""
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) <= LARGE_BYTES:
            return await request.body()
        async with self._room:
            return await request.body()


def encoding_of(request: Request) -> Encoding:
    """How a body is encoded, and its answer. Raises 415."""
    media_type = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if media_type == JSON:
        return "json"
    if media_type in _MSGPACK_TYPES:
        return "msgpack"
    raise HTTPException(415, f"Send the header 'Content-Type: {JSON}' or '{MSGPACK}'.")


def read_records(encoding: Encoding, body: bytes) -> tuple[Kind, list[Struct]]:
    """The kind and the rows of a `/validate` body. Raises 422 with a sentence that names the place."""
    try:
        envelope = _envelope_decoders[encoding](body)
    except _UNREADABLE as error:
        raise _wrong(str(error)) from error
    if _is_too_many(encoding, envelope.records):
        raise _wrong(f"There are more than {RECORDS_MAX} records, or objects within them - at `$.records`")
    try:
        records = _record_decoders[encoding, envelope.kind](envelope.records)
    except _UNREADABLE as error:
        message = str(error)
        placed = message.replace("`$", "`$.records") if "`$" in message else f"{message} - at `$.records`"
        raise _wrong(placed) from error
    if len(records) > RECORDS_MAX:
        raise _wrong(f"There are more than {RECORDS_MAX} records - at `$.records`")
    return envelope.kind, records


def read_upload(body: bytes) -> AuditUpload:
    """The body of `/audit`. Raises 422."""
    try:
        return _upload_decoder.decode(body)
    except _UNREADABLE as error:
        raise _wrong(str(error)) from error


def encoded(encoding: Encoding, answer: Validation | Result) -> bytes:
    """An answer in the encoding that the client wrote to us in."""
    return msgspec.json.encode(answer) if encoding == "json" else msgspec.msgpack.encode(answer)


def response_of(encoding: Encoding, answer: Validation) -> Response:
    """The answer of `/validate`."""
    return Response(encoded(encoding, answer), media_type=JSON if encoding == "json" else MSGPACK)


def _wrong(message: str) -> HTTPException:
    return HTTPException(422, f"The body has the wrong shape: {message}.")


def _is_too_many(encoding: Encoding, records: msgspec.Raw) -> bool:
    """Whether there are more than can be meant, found without making any."""
    content = bytes(records)
    if encoding == "json":
        return content.count(b"{") > RECORDS_MAX * BRACES_PER_RECORD
    if content[:1] == b"\xdc":
        return int.from_bytes(content[1:3], "big") > RECORDS_MAX
    return content[:1] == b"\xdd" and int.from_bytes(content[1:5], "big") > RECORDS_MAX
