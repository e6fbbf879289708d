"""Ranges that the store itself declares as missing, read out of `gaps:`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.entries import StreamEntry, pages_of
from data_collector.sinks.redis.stored_records import DeclaredGap, gap_or_none

PAGE_ENTRIES = 1000

PAGES_MAX = 30
"""`gaps:` keeps 10,000 entries and somewhat more; a stream that is longer is not ours alone."""


def declared_of(entry: StreamEntry) -> DeclaredGap | None:
    """None for an entry that nobody of ours has written."""
    return gap_or_none(entry.fields.get("data", ""))


async def declared_pages(connection: StoreConnection, key: str, symbol: str) -> AsyncIterator[list[DeclaredGap]]:
    """All of one `gaps:` stream, newest first, in pages. Raises `SinkUnavailable`."""
    left = PAGES_MAX
    async for entries in pages_of(connection, key, symbol, PAGE_ENTRIES, start="+", end="-"):
        yield [declared for declared in map(declared_of, entries) if declared is not None]
        left -= 1
        if not left:
            return
