"""The spool's files: their format, what is found of them at start, and reading runs back. Blocks: used in threads.

A file is a header, then frames of runs, each with a checksum:

    file    magic 8 bytes | version u32 | first sequence u64 | crc32 u32 of all before | frames
    frame   length u32 | crc32 u32 of all but itself | first sequence u64 | runs u32 | payload of that length
    payload MessagePack: [{symbol: [[start, first trade, end], …]}, [run, …]]

Numbers are little-endian. Sequence numbers count runs and rise by one within a file, so that a frame from elsewhere is
not taken for the one that follows. The header keeps its form in all versions; what a run looks like may change with
the version. What does not fit by one bit ends a file: nothing after it is believed.
"""

from __future__ import annotations

import os
import stat
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

import msgspec
from msgspec import Struct, field

from data_collector.model.errors import Misconfigured
from data_collector.model.sink import TradeRun
from data_collector.pipeline.spool.shelf import Cover, Shelf, covers_of, join_covers

FORMAT_VERSION = 1
"""Raise it when `TradeRun`, `Refusal` or `Gap` change but for a field with a default at the end: older files are then
left unread."""

MAGIC = b"dcspool\n"
SPOOL_SUFFIX = ".spool"

FRAME_BYTES_MAX = 64 * 1024 * 1024
"""A length beyond is damage; writers stay far below."""

FILE_BYTES_MAX = 2 * FRAME_BYTES_MAX
"""A larger file was not written by us; ours end after some megabytes."""

DECODED_SEGMENTS_MAX = 2
"""About 12 MB each. Symbols that drain side by side read the same file, or two neighbours."""

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


def segment_path(folder: Path, number: int) -> Path:
    """The name tells the order of writing."""
    return folder / f"{number:012d}{SPOOL_SUFFIX}"


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Segment(Struct):
    """A file, and what is in it."""

    number: int
    size: int
    good_bytes: int
    """Where its last good frame ends."""
    written_s: float
    """When its last frame was written, on the clock of the one who made this."""
    covers: dict[str, list[Cover]] = field(default_factory=dict)
    """By symbol, in order of writing."""

    def add(self, covers: dict[str, list[Cover]]) -> None:
        """Note what a further frame holds."""
        for symbol, more in covers.items():
            join_covers(self.covers.setdefault(symbol, []), more)

    def holds(self, symbol: str, trade_id: int) -> bool:
        """Whether an id of a symbol is in it."""
        return any(cover.start <= trade_id < cover.end for cover in self.covers.get(symbol, ()))


class Recovered(Struct, frozen=True):
    """What a folder holds at start."""

    segments: list[Segment]
    """Oldest first; `written_s` is on the wall clock."""
    corrupt_frames: int
    next_number: int
    next_sequence: int
    set_aside: list[str] = []
    """Files that are too large to be ours, by the names that they have now."""


def recover(folder: Path) -> Recovered:
    """Make the folder if it is missing, read every file in it, and cut off what is no good of the newest.

    Raises `Misconfigured` when the folder cannot be used, or holds files of a newer version.
    """
    try:
        _prepare(folder)
        return _scan_all(folder, sorted(_numbers(folder)))
    except OSError as error:
        raise Misconfigured(
            f"The spool folder {folder} cannot be used ({error.strerror}). Make it and its files readable and"
            " writable for the collector's user, choose another folder with VAR_DIR, or keep nothing on disk with"
            " SPOOL_BYTES_MAX=0."
        ) from error


def _prepare(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True)
        sync_folder(folder.parent)
    if folder.stat().st_uid != os.geteuid():
        raise Misconfigured(
            f"The spool folder {folder} belongs to another user. Take it over (chown it with all that is in it),"
            " choose another folder with VAR_DIR, or keep nothing on disk with SPOOL_BYTES_MAX=0."
        )
    folder.chmod(0o700)
    # Permissions do not tell what a read-only file system allows, and root may do everything.
    probe = folder / "probe"
    probe.unlink(missing_ok=True)
    os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    probe.unlink()


def _numbers(folder: Path) -> Iterator[int]:
    """Of our files; others are none of our business."""
    for path in folder.iterdir():
        if path.stem.isdecimal() and segment_path(folder, int(path.stem)) == path:
            yield int(path.stem)


def _scan_all(folder: Path, numbers: list[int]) -> Recovered:
    segments: list[Segment] = []
    set_aside: list[str] = []
    corrupt = sequence = 0
    for number in numbers:
        path = segment_path(folder, number)
        content, written_s = _read(path)
        if content is None:
            broken = path.with_suffix(".broken")
            path.rename(broken)
            set_aside.append(broken.name)
            corrupt += 1
            continue
        found = scan(content)
        if found.header is not None and found.header.version != FORMAT_VERSION:
            raise Misconfigured(
                f"The spool file {path} is of format {found.header.version}, and this version writes {FORMAT_VERSION}."
                " Start the version that wrote it, or move the file away: what the store lacks of its trades is then"
                " asked of the exchange."
            )
        if not found.is_whole:
            corrupt += 1
            if number == numbers[-1] and found.good_bytes:
                os.truncate(path, found.good_bytes)
                content = content[: found.good_bytes]
        segment = Segment(number, len(content), found.good_bytes, written_s)
        for frame in found.frames:
            segment.add(frame.covers)
            sequence = max(sequence, frame.first_sequence + frame.count)
        segments.append(segment)
    return Recovered(segments, corrupt, numbers[-1] + 1 if numbers else 1, sequence, set_aside)


def _read(path: Path) -> tuple[bytes | None, float]:
    """Content, None where there is more than can be ours, and when it was written."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            return b"", time.time()
        if state.st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
        # A file may be a hole of terabytes, and grow while it is read.
        content = None if state.st_size > FILE_BYTES_MAX else file.read(FILE_BYTES_MAX)
        return content, state.st_mtime


class SegmentReader:
    """Reads runs back, and keeps what it decoded last."""

    def __init__(self, folder: Path) -> None:
        self.corrupt_frames = 0
        """Found bad when read, though good when written or found."""
        self._folder = folder
        self._decoded: dict[int, tuple[int, Shelf]] = {}
        # Who waits for a read may be cancelled while the thread goes on.
        self._lock = threading.Lock()

    def read(self, segments: Sequence[Segment], symbol: str, first_id: int, trades_max: int) -> list[TradeRun]:
        """As `Spool.read`, from these files, the newest of which comes last."""
        found: list[TradeRun] = []
        with self._lock:
            while trades_max > 0:
                part = self._read_part(segments, symbol, first_id, trades_max)
                if not part:
                    break
                found += part
                first_id = part[-1].first_id + part[-1].count
                trades_max -= sum(run.count for run in part)
        return found

    def _read_part(self, segments: Sequence[Segment], symbol: str, first_id: int, trades_max: int) -> list[TradeRun]:
        for segment in reversed(segments):
            if segment.holds(symbol, first_id):
                part = self._decode(segment).read(symbol, first_id, trades_max)
                if part:
                    return part
        return []

    def _decode(self, segment: Segment) -> Shelf:
        known = self._decoded.pop(segment.number, None)
        # The newest file grows while it is read.
        if known is None or known[0] != segment.good_bytes:
            known = segment.good_bytes, self._shelf(segment)
        self._decoded[segment.number] = known
        if len(self._decoded) > DECODED_SEGMENTS_MAX:
            del self._decoded[next(iter(self._decoded))]
        return known[1]

    def _shelf(self, segment: Segment) -> Shelf:
        try:
            content = _read(segment_path(self._folder, segment.number))[0] or b""
        except OSError:
            # Deleted meanwhile, or unreadable: what is not kept here is asked of the exchange.
            content = b""
        found = scan(content[: segment.good_bytes])
        if found.good_bytes != segment.good_bytes:
            self.corrupt_frames += 1
        shelf = Shelf()
        for frame in found.frames:
            try:
                runs = frame.decoded()
            except ValueError:
                self.corrupt_frames += 1
                break
            for run in runs:
                shelf.add(run)
        return shelf
