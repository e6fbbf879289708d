"""Trades of the store's `trades:` stream, by trade id.

Entry ids are `<ms>-<trade id>`, and neither part ever goes back. So the place of a trade id is found by halving the
stream, and what lies before a time is passed over by the server.
"""

from __future__ import annotations

from data_collector.api.series.merge import SeriesPart, cut
from data_collector.api.series.window import Window
from data_collector.api.store_reading import StoreReading
from data_collector.model.keys import StoreKeys
from data_collector.model.records import Sourced, Trade
from data_collector.sinks.redis.connection import Command, StoreConnection
from data_collector.sinks.redis.entries import EntryId, StreamEntry, entries_of, entry_id, origin_of, pages_of
from data_collector.sinks.redis.stored_records import trade_or_none

PAGE_ENTRIES = 1000
"""Decoded between two looks at other requests: some 3 ms."""

PROBES = 16
"""Places looked at in one exchange with the server: seven of these find one millisecond in three days."""

LATE_MS = 60_000
"""An entry may stand behind its own time, because entry ids never go back; so much is read beyond the end."""


class RedisTrades:
    """The `SeriesStore` of one symbol's trades in Redis."""

    def __init__(self, store: StoreReading, store_url: str, keys: StoreKeys, window: Window) -> None:
        self._store = store
        self._store_url = store_url
        self._key = keys.key("trades", window.symbol)
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
        until = f"{self._window.to_ms + LATE_MS}-0"
        async with self._store.turn(self._store_url) as connection:
            start = f"{self._window.from_ms}-0" if first <= 0 else await self._start(connection, first)
            if start is None:
                return cut(rows, limit)
            pages = pages_of(connection, self._key, self._window.symbol, PAGE_ENTRIES, start=start, end=until)
            async for entries in pages:
                rows += self._rows(entries, first)
                if len(rows) > limit:
                    break
        return cut(rows, limit)

    def _rows(self, entries: list[StreamEntry], first: int) -> list[tuple[int, Sourced[Trade]]]:
        found: list[tuple[int, Sourced[Trade]]] = []
        for entry in entries:
            trade = trade_or_none(entry.fields.get("data", ""))
            if trade is not None and trade.trade_id >= first and self._window.holds(trade.time_ms):
                found.append((trade.trade_id, Sourced(trade, origin_of(entry.fields))))
        return found

    async def _oldest(self) -> EntryId | None:
        async with self._store.turn(self._store_url) as connection:
            return await self._entry(connection, "XRANGE", "-", "+")

    async def _start(self, connection: StoreConnection, first: int) -> str | None:
        """Entry id from which trades with ids from `first` on stand; None when there is none."""
        oldest = await self._entry(connection, "XRANGE", "-", "+")
        newest = await self._entry(connection, "XREVRANGE", "+", "-")
        if oldest is None or newest is None or newest.number < first:
            return None
        low_ms, high_ms = oldest.ms, newest.ms
        if oldest.number < first:
            # The first entry at or after `low_ms` lies before `first`; that at or after `high_ms` does not.
            while high_ms - low_ms > 1:
                times = range(low_ms + 1, high_ms, max(1, (high_ms - low_ms) // PROBES))
                commands: list[Command] = [("XRANGE", self._key, f"{ms}-0", "+", "COUNT", 1) for ms in times]
                for ms, reply in zip(times, await connection.execute(commands), strict=True):
                    entries = entries_of(reply, self._window.symbol, self._key)
                    found = entry_id(entries[0].id) if entries else None
                    if found is not None and found.number < first:
                        low_ms = max(low_ms, found.ms)
                    else:
                        high_ms = min(high_ms, ms)
        if low_ms < self._window.from_ms:
            return f"{self._window.from_ms}-0"
        return f"{low_ms}-{first}"

    async def _entry(self, connection: StoreConnection, command: str, start: str, end: str) -> EntryId | None:
        (reply,) = await connection.execute([(command, self._key, start, end, "COUNT", 1)])
        entries = entries_of(reply, self._window.symbol, self._key)
        return entry_id(entries[0].id) if entries else None
