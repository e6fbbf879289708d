"""The bodies of `/validate` and `/audit`: read strictly, answered in the encoding that came in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from tempfile import SpooledTemporaryFile
from types import GenericAlias
from typing import Final, Literal

import msgspec
from fastapi import HTTPException, Request, Response
from msgspec import Struct

from data_collector.validation.gate.rows import ROW_TYPES
from data_collector.validation.rules.columns import Kind

RECORDS_MAX: Final = 10_000
VALIDATE_BYTES_MAX: Final = 8 * 1024 * 1024
AUDIT_BYTES_MAX: Final = 16 * 1024 * 1024

LARGE_BYTES: Final = 1024 * 1024
LARGE_AT_A_TIME: Final = 16
"""So many larger bodies are worked with together; a client with a further one waits."""

BRACES_PER_RECORD: Final = 8
"""A record is one object. Counting braces bounds what JSON can make us allocate before its records are counted."""

MSGPACK: Final = "application/msgpack"
JSON: Final = "application/json"
_MSGPACK_TYPES: Final = frozenset({MSGPACK, "application/x-msgpack"})

Encoding = Literal["json", "msgpack"]

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoders raise for bytes that are not meant for them."""


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


class JudgedRecords(Struct, omit_defaults=True):
    """The answer of `/validate`. Results are in the order of the records."""

    kind: Kind
    engine: Literal["compiled", "gx"]
    results: list[msgspec.Raw]
    """Each an encoded `Result`."""
    not_evaluated: list[NotEvaluated] = []
    broken_as_a_whole: list[Failed] = []
    """Rules about all records together that these break."""


class LargeBodies:
    """Reads bodies so that only a few large ones are in memory at a time; others wait for room, in files meanwhile.

    Room is taken when a body has come: who sends slowly keeps nobody waiting.
    """

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(LARGE_AT_A_TIME)

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """The whole body, for as long as it is worked with. Raises `HTTPException` when it is too large or too slow."""
        with SpooledTemporaryFile(LARGE_BYTES) as file:
            try:
                async for part in request.stream():
                    file.write(part)
            except OSError as error:
                raise HTTPException(503, f"The body cannot be kept ({error.strerror}).") from error
            is_large = file.tell() > LARGE_BYTES
            async with self._room if is_large else nullcontext():
                file.seek(0)
                yield file.read()


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
    except UNREADABLE as error:
        raise wrong(str(error)) from error
    if _is_too_many(encoding, envelope.records):
        raise wrong(f"There are more than {RECORDS_MAX} records, or objects within them - at `$.records`")
    try:
        records = _record_decoders[encoding, envelope.kind](envelope.records)
    except UNREADABLE as error:
        message = str(error)
        placed = message.replace("`$", "`$.records") if "`$" in message else f"{message} - at `$.records`"
        raise wrong(placed) from error
    if len(records) > RECORDS_MAX:
        raise wrong(f"There are more than {RECORDS_MAX} records - at `$.records`")
    return envelope.kind, records


def encoded(encoding: Encoding, answer: JudgedRecords | Result) -> bytes:
    """An answer in the encoding that the client wrote to us in."""
    return msgspec.json.encode(answer) if encoding == "json" else msgspec.msgpack.encode(answer)


def response_of(encoding: Encoding, answer: JudgedRecords) -> Response:
    """The answer of `/validate`."""
    return Response(encoded(encoding, answer), media_type=JSON if encoding == "json" else MSGPACK)


def wrong(message: str) -> HTTPException:
    """422, with what is wrong with a body."""
    return HTTPException(422, f"The body has the wrong shape: {message}.")


def _is_too_many(encoding: Encoding, records: msgspec.Raw) -> bool:
    """Whether there are more than can be meant, found without making any."""
    if encoding == "json":
        return bytes(records).count(b"{") > RECORDS_MAX * BRACES_PER_RECORD
    return entries_in(records) > RECORDS_MAX


def entries_in(content: msgspec.Raw) -> int:
    """How many entries a list or a map in msgpack says it has; 0 for what is neither."""
    head = memoryview(content)[:5].tobytes()
    if head[0] & 0xE0 == 0x80:
        return head[0] & 0x0F
    if head[0] in (0xDC, 0xDE):
        return int.from_bytes(head[1:3])
    return int.from_bytes(head[1:5]) if head[0] in (0xDD, 0xDF) else 0
