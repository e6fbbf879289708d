"""The HTTP process reading PostgreSQL: two connections, opened when first asked, and bounded waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from data_collector.api.series.merge import SeriesPart, cut
from data_collector.api.series.window import Window
from data_collector.model.calendar import LATEST_MS
from data_collector.model.errors import Misconfigured, RowsRefused, SinkUnavailable, TablesMissing
from data_collector.model.grid import longest_ms
from data_collector.model.records import Kline, Sourced, Trade
from data_collector.sinks.postgres.copying import CopiedPage, CopyForm
from data_collector.sinks.postgres.failures import place_of
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.reading import LATE_MS, PostgresReader
from data_collector.time_limit import time_limit

CONNECTIONS = 2
"""The writer and the backfill need the others; two long answers at a time are enough."""

READ_TIMEOUT_S = 5.0
"""For a page, and for the server to go on with a statement whose reader has gone."""

LATEST_ID = 2**63 - 1
"""The largest number that PostgreSQL holds."""

PAUSE_S = 5.0
"""After a failure it counts as away for so long, so that not every answer waits for it."""


class PostgresAway(SinkUnavailable):
    """PostgreSQL cannot be read now."""


class PostgresReading:
    """One pool, for as long as the process runs."""

    def __init__(self, dsn: str, exchange: str) -> None:
        self.dsn = dsn
        self.exchange = exchange
        self._reader: PostgresReader | None = None
        self._terminate: Callable[[], None] | None = None
        self._opening = asyncio.Lock()
        self._away: tuple[float, str] | None = None
        """Until when (by the monotonic clock) it counts as away, and why."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[PostgresReader]:
        """A reader, for one page. Raises `PostgresAway`, also when the block takes too long."""
        if self._away is not None and time.monotonic() < self._away[0]:
            raise PostgresAway(self._away[1])
        try:
            async with time_limit(READ_TIMEOUT_S):
                yield await self._opened()
        except (RowsRefused, TablesMissing) as error:
            # Of this series alone, or until the writer that begins now has made them.
            raise PostgresAway(str(error)) from error
        except TimeoutError:
            raise self._gone(f"PostgreSQL has not answered within {READ_TIMEOUT_S:g} s.") from None
        except (Misconfigured, SinkUnavailable) as error:
            raise self._gone(str(error)) from error
        self._away = None

    @property
    def fault(self) -> str | None:
        """Why it could not be read when that was tried last."""
        return None if self._away is None else self._away[1]

    async def look(self) -> None:
        """Read nothing, unless it is known to be well."""
        if self._reader is None or self._away is not None:
            with suppress(PostgresAway):
                async with self.turn() as reader:
                    await reader.ping()

    def close(self) -> None:
        """Drop the connections."""
        if self._terminate is not None:
            self._terminate()

    async def _opened(self) -> PostgresReader:
        async with self._opening:
            if self._reader is None:
                pool = await open_pool(self.dsn, size=CONNECTIONS)
                self._terminate = pool.terminate
                self._reader = PostgresReader(
                    pool, self.exchange, place=place_of(self.dsn), statement_timeout_s=READ_TIMEOUT_S
                )
            return self._reader

    def _gone(self, sentence: str) -> PostgresAway:
        self._away = (time.monotonic() + PAUSE_S, sentence)
        return PostgresAway(sentence)


class PostgresKlines:
    """The `SeriesStore` of one symbol's klines of one interval in PostgreSQL."""

    def __init__(self, reading: PostgresReading, window: Window, form: CopyForm) -> None:
        """`form` is that of what is copied."""
        self._reading = reading
        self._window = window
        self._form = form

    async def first_place(self) -> int | None:
        """The oldest open time."""
        async with self._reading.turn() as reader:
            span = await reader.span(self._window.symbol, self._window.interval)
        return None if span is None else span[0]

    async def oldest_ms(self) -> int | None:
        """The oldest open time: of klines it is the place too."""
        return await self.first_place()

    async def page(self, first: int, limit: int) -> SeriesPart[Sourced[Kline]]:
        """Klines of the window that open at `first` or later."""
        window = self._window
        first = max(first, window.from_ms)
        if first >= window.to_ms:
            return SeriesPart([])
        async with self._reading.turn() as reader:
            klines = await reader.sourced_klines(window.symbol, window.interval, first, window.to_ms, limit + 1)
        return cut([(each.record.open_ms, each) for each in klines], limit)

    async def newest(self, limit: int) -> list[tuple[int, Sourced[Kline]]]:
        """The last klines."""
        async with self._reading.turn() as reader:
            klines = await reader.newest_klines(self._window.symbol, self._window.interval, limit)
        return [(each.record.open_ms, each) for each in klines]

    async def copied(self, first: int, limit: int, solid_from: int | None) -> CopiedPage:
        """Klines of the window that open at `first` or later."""
        window = self._window
        async with self._reading.turn() as reader:
            return await reader.copier(self._form).klines(
                window.symbol, window.interval, range(max(first, window.from_ms), window.to_ms), limit,
                step_ms=longest_ms(window.interval), solid_from=solid_from,
            )  # fmt: skip


class PostgresTrades:
    """The `SeriesStore` of one symbol's trades in PostgreSQL."""

    def __init__(self, reading: PostgresReading, window: Window, form: CopyForm) -> None:
        """`form` is that of what is copied."""
        self._reading = reading
        self._window = window
        self._form = form
        self._ids: range | None = None

    async def first_place(self) -> int | None:
        """Id of the oldest trade."""
        async with self._reading.turn() as reader:
            span = await reader.in_epoch(self._window.epoch).trade_span(self._window.symbol)
        return None if span is None else span[0]

    async def oldest_ms(self) -> int | None:
        """Time of the oldest trade."""
        symbol = self._window.symbol
        async with self._reading.turn() as every:
            reader = every.in_epoch(self._window.epoch)
            span = await reader.trade_span(symbol)
            found = [] if span is None else await reader.trades_by_id(symbol, span[0], span[0], 1)
        return found[0].time_ms if found else None

    async def page(self, first: int, limit: int) -> SeriesPart[Sourced[Trade]]:
        """Trades of the window with ids from `first` on."""
        async with self._reading.turn() as reader:
            trades = await self._trades(reader.in_epoch(self._window.epoch), first, limit + 1)
        return cut([(each.record.trade_id, each) for each in trades], limit)

    async def newest(self, limit: int) -> list[tuple[int, Sourced[Trade]]]:
        """The last trades of the epoch."""
        async with self._reading.turn() as reader:
            trades = await reader.in_epoch(self._window.epoch).newest_trades(self._window.symbol, limit)
        return [(each.record.trade_id, each) for each in trades]

    async def copied(self, first: int, limit: int, solid_from: int | None) -> CopiedPage:
        """Trades of the window with ids from `first` on."""
        window = self._window
        async with self._reading.turn() as every:
            reader = every.in_epoch(window.epoch)
            if self._ids is None:
                self._ids = await self._found_ids(reader)
            ids = range(max(first, self._ids.start), self._ids.stop)
            if solid_from is not None and first < ids.start and solid_from < ids.start:
                # What was made in time, and is not here, can stand before.
                return CopiedPage(b"", 0, None, None, first, goes_on=False)
            return await reader.copier(self._form).trades(
                window.symbol, window.epoch, ids, range(window.from_ms, window.to_ms), limit, solid_from=solid_from
            )

    async def _found_ids(self, reader: PostgresReader) -> range:
        """Those of the window, so that no query looks for times among all trades."""
        window, begin, end = self._window, None, None
        if window.from_ms > 0:
            begin = await reader.first_id(window.symbol, window.from_ms)
        if window.to_ms < LATEST_MS:
            end = await reader.first_id(window.symbol, window.to_ms + LATE_MS)
        return range(begin or 0, LATEST_ID if end is None else end)

    async def _trades(self, reader: PostgresReader, first: int, limit: int) -> list[Sourced[Trade]]:
        """A page that goes on behind another is found by its id, which is much quicker than by time."""
        window = self._window
        if first > 0 or window.from_ms == 0:
            found = await reader.sourced_trades_by_id(window.symbol, first, LATEST_ID, limit)
            if all(window.holds(each.record.time_ms) for each in found):
                return found
        after_id = first - 1 if first > 0 else None
        return await reader.sourced_trades(window.symbol, window.from_ms, window.to_ms, limit, after_id=after_id)
