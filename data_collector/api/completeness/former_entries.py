"""How many entries of a `trades:` stream are of lives before the newest one.

No command of the store counts a part of a stream: it has to be read. A life that is over changes by trimming alone, so
it is read once. Of some of its entries it is remembered how many lie before them, so that after a trimming only those
up to the next of these are read.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from data_collector.model.errors import SinkUnavailable
from data_collector.sinks.redis.connection import Command, ReplyError, StoreConnection
from data_collector.sinks.redis.entries import EntryId, StreamEntry, entries_of, entry_id, reads_as_trade
from data_collector.sinks.redis.stored_records import epoch_or_first

PAGE_ENTRIES = 2000

MARK_ENTRIES = 200
"""From one mark to the next: a store trims a hundred entries at a time."""

STREAMS_MAX = 1000
"""Counts remembered; all marks together are fewer than one for `MARK_ENTRIES` entries of the store."""

STEPS_MAX = 10
"""Of one count: three do, unless somebody takes entries out meanwhile."""


class StreamFacts(Struct, frozen=True):
    """What XINFO STREAM tells of a stream that is not empty."""

    first: EntryId
    last: EntryId
    """The last id given, also where its entry is gone."""
    length: int
    removed: int
    """Entries that were there once, trimmed or deleted."""
    first_epoch: int
    last_epoch: int
    is_foreign: bool = False
    """Whether an entry of somebody else is the first or the newest one."""


def facts_of(reply: object, key: str) -> StreamFacts | None:
    """None for a stream that is empty or not there. Raises `SinkUnavailable`."""
    if isinstance(reply, ReplyError):
        if "no such key" in str(reply):
            return None
        raise SinkUnavailable(f"The store refused to read {key} ({reply.kind}).")
    try:
        return _facts(msgspec.convert(reply, list[object]), key)
    except (KeyError, ValueError, msgspec.ValidationError) as error:
        raise SinkUnavailable(f"What the store tells of {key} is nothing about a stream ({error}).") from error


def _facts(reply: Sequence[object], key: str) -> StreamFacts | None:
    told = dict(zip(map(str, reply[::2]), reply[1::2], strict=True))
    length, added = (msgspec.convert(told[name], int) for name in ("length", "entries-added"))
    if not told["first-entry"]:
        return None
    oldest, newest = entries_of([told["first-entry"], told["last-entry"]], "", key)
    return StreamFacts(
        entry_id(oldest.id), entry_id(told["last-generated-id"]), length, added - length,
        epoch_or_first(oldest.fields), epoch_or_first(newest.fields),
        is_foreign=not (reads_as_trade(oldest) and reads_as_trade(newest)),
    )  # fmt: skip


class NewestLife(NamedTuple):
    """Where the newest epoch of a stream begins."""

    facts: StreamFacts
    """As they were when it was counted."""
    first: int
    """Its first trade id."""
    former: int
    """Entries of the stream that lie before it."""


class _Mark(NamedTuple):
    id: EntryId
    before: int
    """Entries before it, since counting began."""


class _Marks(Struct):
    """Some entries of one stream, rising; when it `is_whole`, the last one is the first of the newest epoch."""

    epoch: int
    """The newest."""
    removed: int
    """Entries that were gone when counting began: trimming has to account for all that are gone since."""
    last: EntryId
    """When it was looked at last: a store that lost its end has a smaller one."""
    marks: list[_Mark]
    is_whole: bool = False

    def take(self, page: list[StreamEntry]) -> bool:
        """Entries from the last mark on; False where that one is gone, or nothing follows it."""
        if len(page) < 2 or entry_id(page[0].id) != self.marks[-1].id:
            return False
        before, last = self.marks[-1].before, len(page) - 1
        for place, entry in enumerate(page):
            self.is_whole = epoch_or_first(entry.fields) >= self.epoch
            if self.is_whole or (place and (place % MARK_ENTRIES == 0 or place == last)):
                self.marks.append(_Mark(entry_id(entry.id), before + place))
            if self.is_whole:
                break
        return True

    def from_entry(self, entry: EntryId) -> _Mark | None:
        """The first mark at an entry or after it."""
        place = bisect_left(self.marks, entry, key=lambda mark: mark.id)
        return self.marks[place] if place < len(self.marks) else None

    def trim(self, first: EntryId, before: int) -> None:
        """The stream begins with this entry now."""
        del self.marks[: bisect_left(self.marks, first, key=lambda mark: mark.id)]
        if self.marks[0].id != first:
            self.marks.insert(0, _Mark(first, before))


class FormerEntries:
    """Counts them, and remembers what was counted: also how far a reader got who gave up."""

    def __init__(self) -> None:
        self._streams: dict[str, _Marks] = {}
        self._turn = asyncio.Lock()

    async def newest_life(self, connection: StoreConnection, key: str, told: StreamFacts) -> NewestLife | None:
        """Of a stream of which just this was told; None when it is gone meanwhile. Raises `SinkUnavailable`."""
        facts: StreamFacts | None = told
        async with self._turn:
            for _ in range(STEPS_MAX):
                if facts is None or facts.first_epoch == facts.last_epoch:
                    self._streams.pop(key, None)
                    return None if facts is None else NewestLife(facts, facts.first.number, 0)
                known = self._streams.get(key)
                mark = None if known is None else known.from_entry(facts.first)
                if known is None or mark is None or known.epoch != facts.last_epoch or known.last > facts.last:
                    facts = await self._begin(connection, key)
                    continue
                between = 0
                if mark.id != facts.first:
                    page, facts = await _read(connection, key, "-", f"({_text(mark.id)}", MARK_ENTRIES)
                    if facts is None or facts.first > mark.id:
                        continue
                    between = sum(entry_id(entry.id) >= facts.first for entry in page)
                before = mark.before - between
                if known.removed + before != facts.removed:
                    # Something was taken out of its midst, or it is another stream.
                    facts = await self._begin(connection, key)
                    continue
                known.trim(facts.first, before)
                known.last = facts.last
                if known.is_whole:
                    newest = known.marks[-1]
                    return NewestLife(facts, newest.id.number, newest.before - before)
                facts = await self._count(connection, key, known)
        raise SinkUnavailable(f"Entries of {key} are taken out faster than they can be counted.")

    async def _begin(self, connection: StoreConnection, key: str) -> StreamFacts | None:
        """Count from the first entry on."""
        self._streams.pop(key, None)
        page, facts = await _read(connection, key, "-", "+", PAGE_ENTRIES)
        if facts is not None:
            known = _Marks(facts.last_epoch, facts.removed, facts.last, [_Mark(facts.first, 0)])
            if known.take([entry for entry in page if entry_id(entry.id) >= facts.first]):
                if len(self._streams) >= STREAMS_MAX:
                    del self._streams[next(iter(self._streams))]
                self._streams[key] = known
        return facts

    async def _count(self, connection: StoreConnection, key: str, known: _Marks) -> StreamFacts | None:
        """Read on to the newest epoch; what the store tells afterwards."""
        facts: StreamFacts | None = None
        while not known.is_whole:
            page, facts = await _read(connection, key, _text(known.marks[-1].id), "+", PAGE_ENTRIES)
            if not known.take(page):
                del self._streams[key]
                break
        return facts


async def _read(
    connection: StoreConnection, key: str, start: str, end: str, count: int
) -> tuple[list[StreamEntry], StreamFacts | None]:
    """Entries, and what is told of the stream after them: those that it has still are among them."""
    commands: list[Command] = [("XRANGE", key, start, end, "COUNT", count), ("XINFO", "STREAM", key)]
    entries, info = await connection.execute(commands)
    return entries_of(entries, "", key), facts_of(info, key)


def _text(entry: EntryId) -> str:
    return f"{entry.ms}-{entry.number}"
