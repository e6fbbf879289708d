"""The files that an exchange publishes of its past, as generic code sees them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from datetime import date
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from data_collector.model.keys import Key
from data_collector.model.records import Kline, Trade


class BulkFile(Struct, frozen=True):
    """One file that an exchange publishes: a UTC month or day of klines or trades of one symbol."""

    key: Key
    first_ms: int
    until_ms: int
    """The end of its month or day, which does not belong to it."""
    path: str
    """Below the place where all of them lie."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class FetchedFile(Struct, frozen=True):
    """A published file that was fetched, and is what was published: its checksum is right."""

    place: str
    sha256: str
    size: int


class BulkFiles(Protocol):
    """The archives that an exchange publishes of its past. They cost no request weight.

    A file is delivered whole or not at all: all of it has been checked before the first rows come. Rows come in the
    order of the exchange, in chunks of bounded size, so that a month of any length takes no memory; the rest of the
    program runs on between two chunks. Whoever leaves early closes the generator (`contextlib.aclosing`).

    Reading raises `NotPublished` (take `days_of` the month, or ask REST), `BadFile` (the same, and name it) or
    `VenueUnreachable` (try again); `Misconfigured` where the machine has no room for a file.
    """

    def covering(self, key: Key, from_ms: int, to_ms: int) -> list[BulkFile]:
        """The files that hold what lies from `from_ms` to before `to_ms`, in the order of time.

        A month that lies in the range whole is one file, and the rest comes as days. Files hold more than was asked
        for where the range ends within a day.
        """

    def days_of(self, month: BulkFile) -> list[BulkFile]:
        """The files of the single days of a month; empty for a day, and for intervals published by the month only."""

    def klines(self, file: BulkFile) -> AsyncGenerator[list[Kline], None]:
        """The rows of a file of klines, also those that are no whole kline (`model.calendar.is_whole`)."""

    def trades(self, file: BulkFile) -> AsyncGenerator[list[Trade], None]:
        """The rows of a file of trades."""

    def day_of(self, key: Key, day: date) -> BulkFile:
        """The file of that UTC day."""

    async def fetch(self, file: BulkFile, into: BinaryIO) -> FetchedFile:
        """Write the archive of a file as it is published."""

    def trades_in(self, archive: BinaryIO, file: BulkFile) -> Iterator[list[Trade]]:
        """The rows of a fetched archive of trades; one that comes twice is told twice. Raises `BadFile`."""


class OpenBulkFiles(Protocol):
    """Makes the reader of published files."""

    def __call__(self, place: str | None = None, *, use_proxy: bool = False) -> BulkFiles:
        """`place` is a base URL or a local folder; None is where the exchange itself publishes."""


class PublishedFiles(Struct, frozen=True):
    """That an exchange publishes its past as files."""

    url: str
    """Where the exchange itself does."""
    hosts: tuple[str, ...]
    """REST hosts, and what is below them, whose past they are; of no simulator, and of no testnet."""
    open: OpenBulkFiles

    def are_of(self, rest_url: str) -> bool:
        """Whether they are the past of what is asked there."""
        host = urlsplit(rest_url).hostname or ""
        return any(f".{host}".endswith(f".{own}") for own in self.hosts)
