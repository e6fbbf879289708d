"""One series out of PostgreSQL and Redis, also while one of them is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Generic

from msgspec import Struct

from data_collector.api.series.merge import Row, SeriesPart, SeriesStore, united_page
from data_collector.api.series.postgres import PostgresAway, PostgresKlines, PostgresReading, PostgresTrades
from data_collector.api.series.redis_klines import Keeping, RedisKlines
from data_collector.api.series.redis_trades import RedisTrades, redis_epochs
from data_collector.api.series.window import Window
from data_collector.api.store_reading import StoreReading
from data_collector.model.calendar import LATEST_MS
from data_collector.model.errors import SinkUnavailable
from data_collector.model.keys import StoreKeys
from data_collector.model.records import Kline, Sourced, Trade
from data_collector.model.status import Snapshot
from data_collector.settings import Settings
from data_collector.settings.texts import EMBEDDED
from data_collector.time_limit import time_limit

PAGES_AT_ONCE = 4
"""Each holds a few MB, and the stores take two at a time anyway."""

TURN_TIMEOUT_S = 5.0

EXCHANGE = "binance"
"""What rows in PostgreSQL are marked with."""

LOOK_S = 5.0

EMBEDDED_AWAITED = "The embedded PostgreSQL does not take logins yet ({reason}); /health tells more."
NOT_KNOWN = "The store is not known yet; /health says what it waits for."


class Place(Struct, frozen=True):
    """Where the stores are."""

    store_url: str | None
    """None while it is not known."""
    keys: StoreKeys
    """What every key in Redis begins with."""
    database_url: str | None
    """None without PostgreSQL, or while the embedded one is not up."""
    database_awaited: str | None = None
    """Why there is no address of a database that there is to be."""


class Page(Struct, Generic[Row]):
    """What both stores hold of a stretch of a series."""

    rows: list[Row]
    end: int | None
    """Place (trade id, or open time in ms) at which the next page begins; None when nothing follows now."""
    oldest_ms: int | None
    """Nothing before this time is held; None when nothing of the symbol is held at all."""
    stores: list[str]
    """Which were read."""
    warnings: list[str]
    """What it may lack, because a store is away."""


class SeriesReading:
    """Reads pages; a few at a time, others wait."""

    def __init__(self, settings: Settings, store: StoreReading) -> None:
        self._settings = settings
        self._store = store
        self._postgres: PostgresReading | None = None
        self._turns = asyncio.Semaphore(PAGES_AT_ONCE)

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

    async def trades(self, place: Place, window: Window, first: int, limit: int) -> Page[Sourced[Trade]]:
        """Trades with ids from `first` on. Raises `SinkUnavailable` when no store can be read."""
        redis, postgres = None, self._database(place)
        if place.store_url is not None:
            redis = RedisTrades(self._store, place.store_url, place.keys, window)
        return await _page(redis, None if postgres is None else PostgresTrades(postgres, window), place, first, limit)

    async def klines(
        self, place: Place, window: Window, limit: int, *, with_open: bool, with_origin: bool
    ) -> Page[Sourced[Kline]]:
        """Klines of the window, at its end the one that is not closed if wanted. Raises as `trades`.

        Where those of Redis are from is read only `with_origin`.
        """
        redis, postgres = None, self._database(place)
        if place.store_url is not None:
            keeping = Keeping(self._settings.kline_ttl_s(window.interval), self._settings.catch_up_seconds)
            redis = RedisKlines(self._store, place.store_url, place.keys, window, keeping, with_origin=with_origin)
        klines = None if postgres is None else PostgresKlines(postgres, window)
        page = await _page(redis, klines, place, window.from_ms, limit)
        if with_open and page.end is None and redis is not None:
            _add_open(page, redis.open, window, limit)
        if page.oldest_ms is not None and window.from_ms <= page.oldest_ms:
            # Not what the expiry can have left, but what it has.
            if page.rows:
                page.oldest_ms = page.rows[0].record.open_ms
            elif page.end is None and window.to_ms == LATEST_MS:
                page.oldest_ms = None
        return page

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
        return Place(snapshot.store_url, snapshot.store_keys, url, awaited)

    def close(self) -> None:
        """Drop the connections to PostgreSQL; those to Redis are others' too."""
        if self._postgres is not None:
            self._postgres.close()

    def _database(self, place: Place) -> PostgresReading | None:
        """Opened anew when the address changes; None where there is none, or none yet."""
        if self._postgres is not None and self._postgres.dsn != place.database_url:
            self._postgres.close()
            self._postgres = None
        if self._postgres is None and place.database_url is not None:
            self._postgres = PostgresReading(place.database_url, EXCHANGE)
        return self._postgres


async def _page(
    redis: SeriesStore[Row] | None, postgres: SeriesStore[Row] | None, place: Place, first: int, limit: int
) -> Page[Row]:
    faults = [] if place.database_awaited is None else [place.database_awaited]
    if redis is None:
        faults.append(NOT_KNOWN)
    part: SeriesPart[Row] | None = None
    oldest: list[int] = []
    while part is None:
        if redis is None and postgres is None:
            raise SinkUnavailable(" ".join(faults))
        try:
            part = await united_page(redis, postgres, first, limit)
            oldest = [found for each in (redis, postgres) if each and (found := await each.oldest_ms()) is not None]
        except SinkUnavailable as error:
            part = None
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
    rows = [row for _, row in part.rows]
    stores = [name for name, store in (("postgresql", postgres), ("redis", redis)) if store is not None]
    return Page(rows, part.end, min(oldest, default=None), stores, warnings)


def _add_open(page: Page[Sourced[Kline]], kline: Sourced[Kline] | None, window: Window, limit: int) -> None:
    """Behind the closed ones; one that lies before the newest of them was never closed in Redis."""
    newest_ms = page.rows[-1].record.open_ms if page.rows else window.from_ms - 1
    if kline is None or kline.record.open_ms <= newest_ms or not window.holds(kline.record.open_ms):
        return
    if len(page.rows) < limit:
        page.rows.append(kline)
    else:
        page.end = kline.record.open_ms
