"""The format of the spool's files: a header, then frames of runs, each with a checksum. Pure: bytes in, bytes out.

    file    magic 8 bytes | version u32 | first sequence u64 | crc32 u32 of all before | frames
    frame   length u32 | crc32 u32 of all but itself | first sequence u64 | runs u32 | payload of that length
    payload MessagePack: [{symbol: [[start, first trade, end], …]}, [run, …]]

Numbers are little-endian. Sequence numbers count runs and rise by one within a file, so that a frame from elsewhere is
not taken for the one that follows. The header keeps its form in all versions; what a run looks like may change with
the version. What does not fit by one bit ends a file: nothing after it is believed.
"""

from __future__ import annotations

import struct
from zlib import crc32

import msgspec
from msgspec import Struct

from data_collector.model.batch import TradeRun
from data_collector.pipeline.shelf import Cover, covers_of

FORMAT_VERSION = 1
"""Raise it when `TradeRun`, `Refusal` or `Gap` change: older files are then left unread."""

MAGIC = b"dcspool\n"
FRAME_BYTES_MAX = 64 * 1024 * 1024
"""A length beyond is damage; writers stay far below."""

_HEADER = struct.Struct("<8sIQ")
_FRAME = struct.Struct("<IIQI")
_CHECKED = struct.Struct("<IQI")
_CRC = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CRC.size

_encoder = msgspec.msgpack.Encoder()
_payload = msgspec.msgpack.Decoder(tuple[dict[str, list[Cover]], msgspec.Raw])
_runs = msgspec.msgpack.Decoder(list[TradeRun])


class Header(Struct, frozen=True):
    """How a file begins."""

    version: int
    first_sequence: int


class Frame(Struct, frozen=True):
    """A frame whose checksum is right."""

    first_sequence: int
    count: int
    """How many runs."""
    covers: dict[str, list[Cover]]
    runs: msgspec.Raw

    def decoded(self) -> list[TradeRun]:
        """The runs. Raises `ValueError` when they are not what this version writes."""
        runs = _runs.decode(self.runs)
        if len(runs) != self.count:
            raise ValueError("a frame holds another number of runs than it says")
        return runs


class Scan(Struct, frozen=True):
    """What can be believed of a file's content."""

    header: Header | None
    """None when the file does not begin as one of ours."""
    frames: list[Frame]
    good_bytes: int
    """Where the last good frame ends."""
    is_whole: bool
    """Whether nothing follows the last good frame."""


def encode_header(first_sequence: int, version: int = FORMAT_VERSION) -> bytes:
    """How a file begins."""
    header = _HEADER.pack(MAGIC, version, first_sequence)
    return header + _CRC.pack(crc32(header))


def encode_frame(first_sequence: int, runs: list[TradeRun]) -> bytes:
    """One frame."""
    payload = _encoder.encode((covers_of(runs), runs))
    size, count = len(payload), len(runs)
    checksum = crc32(payload, crc32(_CHECKED.pack(size, first_sequence, count)))
    return _FRAME.pack(size, checksum, first_sequence, count) + payload


def scan(content: bytes) -> Scan:
    """All good frames from the beginning on, up to the first that is not."""
    header = _read_header(content)
    if header is None or header.version != FORMAT_VERSION:
        return Scan(header, [], 0, is_whole=False)
    frames: list[Frame] = []
    offset, sequence = HEADER_BYTES, header.first_sequence
    view = memoryview(content)
    while offset < len(content):
        frame, end = _read_frame(view, offset, sequence)
        if frame is None:
            break
        frames.append(frame)
        offset, sequence = end, sequence + frame.count
    return Scan(header, frames, offset, is_whole=offset == len(content))


def _read_header(content: bytes) -> Header | None:
    if len(content) < HEADER_BYTES:
        return None
    magic, version, first_sequence = _HEADER.unpack_from(content)
    (checksum,) = _CRC.unpack_from(content, _HEADER.size)
    if magic != MAGIC or checksum != crc32(content[: _HEADER.size]):
        return None
    return Header(version, first_sequence)


def _read_frame(view: memoryview, offset: int, sequence: int) -> tuple[Frame | None, int]:
    if offset + _FRAME.size > len(view):
        return None, offset
    size, checksum, first_sequence, count = _FRAME.unpack_from(view, offset)
    begin = offset + _FRAME.size
    end = begin + size
    if size > FRAME_BYTES_MAX or end > len(view) or first_sequence != sequence:
        return None, offset
    payload = view[begin:end]
    if crc32(payload, crc32(_CHECKED.pack(size, first_sequence, count))) != checksum:
        return None, offset
    try:
        covers, runs = _payload.decode(payload)
    except ValueError:
        # Msgspec's errors are ValueErrors. A right checksum over a payload like this was made by another program.
        return None, offset
    return Frame(first_sequence, count, covers, runs), end
