"""Trades of the store's `trades:` stream, by trade id.

Entry ids are `<ms>-<trade id>`; times never go back, and ids do not within an epoch. So the place of an id is found
by halving the stream, and what lies before a time is passed over by the server.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from data_collector.api.series.merge import SeriesPart, cut
from data_collector.api.series.window import Window
from data_collector.api.store_reading import StoreReading
from data_collector.model.keys import StoreKeys
from data_collector.model.records import Sourced, Trade
from data_collector.sinks.redis.connection import Command, StoreConnection
from data_collector.sinks.redis.entries import EntryId, StreamEntry, entries_of, entry_id, origin_of, pages_of, trade_of
from data_collector.sinks.redis.stored_records import epoch_number, epoch_or_first

PAGE_ENTRIES = 1000
"""Decoded between two looks at other requests: some 3 ms."""

ENDS_LOOKED_AT = 8
"""Read at a time where an end of the stream is looked for: but for what others write, the first entry is it."""

PROBES = 16
"""Places looked at in one exchange with the server: seven of these find one millisecond in three days."""

EPOCHS_MAX = 1000
"""Listed at most: the newest, and the oldest."""

LATE_MS = 60_000
"""An entry may stand behind its own time, because entry ids never go back; so much is read beyond the end."""


class RedisTrades:
    """The `SeriesStore` of one symbol's trades of one epoch in Redis."""

    def __init__(self, store: StoreReading, store_url: str, keys: StoreKeys, window: Window) -> None:
        self._store = store
        self._store_url = store_url
        self._key = keys.key("trades", window.symbol)
        self._epoch_key = keys.epoch(window.symbol)
        self._window = window

    async def first_place(self) -> int | None:
        """Id of the oldest trade."""
        oldest = await self._oldest()
        return None if oldest is None else oldest.number

    async def oldest_ms(self) -> int | None:
        """Time of the oldest trade; None when there is none."""
        oldest = await self._oldest()
        return None if oldest is None else oldest.ms

    async def page(self, first: int, limit: int) -> SeriesPart[Sourced[Trade]]:
        """Trades of the window with ids from `first` on."""
        rows: list[tuple[int, Sourced[Trade]]] = []
        until, epoch = f"{self._window.to_ms + LATE_MS}-0", self._window.epoch
        async with self._store.turn(self._store_url) as connection:
            present = await self._present(connection)
            is_whole = first <= 0 and not epoch
            start = f"{self._window.from_ms}-0" if is_whole else await self._start(connection, max(first, 0), present)
            if start is None:
                return cut(rows, limit)
            pages = pages_of(connection, self._key, self._window.symbol, PAGE_ENTRIES, start=start, end=until)
            async for entries in pages:
                rows += self._rows(entries, first)
                if len(rows) > limit or (entries and epoch < epoch_or_first(entries[-1].fields) <= present):
                    break
        return cut(rows, limit)

    async def newest(self, limit: int) -> list[tuple[int, Sourced[Trade]]]:
        """The last trades of the epoch."""
        rows: list[tuple[int, Sourced[Trade]]] = []
        epoch, size = self._window.epoch, min(PAGE_ENTRIES, limit)
        async with self._store.turn(self._store_url) as connection:
            present = await self._present(connection)
            following = await self._start(connection, 0, present, epoch=epoch + 1, from_ms=0)
            # Without its number, an id is the last one of its millisecond.
            start = "+" if following is None else following.partition("-")[0]
            pages = pages_of(connection, self._key, self._window.symbol, size, start=start, end="-")
            async for entries in pages:
                rows += self._rows(entries, 0)
                if len(rows) >= limit or (entries and self._is_earlier(entries[-1])):
                    break
        return rows[:limit][::-1]

    def _rows(self, entries: list[StreamEntry], first: int) -> list[tuple[int, Sourced[Trade]]]:
        found: list[tuple[int, Sourced[Trade]]] = []
        for entry in entries:
            if epoch_or_first(entry.fields) != self._window.epoch:
                continue
            trade = trade_of(entry)
            if trade is not None and trade.trade_id >= first and self._window.holds(trade.time_ms):
                found.append((trade.trade_id, Sourced(trade, origin_of(entry.fields))))
        return found

    def _is_earlier(self, entry: StreamEntry) -> bool:
        """Whether it is a trade of an epoch before this one; what somebody else has written tells nothing."""
        return trade_of(entry) is not None and epoch_or_first(entry.fields) < self._window.epoch

    async def _oldest(self) -> EntryId | None:
        async with self._store.turn(self._store_url) as connection:
            oldest, present = await self._end(connection, "-", "+"), await self._present(connection)
            if oldest is not None and (oldest.epoch < self._window.epoch or oldest.epoch > present):
                start = await self._start(connection, 0, present, from_ms=0)
                if start is None:
                    return None
                async for entries in pages_of(connection, self._key, "", PAGE_ENTRIES, start=start):
                    places = map(_place, entries)
                    oldest = next((each for each in places if self._window.epoch <= each.epoch <= present), None)
                    if oldest is not None:
                        break
        return oldest.id if oldest is not None and oldest.epoch == self._window.epoch else None

    async def _start(
        self, connection: StoreConnection, first: int, present: int, *, from_ms: int | None = None,
        epoch: int | None = None,
    ) -> str | None:  # fmt: skip
        """Entry id from which trades with ids from `first` on stand; None when there is none.

        An epoch beyond the `present` one was written by somebody else.
        """
        wanted = (self._window.epoch if epoch is None else epoch, first)
        from_ms = self._window.from_ms if from_ms is None else from_ms
        oldest = await self._end(connection, "-", "+")
        newest = await self._end(connection, "+", "-")
        if oldest is None or newest is None or newest.place < wanted or wanted[0] < oldest.epoch <= present:
            return None
        low_ms, high_ms = oldest.id.ms, newest.id.ms
        if oldest.place < wanted or oldest.epoch > present:
            # The first entry at or after `low_ms` lies before the wanted one; that at or after `high_ms` does not.
            while high_ms - low_ms > 1:
                times = range(low_ms + 1, high_ms, max(1, (high_ms - low_ms) // PROBES))
                commands: list[Command] = [("XRANGE", self._key, f"{ms}-0", "+", "COUNT", 1) for ms in times]
                for ms, reply in zip(times, await connection.execute(commands), strict=True):
                    entries = entries_of(reply, self._window.symbol, self._key)
                    found = _place(entries[0]) if entries else None
                    if found is not None and found.place < wanted:
                        low_ms = max(low_ms, found.id.ms)
                    else:
                        high_ms = min(high_ms, ms)
        if low_ms < from_ms:
            return f"{from_ms}-0"
        return f"{low_ms}-{first}"

    async def _present(self, connection: StoreConnection) -> int:
        """The epoch that the stream is in; where that is not known, every epoch is believed."""
        (reply,) = await connection.execute([("GET", self._epoch_key)])
        epoch = epoch_number(reply)
        return sys.maxsize if epoch is None else epoch

    async def _end(self, connection: StoreConnection, start: str, end: str) -> _Place | None:
        """The first trade from one end of the stream on; None where nothing near that end is one."""
        pages = pages_of(connection, self._key, self._window.symbol, ENDS_LOOKED_AT, start=start, end=end)
        left = PAGE_ENTRIES
        async for entries in pages:
            ours = next((entry for entry in entries if trade_of(entry) is not None), None)
            left -= len(entries)
            if ours is not None or left <= 0:
                return None if ours is None else _place(ours)
        return None


class _Place(NamedTuple):
    """Where an entry stands."""

    id: EntryId
    epoch: int

    @property
    def place(self) -> tuple[int, int]:
        """What rises along the stream."""
        return self.epoch, self.id.number


def _place(entry: StreamEntry) -> _Place:
    return _Place(entry_id(entry.id), epoch_or_first(entry.fields))


async def redis_epochs(store: StoreReading, store_url: str, keys: StoreKeys, symbol: str) -> list[int]:
    """Those of which the store has trades, rising. Raises `SinkUnavailable`.

    An entry of somebody else may name any number: the newest is the one that the store says it is in.
    """
    key = keys.key("trades", symbol)
    async with store.turn(store_url) as connection:
        commands: list[Command] = [("XRANGE", key, "-", "+", "COUNT", 1), ("XREVRANGE", key, "+", "-", "COUNT", 1)]
        *ends, present = await connection.execute([*commands, ("GET", keys.epoch(symbol))])
    found = [epoch_or_first(entries[0].fields) for end in ends if (entries := entries_of(end, symbol, key))]
    if not found:
        return []
    known = epoch_number(present)
    newest = found[-1] if known is None else known
    oldest = min(found[0], newest)
    return sorted({oldest, *range(max(oldest, newest - EPOCHS_MAX + 2), newest + 1)})
