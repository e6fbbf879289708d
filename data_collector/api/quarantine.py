"""Reading the newest refused records out of the store's `quarantine:` streams."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from data_collector.api.answers import Reason, Refused, RefusedPage
from data_collector.api.store_reading import StoreReading, newest_entries
from data_collector.model.keys import StoreKeys
from data_collector.sinks.redis.entries import StreamEntry


async def newest_refusals(
    store: StoreReading, store_url: str, keys: StoreKeys, symbols: Sequence[str], limit: int
) -> RefusedPage:
    """The newest `limit` refusals of all `symbols` together. Raises `SinkUnavailable`."""
    streams = {symbol: keys.key("quarantine", symbol) for symbol in symbols}
    async with store.turn(store_url) as connection:
        found = [_entry(entry) for entry in await newest_entries(connection, streams, limit)]
    return RefusedPage(len(found), found)


def _entry(entry: StreamEntry) -> Refused:
    data = entry.fields.get("data", "")
    is_record = _is_record(data)
    return Refused(
        symbol=entry.symbol,
        id=entry.id,
        at=entry.fields.get("at", ""),
        reasons=_reasons(entry.fields.get("why", "")),
        # Put in as it is, so that no digit is lost.
        record=msgspec.Raw(data.encode() if is_record else b"null"),
        frame=None if is_record else data,
    )


def _reasons(text: str) -> list[Reason]:
    try:
        return msgspec.json.decode(text, type=list[Reason])
    except (msgspec.DecodeError, RecursionError):
        # Written by something else than this version; it is shown rather than lost.
        return [Reason("unreadable", text[:1024])]


def _is_record(text: str) -> bool:
    """Whether it is a record; if not, a raw frame."""
    try:
        names = msgspec.json.decode(text, type=dict[str, str | float | bool | None])
    except (msgspec.DecodeError, RecursionError):
        return False
    return {"symbol", "timestamp"} <= names.keys()
