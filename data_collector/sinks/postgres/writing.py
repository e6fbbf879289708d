"""Putting records into PostgreSQL: in batches, each of them at once or not at all, and as often as one likes.

A batch travels as COPY text into a temporary table and from there to the table it belongs to. A candle that differs
from the stored one replaces it, and the stored one is kept as a revision.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from io import BytesIO
from typing import TypeVar

import asyncpg
from msgspec import Struct

from data_collector.model.gaps import Gap
from data_collector.model.keys import Channel
from data_collector.model.records import Kline, Trade
from data_collector.sinks.postgres import statements
from data_collector.sinks.postgres.failures import failures_told
from data_collector.sinks.postgres.rows import KLINE_COLUMNS, TRADE_COLUMNS, kline_lines, trade_lines

LONG = 500
"""Rows from which on it is worth asking whether any of them is stored: a backfill's batches hardly ever are, and go
straight into the table then, at half the cost."""

_ORIGIN = ("exchange", "source")

LIVE = "ws"
"""The source of what the live writer read from the store."""

Row = TypeVar("Row", Kline, Trade)


class Written(Struct, frozen=True):
    """What became of a batch."""

    added: int = 0
    changed: int = 0
    """Replaced what differed, or filled columns that were empty."""
    known: int = 0

    def __add__(self, other: Written) -> Written:
        return Written(self.added + other.added, self.changed + other.changed, self.known + other.known)


class PostgresWriter:
    """Writes records of one exchange. Tables must exist (`migrate`). Methods raise `SinkUnavailable`, `Misconfigured`.

    After `SinkUnavailable` the batch may be stored or not; giving it again is right in both cases.
    """

    def __init__(self, pool: asyncpg.Pool, exchange: str = "binance", *, place: str = "DATABASE_URL") -> None:
        """`place` is named in errors."""
        self._pool = pool
        self._exchange = exchange
        self._place = place

    async def put_klines(self, klines: Sequence[Kline], *, source: str) -> Written:
        """Store closed klines; `source` is `ws`, `rest`, `built` or `file`. Of the same candle the later one wins."""
        with failures_told(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                return await put_klines(connection, klines, exchange=self._exchange, source=source)

    async def put_trades(self, trades: Sequence[Trade], *, source: str) -> Written:
        """Store trades. One that differs from the stored one replaces it; a finer time does too."""
        with failures_told(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                return await put_trades(connection, trades, exchange=self._exchange, source=source)

    async def put_gaps(self, symbol: str, channel: Channel, interval: str, gaps: Sequence[Gap]) -> None:
        """Record ranges that do not exist or could not be had; `interval` is empty for trades."""
        rows = [(self._exchange, symbol, channel, interval, g.first, g.last, g.count, g.reason) for g in gaps]
        with failures_told(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.executemany(statements.PUT_GAP, rows)


async def put_klines(connection: asyncpg.Connection, klines: Sequence[Kline], *, exchange: str, source: str) -> Written:
    """The same inside the caller's transaction; what the driver raises is not translated."""
    written = Written()
    for batch in _rounds(klines, lambda kline: (kline.symbol, kline.interval, kline.open_ms)):
        if await _is_new_series(connection, batch, exchange):
            batch.sort(key=lambda kline: kline.open_ms)
            lines = kline_lines(batch, exchange, source)
            if await _copied(connection, "market_data_ohlcv", lines, (*KLINE_COLUMNS, *_ORIGIN)):
                written += Written(added=len(batch))
                continue
        await connection.execute(f"{statements.STAGE_KLINES}; truncate staged_klines")
        await _copy(connection, "staged_klines", kline_lines(batch), KLINE_COLUMNS)
        added = count_of(await connection.execute(statements.INSERT_KLINES, exchange, source))
        changed = 0
        if added < len(batch):
            changed = await _replace_klines(connection, exchange, source)
        written += Written(added, changed, len(batch) - added - changed)
    return written


async def put_trades(connection: asyncpg.Connection, trades: Sequence[Trade], *, exchange: str, source: str) -> Written:
    """The same inside the caller's transaction; what the driver raises is not translated."""
    written = Written()
    for batch in _rounds(trades, lambda trade: (trade.symbol, trade.trade_id)):
        if await _are_new_trades(connection, batch, exchange):
            batch.sort(key=lambda trade: trade.trade_id)
            lines = trade_lines(batch, exchange, source)
            if await _copied(connection, "market_data_trades", lines, (*TRADE_COLUMNS, *_ORIGIN)):
                written += Written(added=len(batch))
                continue
        await connection.execute(f"{statements.STAGE_TRADES}; truncate staged_trades")
        await _copy(connection, "staged_trades", trade_lines(batch), TRADE_COLUMNS)
        added = count_of(await connection.execute(statements.INSERT_TRADES, exchange, source))
        changed = 0
        if added < len(batch):
            await connection.execute(statements.NESTED_LOOPS)
            changed = count_of(await connection.execute(statements.REPLACE_TRADES, exchange, source))
        written += Written(added, changed, len(batch) - added - changed)
    return written


async def _is_new_series(connection: asyncpg.Connection, batch: Sequence[Kline], exchange: str) -> bool:
    """Whether it is one long series of which nothing is stored."""
    if len(batch) < LONG or len({(kline.symbol, kline.interval) for kline in batch}) > 1:
        return False
    times, one = [kline.open_ms for kline in batch], batch[0]
    query = statements.IS_EMPTY_OF_KLINES
    return bool(await connection.fetchval(query, exchange, one.symbol, one.interval, min(times), max(times)))


async def _are_new_trades(connection: asyncpg.Connection, batch: Sequence[Trade], exchange: str) -> bool:
    if len(batch) < LONG or len({trade.symbol for trade in batch}) > 1:
        return False
    ids = [trade.trade_id for trade in batch]
    query = statements.IS_EMPTY_OF_TRADES
    return bool(await connection.fetchval(query, exchange, batch[0].symbol, min(ids), max(ids)))


async def _copied(connection: asyncpg.Connection, table: str, lines: bytes, columns: Sequence[str]) -> bool:
    """Put the rows where they belong at once; False, and nothing done, when somebody was quicker with one of them."""
    try:
        async with connection.transaction():
            await _copy(connection, table, lines, columns)
    except asyncpg.UniqueViolationError:
        return False
    return True


async def _replace_klines(connection: asyncpg.Connection, exchange: str, source: str) -> int:
    await connection.execute(statements.NESTED_LOOPS)
    await connection.fetchval(statements.LOCK_KLINES, exchange)
    if source == LIVE:
        await connection.execute(statements.FORGET_OLD_KLINES, exchange, source)
    await connection.execute(statements.KEEP_REVISIONS, exchange)
    return count_of(await connection.execute(statements.REPLACE_KLINES, exchange, source))


async def _copy(connection: asyncpg.Connection, table: str, lines: bytes, columns: Sequence[str]) -> None:
    await connection.copy_to_table(table, source=BytesIO(lines), columns=columns, format="text")


def _rounds(rows: Sequence[Row], key: Callable[[Row], Hashable]) -> Iterator[list[Row]]:
    """Batches in which each key is there once; a key that comes again with other values waits for the next batch."""
    waiting: Sequence[Row] = rows
    while waiting:
        batch: dict[Hashable, Row] = {}
        later = [row for row in waiting if batch.setdefault(key(row), row) != row]
        yield list(batch.values())
        waiting = later


def count_of(tag: str) -> int:
    """The last word of what the server answers to a statement, such as `INSERT 0 5`."""
    return int(tag.rpartition(" ")[2])
