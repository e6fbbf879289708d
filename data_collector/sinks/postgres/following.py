"""The live writer's side of PostgreSQL: rows and the cursors that were behind them, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import asyncpg

from data_collector.model.gaps import Gap
from data_collector.model.records import Kline, Ticker, Trade
from data_collector.sinks.postgres import statements
from data_collector.sinks.postgres.failures import failures_told, place_of
from data_collector.sinks.postgres.hypertables import drop_old_chunks, layout_of
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.tickers import FORGET_TICKERS, put_tickers
from data_collector.sinks.postgres.writing import KLINES, LIVE, TRADES, Written, count_of, put

LOCK_TIMEOUT_S = 5
"""A table that somebody locks is told soon; nothing is lost, since the store keeps what waits."""


FORGOTTEN_PER_CALL = 10_000
"""Rows of a kind that one transaction deletes: a fraction of a second."""


class FollowedDatabase:
    """One connection, opened with `open`. Methods raise `SinkUnavailable` and `Misconfigured`."""

    def __init__(self, pool: asyncpg.Pool, dsn: str, exchange: str) -> None:
        self._pool = pool
        self._place = place_of(dsn)
        self._exchange = exchange

    @classmethod
    async def open(cls, dsn: str, exchange: str) -> FollowedDatabase:
        """Connect, and bring the tables up to date."""
        pool = await open_pool(dsn, size=1)
        try:
            with failures_told(place_of(dsn)):
                async with pool.acquire() as connection:
                    await migrate(connection)
        except BaseException:
            pool.terminate()
            raise
        return cls(pool, dsn, exchange)

    def close(self) -> None:
        """Drop the connection; a transaction under way is rolled back."""
        self._pool.terminate()

    async def cursors(self) -> dict[str, str]:
        """Stream to the last entry whose rows are here."""
        with failures_told(self._place):
            rows = await self._pool.fetch(statements.CURSORS, self._exchange)
        return {str(row["name"]): str(row["position"]) for row in rows}

    async def put(
        self,
        klines: Sequence[Kline],
        trades: Sequence[Trade],
        gaps: Sequence[tuple[str, str, str, Gap]],
        cursors: Mapping[str, str],
    ) -> tuple[Written, Written]:
        """Everything or nothing; `gaps` are symbol, channel, interval and gap. What became of klines and trades."""
        exchange = self._exchange
        with failures_told(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")
                of_klines = await put(connection, KLINES, klines, exchange=exchange, source=LIVE)
                of_trades = await put(connection, TRADES, trades, exchange=exchange, source=LIVE)
                await connection.executemany(
                    statements.PUT_GAP,
                    [(exchange, *names, gap.first, gap.last, gap.count, gap.reason) for *names, gap in gaps],
                )
                await connection.executemany(
                    statements.PUT_CURSOR, [(exchange, name, position) for name, position in sorted(cursors.items())]
                )
        return of_klines, of_trades

    async def put_tickers(self, tickers: Sequence[Ticker]) -> int:
        """All or none of them; how many were new."""
        with failures_told(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")
                return await put_tickers(connection, tickers, exchange=self._exchange)

    async def layout(self) -> str:
        """How candles lie, for the log."""
        with failures_told(self._place):
            async with self._pool.acquire() as connection:
                return (await layout_of(connection)).told

    async def drop_chunks(self, *, klines_days: int | None, tickers_days: int | None = None) -> int:
        """Drop chunks of hypertables whose rows are all older than so many days; how many went."""
        kept = {"market_data_ohlcv": klines_days, "market_data_tickers": tickers_days}
        with failures_told(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")
                return sum([
                    await drop_old_chunks(connection, table, self._exchange, days)
                    for table, days in kept.items() if days is not None
                ])  # fmt: skip

    async def forget(self, *, klines_days: int | None, trades_days: int | None, tickers_days: int | None = None) -> int:
        """Delete what is older than so many days, at most `FORGOTTEN_PER_CALL` rows of a kind; how many went."""
        forgotten = 0
        with failures_told(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")
                if klines_days is not None:
                    arguments = (self._exchange, klines_days)
                    forgotten += count_of(
                        await connection.execute(statements.FORGET_KLINES, *arguments, FORGOTTEN_PER_CALL)
                    )
                    await connection.execute(statements.FORGET_REVISIONS, *arguments)
                if trades_days is not None:
                    tag = await connection.execute(
                        statements.FORGET_TRADES, self._exchange, trades_days, FORGOTTEN_PER_CALL
                    )
                    forgotten += count_of(tag)
                if tickers_days is not None:
                    tag = await connection.execute(FORGET_TICKERS, self._exchange, tickers_days, FORGOTTEN_PER_CALL)
                    forgotten += count_of(tag)
        return forgotten
