"""The text within a published archive, in blocks of lines, however large it is and whatever it really is.

An archive comes from a stranger: what it says of itself is not believed before it was bounded.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, BinaryIO

from data_collector.model.errors import BadFile
from data_collector.model.published import BulkFile
from data_collector.venues.binance.bulk_names import CALENDAR, name_of_series

BLOCK_BYTES = 512 * 1024

READ_BYTES_MAX = 2**20
"""Of one read of an archive: a block, or the table of contents of one file, which has some hundred bytes."""

LINE_BYTES_MAX = 512
"""The longest lines of Binance have some 170 bytes."""

TRADES_BYTES_MAX = 64 * 2**30
"""Unpacked: a month of the busiest symbol has some 7 GiB."""

RATIO_MAX = 100
"""Lines of trades shrink to about a fifth. Candles without a trade shrink to much less, but their number is known."""

RATIO_EXEMPT_BYTES = 2**20
"""Less than this does no harm, however small it was packed."""

_LOCAL_HEADER = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
_ENCRYPTED = 0x1
_NAME_IS_UTF8 = 0x800
_NAME = re.compile(r"(?P<symbol>.+)-(?P<series>[^-]+)-(?P<period>\d{4}-\d{2}(?:-\d{2})?)\.csv")

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)
"""What zipfile raises over archives that are none, are damaged or were packed in a way that it does not know."""


class _Bounded:
    """An archive of which nobody reads much at once: its table of contents is read whole, and takes ten times its size
    in memory, before anybody knows that it lists millions of files."""

    def __init__(self, archive: BinaryIO) -> None:
        self._archive = archive
        self.seek = archive.seek
        self.tell = archive.tell
        self.seekable = archive.seekable

    def read(self, size: int = -1, /) -> bytes:
        # Without a size it is the last bytes that are asked for.
        found = self._archive.read(min(size, READ_BYTES_MAX + 1) if size >= 0 else READ_BYTES_MAX + 1)
        if len(found) > READ_BYTES_MAX:
            raise zipfile.BadZipFile("its table of contents lists more than one file")
        return found


def lines_of(archive: BinaryIO, file: BulkFile) -> Iterator[tuple[int, list[str]]]:
    """Blocks of lines, each with the number of its first line, from 1 on. Raises `BadFile`."""
    _check_beginning(archive, file)
    try:
        with zipfile.ZipFile(_Bounded(archive)) as opened, opened.open(_only_member(opened, file)) as content:
            yield from _blocks(content, file)
    except _BROKEN as error:
        raise BadFile(file.name, f"its zip archive is damaged ({error})", reason="cut_short") from error


def looks_like_a_page(beginning: bytes) -> bool:
    """Whether these are the first bytes of HTML or XML, as servers answer where there is no file."""
    return beginning.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _check_beginning(archive: BinaryIO, file: BulkFile) -> None:
    archive.seek(0)
    beginning = archive.read(512)
    archive.seek(0)
    if not beginning:
        raise BadFile(file.name, "it is empty", reason="empty")
    if looks_like_a_page(beginning):
        raise BadFile(file.name, "it is a web page instead of a zip archive", reason="web_page")
    if not beginning.startswith((_LOCAL_HEADER, _EMPTY_ZIP)):
        raise BadFile(file.name, "it is no zip archive", reason="not_zip")
    if not zipfile.is_zipfile(archive):
        raise BadFile(file.name, "its zip archive is cut short", reason="cut_short")


def _only_member(opened: zipfile.ZipFile, file: BulkFile) -> zipfile.ZipInfo:
    expected = f"{file.name.removesuffix('.zip')}.csv"
    members = opened.infolist()
    if len(members) != 1:
        raise BadFile(file.name, f"it holds {len(members)} files instead of {expected} alone", reason="member")
    (member,) = members
    name = _name_of(member)
    if name != expected:
        raise _other_member(file, expected, name)
    if member.flag_bits & _ENCRYPTED:
        raise BadFile(file.name, "it is encrypted", reason="unreadable")
    # The other methods unpack as much as they like at once, and fail with an error of the disk.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        sentence = f"it is packed by method {member.compress_type}, not by deflate"
        raise BadFile(file.name, sentence, reason="unreadable")
    _check_size(member, file)
    return member


def _name_of(member: zipfile.ZipInfo) -> str:
    """Programs that pack write a name in UTF-8 without the mark for it; Python takes it for an old code page then."""
    if not member.flag_bits & _NAME_IS_UTF8:
        with suppress(UnicodeError):
            return member.filename.encode("cp437").decode()
    return member.filename


def _other_member(file: BulkFile, expected: str, found: str) -> BadFile:
    shown = repr(found[:100])
    match, wanted = _NAME.fullmatch(found), _NAME.fullmatch(expected)
    if wanted is None or match is None or "/" in found or "\\" in found:
        return BadFile(file.name, f"it holds {shown} instead of {expected}", reason="member")
    if match["symbol"] != wanted["symbol"]:
        return BadFile(file.name, f"it holds {shown}, which is of another symbol", reason="symbol")
    if match["series"] != wanted["series"]:
        return BadFile(file.name, f"it holds {shown}, which is no file of {wanted['series']}", reason="series")
    return BadFile(file.name, f"it holds {shown}, which is of another time", reason="period")


def _check_size(member: zipfile.ZipInfo, file: BulkFile) -> None:
    size_max = TRADES_BYTES_MAX if file.key.channel == "trade" else kline_rows_max(file) * LINE_BYTES_MAX
    packed_badly = (
        file.key.channel == "trade"
        and member.file_size > RATIO_EXEMPT_BYTES
        and member.file_size > RATIO_MAX * member.compress_size
    )
    if member.file_size > size_max or packed_badly:
        sentence = (
            f"it would grow from {member.compress_size:,} to {member.file_size:,} bytes, which no "
            f"file of {name_of_series(file.key)} does"
        )
        raise BadFile(file.name, sentence, reason="too_large")


def kline_rows_max(file: BulkFile) -> int:
    """How many lines a file of klines can have: those of its time, one at each border and a header."""
    step_ms = CALENDAR.next_open_ms(file.key.kline_interval, file.first_ms) - file.first_ms
    return (file.until_ms - file.first_ms) // step_ms + 3


def _blocks(content: IO[bytes], file: BulkFile) -> Iterator[tuple[int, list[str]]]:
    number, rest = 1, b""
    while block := content.read(BLOCK_BYTES):
        text = rest + block
        end = text.rfind(b"\n") + 1
        rest = text[end:]
        if end:
            lines = _decoded(text[:end], number, file).split("\n")[:-1]
            yield number, lines
            number += len(lines)
        if len(rest) > LINE_BYTES_MAX:
            raise BadFile(file.name, f"it is longer than {LINE_BYTES_MAX} bytes", reason="columns", line=number)
    if rest:
        yield number, [_decoded(rest, number, file)]


def _decoded(text: bytes, number: int, file: BulkFile) -> str:
    try:
        return text.decode("ascii")
    except UnicodeDecodeError as error:
        line = number + text.count(b"\n", 0, error.start)
        byte = text[error.start]
        raise BadFile(file.name, f"byte 0x{byte:02x} is no ASCII text", reason="encoding", line=line) from error
