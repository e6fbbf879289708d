"""Binance's daily files of trades: every trade of a symbol and day, as the exchange itself has written them down.

https://github.com/binance/binance-public-data. `{base}/data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-01-31.zip`
holds one CSV without a header; beside it lies its SHA-256 as `.CHECKSUM`. A day's file appears on the next day.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date
from typing import BinaryIO

import aiohttp
from msgspec import Struct

from data_collector.model.errors import VenueUnreachable
from data_collector.model.records import Trade

FILES_URL = "https://data.binance.vision"

STALL_TIMEOUT_S = 30.0
"""A day of a busy symbol is some 100 MiB, so there is no limit for the whole, only for silence."""

LINE_BYTES_MAX = 1024

MICROSECONDS_FROM = 10**15
"""Files from 2025 on have microseconds; a number this large is one."""


class DayFile(Struct, frozen=True):
    """A file that was fetched and whose checksum is right."""

    url: str
    sha256: str
    size: int


class DayFiles:
    """Fetches daily files."""

    def __init__(self, base_url: str = FILES_URL, *, use_proxy: bool = False) -> None:
        self._base_url = base_url.rstrip("/")
        self._use_proxy = use_proxy

    async def fetch(self, symbol: str, day: date, into: BinaryIO) -> DayFile | None:
        """Write the archive of a day into a file; None while it is not published.

        Raises `VenueUnreachable`, also when the archive is not the one that the checksum is of.
        """
        url = f"{self._base_url}/data/spot/daily/trades/{symbol}/{symbol}-trades-{day.isoformat()}.zip"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=STALL_TIMEOUT_S, sock_read=STALL_TIMEOUT_S)
        try:
            async with aiohttp.ClientSession(timeout=timeout, trust_env=self._use_proxy) as session:
                stated = await _stated_checksum(session, f"{url}.CHECKSUM")
                if stated is None:
                    return None
                digest, size = hashlib.sha256(), 0
                async with session.get(url) as response:
                    if response.status == 404:
                        return None
                    _expect_ok(url, response.status)
                    async for part in response.content.iter_any():
                        digest.update(part)
                        size += into.write(part)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise VenueUnreachable(f"{url} cannot be fetched ({str(error) or 'no answer in time'})") from error
        found = digest.hexdigest()
        if found != stated:
            raise VenueUnreachable(f"{url} does not match its checksum ({found} instead of {stated})")
        return DayFile(url, found, size)


def trades_in(archive: BinaryIO, symbol: str, day: date) -> Iterator[Trade]:
    """The trades of an archive in its order, read as they are asked for. Raises `VenueUnreachable`."""
    name = f"{symbol}-trades-{day.isoformat()}.csv"
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(name) as lines:
            number = 0
            while line := lines.readline(LINE_BYTES_MAX):
                number += 1
                yield _trade_of(symbol, line, f"line {number} of {name}")
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise VenueUnreachable(f"the file of {symbol} and {day} is no archive of {name} ({error})") from error


async def _stated_checksum(session: aiohttp.ClientSession, url: str) -> str | None:
    """As `sha256sum` writes it: `<hex>  <name>`."""
    async with session.get(url) as response:
        if response.status == 404:
            return None
        _expect_ok(url, response.status)
        text = (await response.content.read(LINE_BYTES_MAX)).decode(errors="replace")
    words = text.split()
    if not words or len(words[0]) != 64:
        raise VenueUnreachable(f"{url} is no checksum")
    return words[0].lower()


def _expect_ok(url: str, status: int) -> None:
    if status != 200:
        raise VenueUnreachable(f"{url} was answered with HTTP {status}")


def _trade_of(symbol: str, line: bytes, place: str) -> Trade:
    """Columns: trade id, price, quantity, quote quantity, time, isBuyerMaker, isBestMatch."""
    try:
        number, price, quantity, _, time, maker = line.decode("ascii").rstrip("\r\n").split(",")[:6]
        stamp = int(time)
        sub_ms_us = None
        if stamp >= MICROSECONDS_FROM:
            stamp, sub_ms_us = divmod(stamp, 1000)
        return Trade(
            symbol, int(number), price, quantity, stamp, stamp, {"true": True, "false": False}[maker.lower()],
            sub_ms_us=sub_ms_us,
        )  # fmt: skip
    except (ValueError, KeyError) as error:
        raise VenueUnreachable(f"{place} is no trade") from error
