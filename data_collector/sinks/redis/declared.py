"""Ranges that the store itself declares as missing, read out of `gaps:`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import msgspec
from msgspec import Struct

from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.entries import StreamEntry, pages_of

PAGE_ENTRIES = 1000

PAGES_MAX = 30
"""`gaps:` keeps 10,000 entries and somewhat more; a stream that is longer is not ours alone."""


class _Content(Struct):
    symbol: str
    channel: str
    interval: str | None
    first: int | str
    last: int | str
    count: int
    reason: str
    rules: list[str] = []
    recorded_at: str = ""


class Declared(Struct, frozen=True):
    """One entry of `gaps:`."""

    symbol: str
    interval: str | None
    """None for trades."""
    first: int
    """Trade id, or open time in ms."""
    last: int
    count: int
    reason: str
    rules: tuple[str, ...]
    recorded_at: str


def declared_of(entry: StreamEntry) -> Declared | None:
    """None for an entry that nobody of ours has written."""
    try:
        content = msgspec.json.decode(entry.fields.get("data", ""), type=_Content)
        first, last = (_place(content.interval, place) for place in (content.first, content.last))
    except (msgspec.DecodeError, ValueError, OverflowError):
        return None
    return Declared(
        content.symbol, content.interval, first, last, content.count, content.reason, tuple(content.rules),
        content.recorded_at,
    )  # fmt: skip


async def declared_pages(connection: StoreConnection, key: str, symbol: str) -> AsyncIterator[list[Declared]]:
    """All of one `gaps:` stream, newest first, in pages. Raises `SinkUnavailable`."""
    left = PAGES_MAX
    async for entries in pages_of(connection, key, symbol, PAGE_ENTRIES, start="+", end="-"):
        yield [declared for declared in map(declared_of, entries) if declared is not None]
        left -= 1
        if not left:
            return


def _place(interval: str | None, place: int | str) -> int:
    if isinstance(place, int):
        return place
    if interval is None:
        raise ValueError("trades are counted by number")
    return round(datetime.fromisoformat(place).timestamp() * 1000)
