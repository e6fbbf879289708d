"""Binance's published files, from its own site, a mirror or a local folder: fetched, verified, read.

Day files appear on the next day, month files in the first days of the next month. Files are replaced later without
notice, so nothing is kept of one but its rows.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import BinaryIO

import aiohttp

from data_collector.model.errors import BadFile, Misconfigured, NotPublished, VenueUnreachable
from data_collector.model.keys import Key
from data_collector.model.published import BulkFile, FetchedFile
from data_collector.model.records import Kline, Row, Trade
from data_collector.outgoing import UNREACHED, open_session, reason_of
from data_collector.venues.binance import bulk_names
from data_collector.venues.binance.bulk_archive import looks_like_a_page
from data_collector.venues.binance.bulk_names import CHECKSUM, FILES_URL
from data_collector.venues.binance.bulk_rows import kline_rows, trade_rows

STALL_TIMEOUT_S = 30.0
"""A month of a busy symbol is some GiB, so there is no limit for the whole, only for silence."""

ARCHIVE_BYTES_MAX = 16 * 2**30

CHECKSUM_BYTES_MAX = 1024

PIECE_BYTES = 2**20


class BinanceBulkFiles:
    """See `model.published.BulkFiles`."""

    def __init__(self, place: str | None = None, *, use_proxy: bool = False) -> None:
        self.place = (place or FILES_URL).rstrip("/")
        self._use_proxy = use_proxy
        self._folder = None if "://" in self.place else Path(place or "")

    def covering(self, key: Key, from_ms: int, to_ms: int) -> list[BulkFile]:
        return bulk_names.covering(key, from_ms, to_ms)

    def days_of(self, month: BulkFile) -> list[BulkFile]:
        return bulk_names.days_of(month)

    def klines(self, file: BulkFile) -> AsyncGenerator[list[Kline], None]:
        return self._checked_rows(file, kline_rows)

    def trades(self, file: BulkFile) -> AsyncGenerator[list[Trade], None]:
        return self._checked_rows(file, trade_rows)

    def day_of(self, key: Key, day: date) -> BulkFile:
        return bulk_names.day_file(key, datetime(day.year, day.month, day.day, tzinfo=UTC))

    def trades_in(self, archive: BinaryIO, file: BulkFile) -> Iterator[list[Trade]]:
        return trade_rows(archive, file, repeats=True)

    async def fetch(self, file: BulkFile, into: BinaryIO) -> FetchedFile:
        """Write the archive of a file. Raises as `klines` does, and `Misconfigured` where there is no room for it."""
        async with self._source() as source:
            stated_text = await source.beginning(file, file.path + CHECKSUM)
            digest, size = hashlib.sha256(), 0
            async for part in source.pieces(file):
                if size == 0:
                    _check_beginning(file, part, has_checksum=stated_text is not None)
                digest.update(part)
                size += _put(file, part, into)
                if size > ARCHIVE_BYTES_MAX:
                    raise BadFile(file.name, f"it is larger than {ARCHIVE_BYTES_MAX:,} bytes", reason="too_large")
        stated, found = _stated(file, stated_text or b""), digest.hexdigest()
        if found != stated:
            sentence = f"it does not match its checksum ({found} instead of {stated})"
            raise BadFile(file.name, sentence, reason="checksum")
        return FetchedFile(source.place_of(file), found, size)

    async def _checked_rows(
        self, file: BulkFile, rows_of: Callable[[BinaryIO, BulkFile], Iterator[list[Row]]]
    ) -> AsyncGenerator[list[Row], None]:
        with tempfile.TemporaryFile() as archive:
            await self.fetch(file, archive)
            checked, chunks = rows_of(archive, file), rows_of(archive, file)
            while await asyncio.to_thread(next, checked, None):
                pass
            while chunk := await asyncio.to_thread(next, chunks, None):
                yield chunk

    @asynccontextmanager
    async def _source(self) -> AsyncIterator[_Site | _Folder]:
        if self._folder is not None:
            yield _Folder(self._folder)
            return
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=STALL_TIMEOUT_S, sock_read=STALL_TIMEOUT_S)
        async with open_session(self.place, use_proxy=self._use_proxy, timeout=timeout) as session:
            yield _Site(session, self.place)


class _Site:
    """Files behind a base URL."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._base_url = base_url

    def place_of(self, file: BulkFile) -> str:
        return f"{self._base_url}/{file.path}"

    async def beginning(self, file: BulkFile, path: str) -> bytes | None:
        url = f"{self._base_url}/{path}"
        async with self._answer(url) as response:
            return None if response is None else await response.content.read(CHECKSUM_BYTES_MAX)

    async def pieces(self, file: BulkFile) -> AsyncIterator[bytes]:
        async with self._answer(self.place_of(file)) as response:
            if response is None:
                raise NotPublished(f"{self.place_of(file)} is not published")
            async for part in response.content.iter_any():
                yield part

    @asynccontextmanager
    async def _answer(self, url: str) -> AsyncIterator[aiohttp.ClientResponse | None]:
        try:
            # A mirror must not have us ask inside our own network.
            async with self._session.get(url, allow_redirects=False) as response:
                if 300 <= response.status < 400:
                    raise VenueUnreachable(f"{url} leads elsewhere (HTTP {response.status}), which is not followed")
                if response.status not in (200, 404):
                    raise VenueUnreachable(f"{url} was answered with HTTP {response.status}")
                yield response if response.status == 200 else None
        except UNREACHED as error:
            raise VenueUnreachable(f"{url} cannot be fetched ({reason_of(error) or 'no answer in time'})") from error


class _Folder:
    """Files on this machine: laid out as on the site, or all in the one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place_of(self, file: BulkFile) -> str:
        return str(self._path(file.path))

    async def beginning(self, file: BulkFile, path: str) -> bytes | None:
        def read() -> bytes | None:
            try:
                with self._path(path).open("rb") as opened:
                    return opened.read(CHECKSUM_BYTES_MAX)
            except FileNotFoundError:
                return None
            except OSError as error:
                raise BadFile(file.name, f"its checksum cannot be read ({error})", reason="unreadable") from error

        return await asyncio.to_thread(read)

    async def pieces(self, file: BulkFile) -> AsyncIterator[bytes]:
        path = self._path(file.path)
        try:
            with await asyncio.to_thread(path.open, "rb") as opened:
                while part := await asyncio.to_thread(opened.read, PIECE_BYTES):
                    yield part
        except FileNotFoundError as error:
            raise NotPublished(f"{path} is not there") from error
        except OSError as error:
            raise BadFile(file.name, f"it cannot be read ({error})", reason="unreadable") from error

    def _path(self, path: str) -> Path:
        laid_out = self._folder / path
        return laid_out if laid_out.is_file() else self._folder / laid_out.name


def _check_beginning(file: BulkFile, beginning: bytes, *, has_checksum: bool) -> None:
    """What needs not be fetched whole."""
    if looks_like_a_page(beginning):
        raise BadFile(file.name, "it is a web page instead of a zip archive", reason="web_page")
    if not has_checksum:
        raise BadFile(file.name, f"there is no {file.name}{CHECKSUM} beside it", reason="no_checksum")


def _put(file: BulkFile, part: bytes, into: BinaryIO) -> int:
    try:
        return into.write(part)
    except OSError as error:
        raise Misconfigured(
            f"The temporary folder cannot take {file.name} ({error.strerror}); make room, or name another in TMPDIR."
        ) from error


def _stated(file: BulkFile, content: bytes) -> str:
    """As `sha256sum` writes it: `<hex>  <name>`."""
    words = content.decode(errors="replace").split()
    digest = words[0].lower() if words else ""
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise BadFile(file.name, f"what lies beside it as {CHECKSUM} is no checksum", reason="checksum")
    if len(words) > 1 and words[1].lstrip("*") != file.name:
        raise BadFile(file.name, f"the checksum beside it is of {words[1][:100]!r}", reason="checksum")
    return digest
