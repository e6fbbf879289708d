"""Putting records into PostgreSQL: in batches, each of them at once or not at all, and as often as one likes.

A batch travels as COPY text, the exchange's own digits as they are, into a temporary table and from there to the table
it belongs to. A kline that differs from the stored one replaces it, and the stored one is kept as a revision.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from io import BytesIO
from typing import Final, Generic, TypeVar

import asyncpg
import msgspec
from msgspec import Struct

from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Ticker, Trade
from data_collector.model.wire import open_time_text, trade_time_text
from data_collector.sinks.postgres import statements
from data_collector.sinks.postgres.failures import named_failures

LONG = 500
"""Rows from which on it is worth asking whether any of them is stored: a backfill's batches hardly ever are, and go
straight into the table then, at half the cost."""

KLINE_COLUMNS = (
    "symbol", "interval", "timestamp", "open", "high", "low", "close", "volume", "trades", "quote_volume",
    "taker_buy_base_volume", "taker_buy_quote_volume",
)  # fmt: skip
TRADE_COLUMNS = (
    "symbol", "trade_id", "timestamp", "price", "quantity", "is_buyer_maker", "buyer_order_id", "seller_order_id",
)  # fmt: skip

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

_ORIGIN = ("exchange", "source")

LIVE = "ws"
"""The source of what the live writer read from the store."""

Row = TypeVar("Row", Kline, Trade)

RowKey = tuple[str | int, ...]
"""A row's series, and last its number in it."""


class Written(Struct, frozen=True):
    """What became of a batch."""

    added: int = 0
    changed: int = 0
    """Replaced what differed, or filled columns that were empty."""
    known: int = 0

    def __add__(self, other: Written) -> Written:
        return Written(self.added + other.added, self.changed + other.changed, self.known + other.known)


class Destination(Struct, Generic[Row], frozen=True, kw_only=True):
    """Where rows of one kind go, and on which way."""

    table: str
    staged: str
    columns: Sequence[str]
    key: Callable[[Row], RowKey]
    lines: Callable[[Sequence[Row], Sequence[str]], bytes]
    stage: str
    is_empty: str
    insert: str
    replace: Callable[[asyncpg.Connection, str, str], Awaitable[int]]
    """Staged rows take the place of stored ones that differ; how many did. Gets exchange and source."""


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
        """Store closed klines; `source` is `ws`, `rest`, `built` or `file`. Of the same kline the later one wins."""
        return await self._put(KLINES, klines, source)

    async def put_trades(self, trades: Sequence[Trade], *, source: str) -> Written:
        """Store trades. One that differs from the stored one replaces it; a finer time does too."""
        return await self._put(TRADES, trades, source)

    async def put_gaps(self, key: Key, gaps: Sequence[Gap]) -> None:
        """Record ranges that do not exist or could not be had."""
        rows = [gap_row(self._exchange, key, gap) for gap in gaps]
        with named_failures(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.executemany(statements.PUT_GAP, rows)

    async def _put(self, destination: Destination[Row], rows: Sequence[Row], source: str) -> Written:
        with named_failures(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                return await put(connection, destination, rows, exchange=self._exchange, source=source)


async def put(
    connection: asyncpg.Connection, to: Destination[Row], rows: Sequence[Row], *, exchange: str, source: str
) -> Written:
    """Store rows inside the caller's transaction; what the driver raises is not translated."""
    written = Written()
    for batch in _rounds(rows, to.key):
        if await _is_new_series(connection, to, batch, exchange):
            lines = to.lines([batch[key] for key in sorted(batch)], (exchange, source))
            if await _copied(connection, to.table, lines, (*to.columns, *_ORIGIN)):
                written += Written(added=len(batch))
                continue
        await connection.execute(to.stage)
        await _copy(connection, to.staged, to.lines(list(batch.values()), ()), to.columns)
        added = count_of(await connection.execute(to.insert, exchange, source))
        changed = 0
        if added < len(batch):
            await connection.execute(statements.NESTED_LOOPS)
            changed = await to.replace(connection, exchange, source)
        written += Written(added, changed, len(batch) - added - changed)
    return written


async def _is_new_series(
    connection: asyncpg.Connection, to: Destination[Row], batch: dict[RowKey, Row], exchange: str
) -> bool:  # fmt: skip
    """Whether it is one long series of which nothing is stored."""
    if len(batch) < LONG:
        return False
    first, last = min(batch), max(batch)
    if first[:-1] != last[:-1]:
        return False
    return bool(await connection.fetchval(to.is_empty, exchange, *first, last[-1]))


async def _copied(connection: asyncpg.Connection, table: str, lines: bytes, columns: Sequence[str]) -> bool:
    """Put the rows where they belong at once; False, and nothing done, when somebody was quicker with one of them."""
    try:
        async with connection.transaction():
            await _copy(connection, table, lines, columns)
    except asyncpg.UniqueViolationError:
        return False
    return True


async def _copy(connection: asyncpg.Connection, table: str, lines: bytes, columns: Sequence[str]) -> None:
    await connection.copy_to_table(table, source=BytesIO(lines), columns=columns, format="text")


async def _replace_klines(connection: asyncpg.Connection, exchange: str, source: str) -> int:
    times = await connection.fetchrow(statements.STAGED_TIMES)
    assert times is not None, "a select of aggregates has a row"
    of_batch = (exchange, times["first"], times["last"])
    await connection.fetchval(statements.LOCK_KLINES, *of_batch)
    if source == LIVE:
        await connection.execute(statements.FORGET_OLD_KLINES, *of_batch, source)
    await connection.execute(statements.KEEP_REVISIONS, *of_batch)
    return count_of(await connection.execute(statements.REPLACE_KLINES, *of_batch, source))


async def _replace_trades(connection: asyncpg.Connection, exchange: str, source: str) -> int:
    return count_of(await connection.execute(statements.REPLACE_TRADES, exchange, source))


def _rounds(rows: Sequence[Row], key: Callable[[Row], RowKey]) -> Iterator[dict[RowKey, Row]]:
    """Batches in which each key is there once; a key that comes again with other values waits for the next batch."""
    waiting: Sequence[Row] = rows
    while waiting:
        batch: dict[RowKey, Row] = {}
        later = [row for row in waiting if batch.setdefault(key(row), row) != row]
        yield batch
        waiting = later


def count_of(tag: str) -> int:
    """The last word of what the server answers to a statement, such as `INSERT 0 5`."""
    return int(tag.rpartition(" ")[2])


async def put_tickers(connection: asyncpg.Connection, tickers: Sequence[Ticker], *, exchange: str) -> int:
    """Store them and return how many were new; what the driver raises is not translated."""
    return count_of(await connection.execute(statements.PUT_TICKERS, exchange, msgspec.json.encode(tickers).decode()))


def kline_lines(klines: Sequence[Kline], more: Sequence[str] = ()) -> bytes:
    """In the order of `KLINE_COLUMNS`, and behind them the same `more` in every line."""
    end = _end(more)
    lines = [
        f"{_escaped(k.symbol)}\t{k.interval}\t{open_time_text(k.open_ms)}\t{k.open}\t{k.high}\t{k.low}\t{k.close}\t"
        f"{k.volume}\t{k.trades}\t{k.quote_volume}\t{k.taker_buy_base_volume}\t{k.taker_buy_quote_volume}{end}"
        for k in klines
    ]
    return "".join(lines).encode()


def trade_lines(trades: Sequence[Trade], more: Sequence[str] = ()) -> bytes:
    """In the order of `TRADE_COLUMNS`, and behind them the same `more` in every line."""
    end = _end(more)
    lines = [
        f"{_escaped(t.symbol)}\t{t.trade_id}\t{trade_time_text(t.time_ms, t.sub_ms_us)}\t{t.price}\t{t.quantity}\t"
        f"{'t' if t.is_buyer_maker else 'f'}\t{_optional(t.buyer_order_id)}\t{_optional(t.seller_order_id)}{end}"
        for t in trades
    ]
    return "".join(lines).encode()


def _end(more: Sequence[str]) -> str:
    return "".join(f"\t{_escaped(text)}" for text in more) + "\n"


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


def _optional(number: int | None) -> str:
    return "\\N" if number is None else str(number)


def gap_row(exchange: str, key: Key, gap: Gap) -> tuple[object, ...]:
    """A row of `market_data_gaps`; the interval of trades is empty."""
    series = (exchange, key.symbol, key.channel, key.interval or "")
    return (*series, gap.first, gap.last, gap.count, gap.reason, list(gap.rules))


KLINES: Final[Destination[Kline]] = Destination(
    table="market_data_ohlcv",
    staged="staged_klines",
    columns=KLINE_COLUMNS,
    key=lambda kline: (kline.symbol, kline.interval, kline.open_ms),
    lines=kline_lines,
    stage=statements.STAGE_KLINES,
    is_empty=statements.IS_EMPTY_OF_KLINES,
    insert=statements.INSERT_KLINES,
    replace=_replace_klines,
)

TRADES: Final[Destination[Trade]] = Destination(
    table="market_data_trades",
    staged="staged_trades",
    columns=TRADE_COLUMNS,
    key=lambda trade: (trade.symbol, trade.trade_id),
    lines=trade_lines,
    stage=statements.STAGE_TRADES,
    is_empty=statements.IS_EMPTY_OF_TRADES,
    insert=statements.INSERT_TRADES,
    replace=_replace_trades,
)
