"""Where the consumer groups of our streams stand, so that readers can be warned (docs/operations.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.entries import EntryId, entry_id

NOTHING_YET = EntryId(0, 0)


class GroupPlace(Struct, frozen=True):
    """One group of one stream."""

    stream: str
    group: str
    length: int
    """Entries in the stream."""
    first: EntryId
    """The oldest entry in the stream."""
    last: EntryId
    """The newest."""
    delivered: EntryId
    """The newest that the group was given; `NOTHING_YET` before that."""
    unread: int | None
    """Entries that the group was not given, also those that are gone; None when the store does not know."""
    oldest_pending: EntryId | None
    """The oldest that was given and not acknowledged."""


async def group_places(connection: StoreConnection, streams: Sequence[str]) -> list[GroupPlace]:
    """All groups of some streams. What may not be asked, or is no stream, has none. Raises `SinkUnavailable`."""
    replies = await connection.execute([("XINFO", "GROUPS", stream) for stream in streams])
    groups = [
        (stream, found)
        for stream, reply in zip(streams, replies, strict=True)
        if isinstance(reply, list)
        for found in (_as_mapping(group) for group in reply if isinstance(group, list))
        if "name" in found
    ]
    if not groups:
        return []
    read = list(dict.fromkeys(stream for stream, _ in groups))
    pending = [("XPENDING", stream, str(group["name"])) for stream, group in groups]
    replies = await connection.execute([*(("XINFO", "STREAM", stream) for stream in read), *pending])
    facts = dict(zip(read, replies, strict=False))
    try:
        places = [
            _place(stream, group, facts[stream], summary)
            for (stream, group), summary in zip(groups, replies[len(read) :], strict=True)
        ]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        connection.distrust(f"XINFO was answered with something else: {error}")
    return [place for place in places if place is not None]


def _place(stream: str, group: Mapping[str, object], facts: object, summary: object) -> GroupPlace | None:
    if not isinstance(facts, list) or not isinstance(summary, list):
        # It has gone meanwhile, or we may not ask.
        return None
    info = _as_mapping(facts)
    first, last = info["first-entry"], entry_id(info["last-generated-id"])
    added, read = info.get("entries-added"), group.get("entries-read")
    return GroupPlace(
        stream=stream,
        group=str(group["name"]),
        length=_number(info["length"]),
        first=entry_id(first[0]) if isinstance(first, list) else last,
        last=last,
        delivered=entry_id(group["last-delivered-id"]),
        unread=added - read if isinstance(added, int) and isinstance(read, int) else None,
        oldest_pending=entry_id(summary[1]) if summary[0] else None,
    )


def _as_mapping(reply: Iterable[object]) -> dict[str, object]:
    """Names and values in turn."""
    words = list(reply)
    return dict(zip(map(str, words[::2]), words[1::2], strict=False))


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("XINFO STREAM tells lengths as integers")
    return value
