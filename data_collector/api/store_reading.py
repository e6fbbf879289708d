"""The HTTP process reading the store: one connection, opened when first asked, and the newest entries of streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

from msgspec import Struct, field

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.store_url import parse_store_url
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.entries import StreamEntry, entries_of, entry_id
from data_collector.time_limit import time_limit

READ_TIMEOUT_S = 5.0
"""For the whole answer, however many streams it is gathered from."""

PAGE_ENTRIES_MAX = 32
"""Fetched from a stream at a time: entries hold up to 4 KiB, and most streams hold few."""

HELD_ENTRIES_MAX = 2048
"""Held at a time of all streams together, 8 MiB at worst; thousands of streams are read in smaller pages."""

KEYS_PER_BATCH = 64
"""Asked for in one batch, so that no single reply of the store is large."""

ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""More than a thousand ordinary entries; past it the page ends early."""


class StoreReading:
    """One connection for as long as the address stays the same."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._connection: StoreConnection | None = None
        self._url: str | None = None

    @asynccontextmanager
    async def turn(self, store_url: str) -> AsyncIterator[StoreConnection]:
        """The connection, for one answer. Raises `SinkUnavailable`, also when the block takes too long."""
        try:
            async with time_limit(READ_TIMEOUT_S), self._turn:
                yield await self._connect(store_url)
        except TimeoutError:
            raise SinkUnavailable(f"The store has not answered within {READ_TIMEOUT_S:g} s.") from None
        except Misconfigured as error:
            raise SinkUnavailable(str(error)) from error

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()

    async def _connect(self, store_url: str) -> StoreConnection:
        if self._connection is None or not self._connection.is_open or self._url != store_url:
            self.close()
            self._connection = await StoreConnection.connect(parse_store_url(store_url))
            self._url = store_url
        return self._connection


class _Stream(Struct):
    symbol: str
    key: str
    waiting: list[StreamEntry] = field(default_factory=list)
    """Read and not taken yet, oldest first, so that the next one is at the end."""
    before: str = "+"
    """Where the next page begins, as XREVRANGE has it."""
    is_exhausted: bool = False

    def take_page(self, reply: object, page_size: int) -> None:
        page = entries_of(reply, self.symbol, self.key)
        self.is_exhausted = len(page) < page_size
        if page:
            self.before = f"({page[-1].id}"
        self.waiting = page[::-1]


async def newest_entries(connection: StoreConnection, keys: Mapping[str, str], limit: int) -> list[StreamEntry]:
    """The newest `limit` entries of all streams (symbol to key), newest first, read backwards page by page.

    Raises `SinkUnavailable`.
    """
    streams = [_Stream(symbol, key) for symbol, key in keys.items()]
    page_size = max(1, min(PAGE_ENTRIES_MAX, limit, HELD_ENTRIES_MAX // max(1, len(streams))))
    taken: list[StreamEntry] = []
    size = 0
    while len(taken) < limit and size < ANSWER_BYTES_MAX:
        await _refill(connection, [s for s in streams if not s.waiting and not s.is_exhausted], page_size)
        streams = [stream for stream in streams if stream.waiting]
        if not streams:
            break
        for entry in _until_one_is_empty(streams):
            taken.append(entry)
            size += len(entry.fields.get("data", ""))
            if len(taken) == limit or size >= ANSWER_BYTES_MAX:
                break
    return taken


async def _refill(connection: StoreConnection, streams: list[_Stream], page_size: int) -> None:
    for start in range(0, len(streams), KEYS_PER_BATCH):
        batch = streams[start : start + KEYS_PER_BATCH]
        commands = [("XREVRANGE", stream.key, stream.before, "-", "COUNT", page_size) for stream in batch]
        for stream, reply in zip(batch, await connection.execute(commands), strict=True):
            stream.take_page(reply, page_size)


def _until_one_is_empty(streams: list[_Stream]) -> Iterator[StreamEntry]:
    """The newest of all, again and again, until a stream must be asked for what it has next."""
    while True:
        newest = max(streams, key=lambda stream: entry_id(stream.waiting[-1].id))
        yield newest.waiting.pop()
        if not newest.waiting:
            return
