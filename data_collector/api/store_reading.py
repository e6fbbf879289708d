"""The HTTP process reading the store: a few connections, opened when asked, and the newest entries of streams."""

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

CONNECTIONS = 4

SILENT_S = 2.0
"""A store that owes a single reply for so long is what an answer waited for."""

PAGE_ENTRIES_MAX = 32
"""Fetched from a stream at a time: entries hold up to 4 KiB, and most streams hold few."""

HELD_ENTRIES_MAX = 2048
"""Held at a time of all streams together, 8 MiB at worst; thousands of streams are read in smaller pages."""

KEYS_PER_BATCH = 64
"""Asked for in one batch, so that no single reply of the store is large."""

ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""More than a thousand ordinary entries; past it the page ends early."""


class StoreReading:
    """A few connections for as long as the address stays the same: who asks for much holds up only so many."""

    def __init__(self, timeout_s: float = READ_TIMEOUT_S) -> None:
        """`timeout_s` is for the whole of an answer."""
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._free: list[StoreConnection] = []
        self._busy: list[StoreConnection] = []
        self._url: str | None = None

    @asynccontextmanager
    async def turn(self, store_url: str) -> AsyncIterator[StoreConnection]:
        """A connection, for one answer. Raises `SinkUnavailable`, also when the block takes too long."""
        has_turn, connection = False, None
        try:
            async with time_limit(self._timeout_s), self._turns:
                has_turn = True
                connection = await self._connect(store_url)
                try:
                    yield connection
                finally:
                    self._put_back(connection, store_url)
        except TimeoutError:
            raise SinkUnavailable(self._why_late(connection, has_turn=has_turn)) from None
        except Misconfigured as error:
            raise SinkUnavailable(str(error)) from error

    def close(self) -> None:
        """Drop the connections."""
        for connection in (*self._free, *self._busy):
            connection.close()
        self._free.clear()

    async def _connect(self, store_url: str) -> StoreConnection:
        if self._url != store_url:
            for old in self._free:
                old.close()
            self._free, self._url = [], store_url
        connection = next((each for each in self._free if each.is_open), None)
        if connection is not None:
            self._free = [each for each in self._free if each.is_open and each is not connection]
        else:
            connection = await StoreConnection.connect(parse_store_url(store_url))
        self._busy.append(connection)
        return connection

    def _put_back(self, connection: StoreConnection, store_url: str) -> None:
        self._busy.remove(connection)
        if connection.is_open and self._url == store_url:
            self._free.append(connection)
        else:
            connection.close()

    def _why_late(self, connection: StoreConnection | None, *, has_turn: bool) -> str:
        silent_s = [each.silent_s for each in self._busy] if connection is None else [connection.abandoned_s]
        if (has_turn and connection is None) or max(silent_s, default=0.0) > SILENT_S:
            return f"The store has not answered within {self._timeout_s:g} s."
        if not has_turn:
            return "Too much is being read from the store; come back in a moment."
        return f"To gather this answer takes longer than {self._timeout_s:g} s; ask for less."


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
