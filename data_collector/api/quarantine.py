"""Reading the newest refused records out of the store's `quarantine:` streams."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct, field

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.store_url import parse_store_url
from data_collector.sinks.redis.connection import ReplyError, StoreConnection

UNKNOWN = "unknown"
"""Where frames go whose symbol cannot be read or was not subscribed."""

PAGE_ENTRIES_MAX = 32
"""Fetched from a stream at a time: entries hold up to 4 KiB, and most streams hold few."""

HELD_ENTRIES_MAX = 2048
"""Held at a time of all streams together, 8 MiB at worst; thousands of streams are read in smaller pages."""

KEYS_PER_BATCH = 64
"""Asked for in one batch, so that no single reply of the store is large."""

ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""More than a thousand ordinary entries; past it the page ends early."""

READ_TIMEOUT_S = 5.0
"""For the whole answer, however many streams it is gathered from."""


class Why(Struct):
    """A broken rule, as the collector wrote it."""

    rule: str
    message: str


class Entry(Struct):
    """One refusal, as it is answered: a record with its own digits, or a frame as text."""

    symbol: str
    id: str
    at: str
    reasons: list[Why]
    record: msgspec.Raw | None
    frame: str | None


class Page(Struct):
    """Newest first."""

    count: int
    errors: list[Entry]


class _Stream(Struct):
    """One `quarantine:` stream, read backwards page by page."""

    symbol: str
    key: str
    waiting: list[Entry] = field(default_factory=list)
    """Read and not taken yet, oldest first, so that the next one is at the end."""
    before: str = "+"
    """Where the next page begins, as XREVRANGE has it."""
    is_exhausted: bool = False

    def take_page(self, reply: object, page_size: int) -> None:
        """What XREVRANGE answered: `[[id, [name, value, …]], …]`, newest first. Raises `SinkUnavailable`."""
        if isinstance(reply, ReplyError):
            raise SinkUnavailable(f"The store refused to read {self.key} ({reply.kind}).")
        page = msgspec.convert(reply, list[tuple[str, list[str]]])
        self.is_exhausted = len(page) < page_size
        if page:
            self.before = f"({page[-1][0]}"
        self.waiting = [_entry(self.symbol, number, fields) for number, fields in reversed(page)]


class QuarantineReader:
    """Reads over one connection of its own, opened when first asked; readers take turns."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._connection: StoreConnection | None = None
        self._url: str | None = None

    async def newest(self, store_url: str, prefix: str, symbols: Sequence[str], limit: int) -> Page:
        """The newest `limit` refusals of all `symbols` together. Raises `SinkUnavailable`."""
        try:
            async with asyncio.timeout(READ_TIMEOUT_S), self._turn:
                streams = [_Stream(symbol, f"{prefix}quarantine:{symbol}") for symbol in symbols]
                return await self._merge(await self._connect(store_url), streams, limit)
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

    async def _merge(self, connection: StoreConnection, streams: list[_Stream], limit: int) -> Page:
        page_size = max(1, min(PAGE_ENTRIES_MAX, limit, HELD_ENTRIES_MAX // len(streams)))
        taken: list[Entry] = []
        size = 0
        while len(taken) < limit and size < ANSWER_BYTES_MAX:
            await _refill(connection, [s for s in streams if not s.waiting and not s.is_exhausted], page_size)
            streams = [stream for stream in streams if stream.waiting]
            if not streams:
                break
            for entry in _until_one_is_empty(streams):
                taken.append(entry)
                size += len(entry.frame or "") + len(bytes(entry.record or b""))
                if len(taken) == limit or size >= ANSWER_BYTES_MAX:
                    break
        return Page(len(taken), taken)


async def _refill(connection: StoreConnection, streams: list[_Stream], page_size: int) -> None:
    for start in range(0, len(streams), KEYS_PER_BATCH):
        batch = streams[start : start + KEYS_PER_BATCH]
        commands = [("XREVRANGE", stream.key, stream.before, "-", "COUNT", page_size) for stream in batch]
        for stream, reply in zip(batch, await connection.execute(commands), strict=True):
            stream.take_page(reply, page_size)


def _until_one_is_empty(streams: list[_Stream]) -> Iterator[Entry]:
    """The newest of all, again and again, until a stream must be asked for what it has next."""
    while True:
        newest = max(streams, key=lambda stream: _order(stream.waiting[-1].id))
        yield newest.waiting.pop()
        if not newest.waiting:
            return


def _order(number: str) -> tuple[int, int]:
    """Entry ids are `<ms>-<sequence>`, both made by the server."""
    ms, _, sequence = number.partition("-")
    return int(ms), int(sequence)


def _entry(symbol: str, number: str, fields: list[str]) -> Entry:
    content = dict(zip(fields[::2], fields[1::2], strict=False))
    data = content.get("data", "")
    record = _record(data)
    return Entry(
        symbol=symbol,
        id=number,
        at=content.get("at", ""),
        reasons=_reasons(content.get("why", "")),
        record=record,
        frame=data if record is None else None,
    )


def _reasons(text: str) -> list[Why]:
    try:
        return msgspec.json.decode(text, type=list[Why])
    except msgspec.DecodeError:
        # Written by something else than this version; it is shown rather than lost.
        return [Why("unreadable", text[:1024])]


def _record(text: str) -> msgspec.Raw | None:
    """The text when it is a record: put in as it is, so that no digit is lost. Raw frames stay text."""
    try:
        names = msgspec.json.decode(text, type=dict[str, str | float | bool | None])
    except (msgspec.DecodeError, RecursionError):
        return None
    return msgspec.Raw(text.encode()) if {"symbol", "timestamp"} <= names.keys() else None
