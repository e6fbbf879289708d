"""Klines of the store: the `kline:` keys of the open times at which one can stand, and what outlived them in `stream:`.

Keys are asked for by name, because `stream:` holds the klines of all intervals and cannot be searched by open time.
Where keys expire sooner than the stream is trimmed, the stream's beginning is read too, and `late:`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from msgspec import Struct

from data_collector.api.series.merge import SeriesPart, cut, united
from data_collector.api.series.window import Window
from data_collector.api.store_reading import StoreReading
from data_collector.model.calendar import DAY_MS, LATEST_MS, LENGTHS_MS, UtcCalendar
from data_collector.model.grid import longest_ms
from data_collector.model.keys import StoreKeys
from data_collector.model.records import Kline, Sourced
from data_collector.model.wire import open_time_text
from data_collector.sinks.redis.connection import Command, StoreConnection
from data_collector.sinks.redis.entries import (
    entries_of,
    entry_id,
    kline_of,
    origin_of,
    origin_of_text,
    pages_of,
    texts_told,
)
from data_collector.sinks.redis.stored_records import due_open_ms, kline_or_none

KEYS_PER_COMMAND = 250
"""The server answers nobody else meanwhile: some 50 µs."""

KEYS_PER_BATCH = 1000
"""Decoded between two looks at other requests."""

KEYS_PER_PAGE = 20_000
"""Asked for on one page: where most klines are missing, a page ends early and tells where to go on."""

FILLED_AT_START = 501
"""A start fetches the newest 500 closed klines into the keys, however long their interval is."""

AHEAD = 64
"""Intervals after the newest closed kline in which an open one can stand while those between are repaired."""

STREAM_PAGE_ENTRIES = 1000

_CALENDAR = UtcCalendar()


class Keeping(Struct, frozen=True):
    """How long the collector keeps klines in Redis, by its settings."""

    key_life_s: int
    catch_up_s: int
    """A restart fills in closed klines that are so old."""


class _State(Struct, frozen=True):
    """What the store tells of a series before any of its klines is read."""

    due_ms: int | None
    """Open time of the closed kline that comes next; None before the first."""
    now_ms: int
    """By the store's clock, which its expiry goes by."""
    stream_first_ms: int | None
    """When the oldest entry of `stream:` was written; None without one."""


class RedisKlines:
    """The `SeriesStore` of one symbol's closed klines of one interval in Redis."""

    def __init__(
        self, store: StoreReading, store_url: str, keys: StoreKeys, window: Window, keeping: Keeping,
        *, with_origin: bool,
    ) -> None:  # fmt: skip
        """Without `with_origin` all seem to be from the stream: where they are from takes as many keys again."""
        self._store = store
        self._store_url = store_url
        self._keys = keys
        self._window = window
        self._keeping = keeping
        self._with_origin = with_origin
        self.open: Sourced[Kline] | None = None
        """The newest kline that is not closed, of those that were come across so far."""

    async def first_place(self) -> int | None:
        """The oldest open time that a key or an entry can have, by the expiry."""
        async with self._store.turn(self._store_url) as connection:
            state = await self._state(connection)
        if state.due_ms is None and state.stream_first_ms is None:
            return None
        oldest_ms = self._oldest_key_ms(state)
        if state.stream_first_ms is None or not self._outlived(state):
            return oldest_ms
        written_ms = state.stream_first_ms - longest_ms(self._window.interval)
        return max(0, min(oldest_ms, written_ms - 1000 * self._keeping.catch_up_s))

    async def oldest_ms(self) -> int | None:
        """The oldest open time that the expiry can have left: what it has left is not searched for."""
        return await self.first_place()

    async def page(self, first: int, limit: int) -> SeriesPart[Sourced[Kline]]:
        """Closed klines of the window that open at `first` or later."""
        first = max(first, self._window.from_ms)
        async with self._store.turn(self._store_url) as connection:
            state = await self._state(connection)
            keys = await self._of_keys(connection, state, max(first, self._oldest_key_ms(state)), limit)
            if not self._outlived(state):
                return keys
            outlived = await self._of_stream(connection, state, first, limit)
            corrected = await self._of_late(connection, first, limit)
            return united(keys, united(corrected, outlived, limit), limit)

    async def newest(self, limit: int) -> list[tuple[int, Sourced[Kline]]]:
        """The last closed klines, whenever the window ends."""
        async with self._store.turn(self._store_url) as connection:
            state = await self._state(connection)
            places = self._places(state, self._oldest_key_ms(state), LATEST_MS)
            rows: list[tuple[int, Sourced[Kline]]] = []
            until, size = len(places), min(KEYS_PER_BATCH, limit + AHEAD)
            while until > 0 and len(rows) < limit:
                begin = max(0, until - size)
                rows = await self._at(connection, places[begin:until]) + rows
                until = begin
            if len(rows) < limit and self._outlived(state):
                outlived = await self._of_stream(connection, state, 0, sys.maxsize)
                corrected = await self._of_late(connection, 0, sys.maxsize)
                rows = united(SeriesPart(rows), united(corrected, outlived, sys.maxsize), sys.maxsize).rows
        return rows[-limit:]

    async def _state(self, connection: StoreConnection) -> _State:
        window, stream = self._window, self._keys.key("stream", self._window.symbol)
        cursor, time, oldest = await connection.execute([
            ("HGET", self._keys.cursors(window.symbol), window.interval),
            ("TIME",),
            ("XRANGE", stream, "-", "+", "COUNT", 1),
        ])  # fmt: skip
        seconds, microseconds = texts_told(time, "its clock", 2)
        now_ms = int(seconds or 0) * 1000 + int(microseconds or 0) // 1000
        due_ms = due_open_ms(cursor, now_ms)
        entries = entries_of(oldest, window.symbol, stream)
        return _State(
            None if due_ms is None or due_ms < 0 else due_ms,
            now_ms,
            entry_id(entries[0].id).ms if entries else None,
        )

    def _oldest_key_ms(self, state: _State) -> int:
        """Keys live from their last write on; what a start fills in is older than that by so many klines."""
        newest_ms = state.now_ms if state.due_ms is None else min(state.now_ms, state.due_ms)
        filled_ms = newest_ms - FILLED_AT_START * longest_ms(self._window.interval)
        filled_ms = min(filled_ms, newest_ms - 1000 * self._keeping.catch_up_s)
        return max(0, filled_ms - 1000 * self._keeping.key_life_s)

    def _outlived(self, state: _State) -> bool:
        """Whether `stream:` can hold klines whose keys have expired."""
        return state.stream_first_ms is not None and state.stream_first_ms <= self._expired_ms(state)

    def _expired_ms(self, state: _State) -> int:
        return state.now_ms - 1000 * self._keeping.key_life_s

    async def _of_keys(
        self, connection: StoreConnection, state: _State, first: int, limit: int
    ) -> SeriesPart[Sourced[Kline]]:
        places = self._places(state, first, self._window.to_ms)
        rows: list[tuple[int, Sourced[Kline]]] = []
        asked, size = 0, limit + 1
        while asked < min(KEYS_PER_PAGE, len(places)) and len(rows) <= limit:
            wanted = places[asked : asked + min(size, KEYS_PER_BATCH)]
            rows += await self._at(connection, wanted)
            asked, size = asked + len(wanted), 2 * size
        if len(rows) > limit or asked == len(places):
            return cut(rows, limit)
        return SeriesPart(rows, places[asked])

    def _places(self, state: _State, first: int, to_ms: int) -> Sequence[int]:
        """Open times from `first` on, up to `to_ms`, at which a key can stand."""
        newest_ms = state.now_ms if state.due_ms is None else state.due_ms
        end = min(to_ms, newest_ms + AHEAD * longest_ms(self._window.interval))
        return _open_times(self._window.interval, first, end, state.due_ms)

    async def _at(self, connection: StoreConnection, places: Sequence[int]) -> list[tuple[int, Sourced[Kline]]]:
        """Closed klines of these open times."""
        rows: list[tuple[int, Sourced[Kline]]] = []
        for place, (text, origin) in zip(places, await self._texts(connection, places), strict=True):
            kline = None if text is None else kline_or_none(text, _CALENDAR)
            if kline is None:
                continue
            sourced = Sourced(kline, origin_of_text(origin))
            if kline.is_closed:
                rows.append((place, sourced))
            elif self.open is None or place > self.open.record.open_ms:
                self.open = sourced
        return rows

    async def _texts(self, connection: StoreConnection, places: Sequence[int]) -> list[tuple[str | None, str | None]]:
        """Of each place the record, and what stands beside it."""
        series = self._window.symbol, self._window.interval
        key, texts_of = self._keys.kline(*series, ""), [open_time_text(place) for place in places]
        names = [key + text for text in texts_of]
        if self._with_origin:
            names += [self._keys.origin(*series, text) for text in texts_of]
        commands: list[Command] = [
            ("MGET", *names[start : start + KEYS_PER_COMMAND]) for start in range(0, len(names), KEYS_PER_COMMAND)
        ]
        texts: list[str | None] = []
        for command, reply in zip(commands, await connection.execute(commands), strict=True):
            texts += texts_told(reply, f"{key}…", len(command) - 1)
        count = len(places)
        return list(zip(texts[:count], texts[count:] or [None] * count, strict=True))

    async def _of_stream(
        self, connection: StoreConnection, state: _State, first: int, limit: int
    ) -> SeriesPart[Sourced[Kline]]:
        """Those whose keys have expired. Within an interval they stand in the order of their open times."""
        window, key = self._window, self._keys.key("stream", self._window.symbol)
        rows: list[tuple[int, Sourced[Kline]]] = []
        until = str(self._expired_ms(state))
        async for entries in pages_of(connection, key, window.symbol, STREAM_PAGE_ENTRIES, end=until):
            for entry in entries:
                kline = kline_of(entry, _CALENDAR)
                if kline is None or not kline.is_closed or kline.interval != window.interval:
                    continue
                # A record that a fail-over brought back stands there twice.
                is_new = not rows or kline.open_ms > rows[-1][0]
                if kline.open_ms >= first and window.holds(kline.open_ms) and is_new:
                    rows.append((kline.open_ms, Sourced(kline, origin_of(entry.fields))))
            if len(rows) > limit:
                break
        return cut(rows, limit)

    async def _of_late(self, connection: StoreConnection, first: int, limit: int) -> SeriesPart[Sourced[Kline]]:
        """Those that came, or were corrected, when their place in `stream:` was past: `late:` outlives their keys."""
        window, key = self._window, self._keys.key("late", self._window.symbol)
        found: dict[int, Sourced[Kline]] = {}
        async for entries in pages_of(connection, key, window.symbol, STREAM_PAGE_ENTRIES):
            for entry in entries:
                kline = kline_of(entry, _CALENDAR)
                if kline is not None and kline.is_closed and kline.interval == window.interval:
                    found[kline.open_ms] = Sourced(kline, origin_of(entry.fields))
        return cut([(ms, found[ms]) for ms in sorted(found) if ms >= first and window.holds(ms)], limit)


def _open_times(interval: str, first_ms: int, end_ms: int, anchor_ms: int | None) -> Sequence[int]:
    """At which a kline can stand: rising, from `first_ms` up to `end_ms` (not included).

    `anchor_ms` is an open time that the exchange sent. Without it, weeks and `3d` can open on any midnight.
    """
    if interval == "1M":
        return _months(first_ms, end_ms)
    length_ms = LENGTHS_MS[interval]
    step_ms = min(length_ms, DAY_MS) if anchor_ms is None else length_ms
    phase_ms = (anchor_ms or 0) % step_ms
    return range(first_ms + (phase_ms - first_ms) % step_ms, end_ms, step_ms)


def _months(first_ms: int, end_ms: int) -> list[int]:
    found: list[int] = []
    place = first_ms + (-first_ms) % DAY_MS
    while place < end_ms:
        if _CALENDAR.is_open_time("1M", place):
            found.append(place)
            place = _CALENDAR.next_open_ms("1M", place)
        else:
            place += DAY_MS
    return found
