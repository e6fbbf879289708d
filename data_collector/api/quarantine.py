"""Reading the newest refused records out of the store's `quarantine:` streams."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from data_collector.api.newest import newest_entries
from data_collector.api.store_reading import StoreReading
from data_collector.model.store_keys import StoreKeys
from data_collector.sinks.redis.entries import StreamEntry


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


class QuarantineReader:
    """Reads in turn with whoever else reads over the same connection."""

    def __init__(self, store: StoreReading | None = None) -> None:
        self._store = store or StoreReading()

    async def newest(self, store_url: str, keys: StoreKeys, symbols: Sequence[str], limit: int) -> Page:
        """The newest `limit` refusals of all `symbols` together. Raises `SinkUnavailable`."""
        async with self._store.turn(store_url) as connection:
            streams = {symbol: keys.key("quarantine", symbol) for symbol in symbols}
            found = [_entry(entry) for entry in await newest_entries(connection, streams, limit)]
        return Page(len(found), found)

    def close(self) -> None:
        """Drop the connection."""
        self._store.close()


def _entry(entry: StreamEntry) -> Entry:
    data = entry.fields.get("data", "")
    record = _record(data)
    return Entry(
        symbol=entry.symbol,
        id=entry.id,
        at=entry.fields.get("at", ""),
        reasons=_reasons(entry.fields.get("why", "")),
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
