"""The live writer's side of PostgreSQL: rows and the cursors that were behind them, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import asyncpg

from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Sourced, Ticker, Trade
from data_collector.sinks.postgres import statements
from data_collector.sinks.postgres.believing import demand_columns, put_gaps
from data_collector.sinks.postgres.failures import named_failures, place_of
from data_collector.sinks.postgres.forgetting import (
    OF_KLINES,
    OldSeries,
    OldTable,
    delete_oldest,
    old_series,
)
from data_collector.sinks.postgres.hypertables import drop_old_chunks, layout_of
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.rights import Rights, demand_rights, rights_to_forget
from data_collector.sinks.postgres.suitability import unfit_symbols
from data_collector.sinks.postgres.writing import KLINES, LIVE, TRADES, Written, gap_row, put, put_tickers

LOCK_TIMEOUT_S = 5
"""A table that somebody locks is told soon; nothing is lost, since the store keeps what waits."""


class FollowedDatabase:
    """One connection, opened with `open`. Methods raise `SinkUnavailable` and `Misconfigured`."""

    def __init__(self, pool: asyncpg.Pool, dsn: str, exchange: str, store: str) -> None:
        self._pool = pool
        self._place = place_of(dsn)
        self._exchange = exchange
        # Another store has other entries under the same ids: its writer must not go on where this one's is.
        self._prefix = f"{store} " if store else ""

    @classmethod
    async def open(
        cls, dsn: str, exchange: str, rights: Rights | None = None, *, store: str = "",
        tell: Callable[[str], None] | None = None,
    ) -> FollowedDatabase:  # fmt: skip
        """Connect, bring the tables up to date, and see whether `rights` are there.

        `store` tells apart which store the cursors are of; `tell` is that of `migrate`.
        """
        pool = await open_pool(dsn, size=1)
        try:
            with named_failures(place_of(dsn)):
                async with pool.acquire() as connection:
                    await migrate(connection, tell)
                    await demand_rights(connection, rights or {})
                    await demand_columns(connection)
        except BaseException:
            pool.terminate()
            raise
        return cls(pool, dsn, exchange, store)

    def close(self) -> None:
        """Drop the connection; a transaction under way is rolled back."""
        self._pool.terminate()

    async def unfit(self, symbols: Iterable[str]) -> dict[str, str]:
        """Symbols whose names the database cannot hold, and the sentence about it."""
        with named_failures(self._place):
            async with self._pool.acquire() as connection:
                return await unfit_symbols(connection, symbols, self._place)

    async def cursors(self) -> dict[str, str]:
        """Stream to the last entry whose rows are here."""
        with named_failures(self._place):
            rows = await self._pool.fetch(statements.CURSORS, self._exchange)
        found = {str(row["name"]): str(row["position"]) for row in rows}
        prefix = self._prefix
        return {name.removeprefix(prefix): place for name, place in found.items() if name.startswith(prefix)}

    async def put(
        self,
        klines: Sequence[Sourced[Kline]],
        revised: Sequence[Sourced[Kline]],
        trades: Sequence[Sourced[Trade]],
        gaps: Sequence[tuple[Key, Gap, int]],
        cursors: Mapping[str, str],
    ) -> tuple[Written, Written]:
        """Everything or nothing, `revised` klines after the others; gaps with their epoch.

        What became of klines and trades. Raises `RowsRefused` too.
        """
        exchange = self._exchange
        with named_failures(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")
                of_klines = await put(connection, KLINES, klines, exchange=exchange, forgetting=(*LIVE, "rest"))
                of_klines += await put(connection, KLINES, revised, exchange=exchange)
                of_trades = await put(connection, TRADES, trades, exchange=exchange)
                await put_gaps(connection, [gap_row(exchange, *gap) for gap in gaps])
                positions = [(exchange, self._prefix + name, position) for name, position in sorted(cursors.items())]
                await connection.executemany(statements.PUT_CURSOR, positions)
        return of_klines, of_trades

    async def epochs(self) -> dict[str, int]:
        """Symbols that are not in their first epoch."""
        with named_failures(self._place):
            rows = await self._pool.fetch(statements.EPOCHS, self._exchange)
        return epochs_in(rows)

    async def trades_up_to(self, symbol: str, epoch: int, read: int, oldest: int) -> int:
        """Up to which id trades of the epoch are here, below the `oldest` in the store; -1 without any.

        That is the last one `read`, unless it was of another epoch. Raises `RowsRefused` too.
        """
        with named_failures(self._place):
            found = await self._pool.fetchval(statements.TRADES_UP_TO, self._exchange, symbol, epoch, read, oldest)
        return -1 if found is None else int(str(found))

    async def is_explained(self, symbol: str, epoch: int, first: int, last: int) -> bool:
        """Whether of the trades with these ids each is here, or known to be missing for another reason than `skipped`.

        Raises `RowsRefused` too.
        """
        with named_failures(self._place):
            known = await self._pool.fetchval(statements.EXPLAINED_TRADES, self._exchange, symbol, epoch, first, last)
        return int(str(known)) >= last - first + 1

    async def put_epochs(self, epochs: Mapping[str, int]) -> None:
        """Keep them."""
        with named_failures(self._place):
            rows = [(self._exchange, symbol, epoch) for symbol, epoch in sorted(epochs.items())]
            await self._pool.executemany(statements.PUT_EPOCH, rows)

    async def put_tickers(self, tickers: Sequence[Ticker]) -> int:
        """All or none of them; how many were new. Raises `RowsRefused` too."""
        with named_failures(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")
                return await put_tickers(connection, tickers, exchange=self._exchange)

    async def layout(self) -> str:
        """How klines lie, for the log."""
        with named_failures(self._place):
            async with self._pool.acquire() as connection:
                return (await layout_of(connection)).description

    async def drop_chunks(self, table: OldTable, days: int) -> int:
        """Drop chunks of a hypertable whose rows are all older than so many days; how many went, 0 of other tables."""
        with named_failures(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")
                return await drop_old_chunks(connection, table, self._exchange, days)

    async def old_series(self, table: OldTable, days: int) -> list[OldSeries]:
        """Those of a table that have rows older than so many days."""
        tables = OF_KLINES if table in OF_KLINES else (table,)
        with named_failures(self._place):
            async with self._pool.acquire() as connection:
                await demand_rights(connection, rights_to_forget(*tables))
                return await old_series(connection, self._exchange, table, days)

    async def delete_oldest(self, series: OldSeries) -> int:
        """Delete some old rows of a series; how many went, `ROWS_PER_STATEMENT` or more when there may be more."""
        with named_failures(self._place):
            async with self._pool.acquire() as connection:
                return await delete_oldest(connection, self._exchange, series)


async def kept_epochs(dsn: str, exchange: str) -> dict[str, int]:
    """Symbols that are not in their first epoch. Raises `SinkUnavailable`, `Misconfigured`."""
    pool = await open_pool(dsn, size=1)
    try:
        with named_failures(place_of(dsn)):
            if await pool.fetchval("select to_regclass('market_data_epochs')::text") is None:
                return {}
            return epochs_in(await pool.fetch(statements.EPOCHS, exchange))
    finally:
        pool.terminate()


def epochs_in(rows: Sequence[asyncpg.Record]) -> dict[str, int]:
    """Of the query `EPOCHS`."""
    return {str(row["symbol"]): int(str(row["epoch"])) for row in rows}
