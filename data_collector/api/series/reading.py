"""One series out of PostgreSQL and Redis, also while one of them is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Generic, TypeVar

from msgspec import Struct

from data_collector.api.series.merge import (
    CopyingStore,
    Row,
    SeriesPart,
    SeriesStore,
    united_newest,
    united_page,
)
from data_collector.api.series.postgres import PostgresAway, PostgresKlines, PostgresReading, PostgresTrades
from data_collector.api.series.redis_klines import Keeping, RedisKlines
from data_collector.api.series.redis_trades import RedisTrades, redis_epochs
from data_collector.api.series.seam import Hole, hole_between
from data_collector.api.series.stretches import Piece, copied_part, pieces_of
from data_collector.api.series.window import Window
from data_collector.api.store_reading import StoreReading
from data_collector.model.calendar import LATEST_MS
from data_collector.model.errors import SinkUnavailable
from data_collector.model.keys import StoreKeys
from data_collector.model.records import Kline, Sourced, Trade
from data_collector.model.status import Snapshot
from data_collector.settings import Settings
from data_collector.settings.texts import EMBEDDED
from data_collector.sinks.postgres.copying import CopyForm
from data_collector.time_limit import time_limit

Found = TypeVar("Found")

PAGES_AT_ONCE = 4
"""Each holds a few MB, and the stores take two at a time anyway."""

TURN_TIMEOUT_S = 5.0

LOOK_S = 5.0

EMBEDDED_AWAITED = "The embedded PostgreSQL does not take logins yet ({reason}); /health tells more."
NOT_KNOWN = "The store is not known yet; /health says what it waits for."


class Place(Struct, frozen=True):
    """Where the stores are, and what is read of them."""

    exchange: str
    """What rows in PostgreSQL are marked with."""

    store_url: str | None
    """None while it is not known."""
    keys: StoreKeys
    """What every key in Redis begins with."""
    database_url: str | None
    """None without PostgreSQL, or while the embedded one is not up."""
    database_awaited: str | None = None
    """Why there is no address of a database that there is to be."""


class Told(Struct):
    """What is told beside the rows."""

    oldest_ms: int | None
    """Nothing before this time is held; None when nothing of the symbol is held at all."""
    stores: list[str]
    """Which were read."""
    warnings: list[str]
    """What it may lack, because a store is away."""


class Page(Told, Generic[Row]):
    """What both stores hold of a stretch of a series."""

    rows: list[Row]
    end: int | None
    """Place (trade id, or open time in ms) at which the next page begins; None when nothing follows now."""
    text: bytes = b""
    """In place of `rows`: lines of CSV that PostgreSQL wrote."""
    first: int | None = None
    """With `text`: the place of the first row."""


class Range(Told, Generic[Row]):
    """A stretch of a series that may be long."""

    pieces: AsyncGenerator[Piece[Row], None]
    """Raises `SinkUnavailable` when a store goes away in between."""


class SeriesReading:
    """Reads pages; a few at a time, others wait."""

    def __init__(self, settings: Settings, store: StoreReading) -> None:
        self._settings = settings
        self._store = store
        self._postgres: PostgresReading | None = None
        self._turns = asyncio.Semaphore(PAGES_AT_ONCE)
        self._copying = asyncio.Lock()
        """Of all ranges one piece is read at a time: the feed needs the machine too."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """For one answer, from reading to writing it. Raises `SinkUnavailable` when too many wait."""
        try:
            async with time_limit(TURN_TIMEOUT_S):
                await self._turns.acquire()
        except TimeoutError:
            raise SinkUnavailable("Too many pages of records are being read; come back in a moment.") from None
        try:
            yield
        finally:
            self._turns.release()

    async def epochs(self, place: Place, symbol: str) -> list[int]:
        """Those of a symbol's trades that can be read now, rising; never empty. A store that is away tells none."""
        found = {0}
        postgres = self._database(place)
        if place.store_url is not None:
            with suppress(SinkUnavailable):
                found |= set(await redis_epochs(self._store, place.store_url, place.keys, symbol))
        if postgres is not None:
            with suppress(SinkUnavailable):
                async with postgres.turn() as reader:
                    found |= set(await reader.epochs(symbol))
        return sorted(found)

    async def trades(
        self, place: Place, window: Window, first: int | None, limit: int, form: CopyForm | None
    ) -> Page[Sourced[Trade]]:  # fmt: skip
        """Trades with ids from `first` on; None: the newest. Raises `SinkUnavailable` when no store can be read.

        With a `form` PostgreSQL writes the page, if it holds all of it.
        """
        redis, postgres = self._trades_of(place, window, form or CopyForm())
        return await _page(redis, postgres, place, window, first, limit, is_copied=form is not None)

    async def trade_range(
        self, place: Place, window: Window, first: int, form: CopyForm
    ) -> Range[Sourced[Trade]]:  # fmt: skip
        """All trades with ids from `first` on. Raises as `trades`."""
        redis, postgres = self._trades_of(place, window, form)
        found, _ = await self._range(redis, postgres, place, window, first)
        return found

    async def klines(
        self, place: Place, window: Window, first: int | None, limit: int, form: CopyForm | None, *, with_open: bool,
        with_origin: bool,
    ) -> Page[Sourced[Kline]]:  # fmt: skip
        """Klines that open at `first` or later, at the end the one that is not closed if wanted. Raises as `trades`.

        None: the newest. Where those of Redis are from is read only `with_origin`.
        """
        redis, postgres = self._klines_of(place, window, form or CopyForm(with_origin))
        page = await _page(redis, postgres, place, window, first, limit, is_copied=form is not None)
        is_whole = page.end is None and (first is not None or len(page.rows) < limit)
        if with_open and page.end is None and redis is not None:
            _add_open(page, redis.open, window, limit, moves=first is None)
        if first is not None or is_whole:
            first_ms = page.rows[0].record.open_ms if page.rows else page.first
            page.oldest_ms = _oldest_ms(page.oldest_ms, window, first_ms, is_end=page.end is None)
        return page

    async def kline_range(
        self, place: Place, window: Window, form: CopyForm, *, with_open: bool
    ) -> Range[Sourced[Kline]]:  # fmt: skip
        """All klines of the window. Raises and is told as `klines`."""
        redis, postgres = self._klines_of(place, window, form)
        found, begin = await self._range(redis, postgres, place, window, window.from_ms)
        found.oldest_ms = _oldest_ms(found.oldest_ms, window, begin.first, is_end=begin.is_end)
        if with_open and redis is not None:
            found.pieces = _with_open(found.pieces, redis, window)
        return found

    @property
    def fault(self) -> str | None:
        """Why `klines` and `trades` lack what PostgreSQL holds; None when they do not, or while that is not known."""
        return None if self._postgres is None else self._postgres.fault

    async def watch(self, status: Callable[[], Awaitable[Snapshot]]) -> None:
        """Look whether PostgreSQL can be read, for as long as that is not so: nobody may ask for a page for days."""
        while True:
            postgres = self._database(self.place(await status()))
            if postgres is not None:
                await postgres.look()
            await asyncio.sleep(LOOK_S)

    def place(self, snapshot: Snapshot) -> Place:
        """Where the stores are; the embedded database is known once it runs."""
        setting = self._settings.database_url
        url, awaited = None if setting is None else setting.get_secret_value(), None
        if url == EMBEDDED:
            url = snapshot.database_url
            awaited = EMBEDDED_AWAITED.format(reason=snapshot.history.reason or "unknown") if url is None else None
        exchange = snapshot.exchange or self._settings.exchange
        return Place(exchange, snapshot.store_url, snapshot.store_keys, url, awaited)

    def close(self) -> None:
        """Drop the connections to PostgreSQL; those to Redis are others' too."""
        if self._postgres is not None:
            self._postgres.close()

    def _trades_of(
        self, place: Place, window: Window, form: CopyForm
    ) -> tuple[RedisTrades | None, PostgresTrades | None]:
        redis, postgres = None, self._database(place)
        if place.store_url is not None:
            redis = RedisTrades(self._store, place.store_url, place.keys, window)
        return redis, None if postgres is None else PostgresTrades(postgres, window, form)

    def _klines_of(
        self, place: Place, window: Window, form: CopyForm
    ) -> tuple[RedisKlines | None, PostgresKlines | None]:
        redis, postgres = None, self._database(place)
        if place.store_url is not None:
            keeping = Keeping(self._settings.kline_ttl_s(window.interval), self._settings.catch_up_seconds)
            redis = RedisKlines(self._store, place.store_url, place.keys, window, keeping, with_origin=form.with_origin)
        return redis, None if postgres is None else PostgresKlines(postgres, window, form)

    async def _range(
        self, redis: SeriesStore[Row] | None, postgres: CopyingStore[Row] | None, place: Place, window: Window,
        first: int,
    ) -> tuple[Range[Row], Piece[Row]]:  # fmt: skip
        """And its first piece, which has been read."""

        async def begun(
            redis: SeriesStore[Row] | None, postgres: CopyingStore[Row] | None
        ) -> tuple[Piece[Row], AsyncIterator[Piece[Row]], Hole | None]:
            pieces = pieces_of(redis, postgres, first)
            return await anext(pieces), pieces, await hole_between(redis, postgres, window, first)

        (begin, others, hole), told = await _read(redis, postgres, place, begun)
        told.warnings += [] if hole is None else [hole.sentence(window)]
        return Range(told.oldest_ms, told.stores, told.warnings, self._in_turns(begin, others)), begin

    async def _in_turns(self, begin: Piece[Row], others: AsyncIterator[Piece[Row]]) -> AsyncGenerator[Piece[Row], None]:
        yield begin
        while True:
            async with self._copying:
                piece = await anext(others, None)
            if piece is None:
                return
            yield piece

    def _database(self, place: Place) -> PostgresReading | None:
        """Opened anew when the address changes; None where there is none, or none yet."""
        found = self._postgres
        if found is not None and (found.dsn, found.exchange) != (place.database_url, place.exchange):
            found.close()
            self._postgres = None
        if self._postgres is None and place.database_url is not None:
            self._postgres = PostgresReading(place.database_url, place.exchange)
        return self._postgres


async def _page(
    redis: SeriesStore[Row] | None, postgres: CopyingStore[Row] | None, place: Place, window: Window,
    first: int | None, limit: int, *, is_copied: bool,
) -> Page[Row]:  # fmt: skip
    async def read(
        redis: SeriesStore[Row] | None, postgres: CopyingStore[Row] | None
    ) -> tuple[SeriesPart[Row], Hole | None]:
        if first is None:
            part = await united_newest(redis, postgres, limit)
            begin = part.rows[0][0] if len(part.rows) == limit else 0
        else:
            begin = first
            copied = await copied_part(redis, postgres, first, limit) if is_copied and postgres is not None else None
            part = await united_page(redis, postgres, first, limit) if copied is None else copied
        return part, await hole_between(redis, postgres, window, begin, part.end)

    (part, hole), told = await _read(redis, postgres, place, read)
    told.warnings += [] if hole is None else [hole.sentence(window)]
    rows = [row for _, row in part.rows]
    return Page(told.oldest_ms, told.stores, told.warnings, rows, part.end, part.text, part.first)


async def _read(
    redis: SeriesStore[Row] | None,
    postgres: CopyingStore[Row] | None,
    place: Place,
    read: Callable[[SeriesStore[Row] | None, CopyingStore[Row] | None], Awaitable[Found]],
) -> tuple[Found, Told]:
    """What can be read; without a store that is away, as long as there is another."""
    faults = [] if place.database_awaited is None else [place.database_awaited]
    if redis is None:
        faults.append(NOT_KNOWN)
    while True:
        if redis is None and postgres is None:
            raise SinkUnavailable(" ".join(faults))
        try:
            found = await read(redis, postgres)
            oldest = [ms for each in (redis, postgres) if each and (ms := await each.oldest_ms()) is not None]
            break
        except SinkUnavailable as error:
            faults.append(str(error))
            if isinstance(error, PostgresAway):
                postgres = None
            else:
                redis = None
    warnings = []
    if redis is None:
        warnings.append(f"The newest records may be missing, Redis is away: {' '.join(faults)}")
    elif faults:
        warnings.append(f"Older records may be missing, PostgreSQL is away: {' '.join(faults)}")
    stores = [name for name, store in (("postgresql", postgres), ("redis", redis)) if store is not None]
    return found, Told(min(oldest, default=None), stores, warnings)


def _oldest_ms(estimate_ms: int | None, window: Window, first_ms: int | None, *, is_end: bool) -> int | None:
    """Of klines, not what the expiry can have left, but what it has."""
    if estimate_ms is None or window.from_ms > estimate_ms:
        return estimate_ms
    return None if first_ms is None and is_end and window.to_ms == LATEST_MS else first_ms or estimate_ms


async def _with_open(
    pieces: AsyncGenerator[Piece[Sourced[Kline]], None], redis: RedisKlines, window: Window
) -> AsyncGenerator[Piece[Sourced[Kline]], None]:
    newest_ms = window.from_ms - 1
    async with aclosing(pieces):
        async for piece in pieces:
            newest_ms = newest_ms if piece.last is None else piece.last
            yield piece
    if redis.open is not None and _is_open_one(redis.open, newest_ms, window):
        yield Piece([redis.open], b"", redis.open.record.open_ms, redis.open.record.open_ms)


def _add_open(
    page: Page[Sourced[Kline]], kline: Sourced[Kline] | None, window: Window, limit: int, *, moves: bool
) -> None:
    """`moves`: whether the oldest one makes place, or there is to be one more page."""
    newest_ms = page.rows[-1].record.open_ms if page.rows else window.from_ms - 1
    if kline is None or not _is_open_one(kline, newest_ms, window):
        return
    if len(page.rows) < limit or moves:
        page.rows = [*page.rows, kline][-limit:]
    else:
        page.end = kline.record.open_ms


def _is_open_one(kline: Sourced[Kline], newest_ms: int, window: Window) -> bool:
    """Behind the closed ones; one that lies before the newest of them was never closed in Redis."""
    return kline.record.open_ms > newest_ms and window.holds(kline.record.open_ms)
