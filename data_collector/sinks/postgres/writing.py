"""Putting records into PostgreSQL: in batches, each of them at once or not at all, and as often as one likes.

A batch travels as COPY text, the exchange's own digits as they are, into a temporary table and from there to the table
it belongs to. A kline that differs from the stored one replaces it, and the stored one is kept as a revision.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from types import MappingProxyType
from typing import Final, Generic

import asyncpg
import msgspec
from msgspec import Struct

from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Origin, Row, Source, Sourced, Ticker, Trade
from data_collector.model.wire import open_time_text, ticker_values, trade_time_text
from data_collector.sinks.postgres import statements
from data_collector.sinks.postgres.believing import demand_all, demand_columns, put_gaps
from data_collector.sinks.postgres.failures import named_failures
from data_collector.sinks.postgres.reading import PostgresReader

LONG = 500
"""Rows from which on it is worth asking whether any of them is stored: a backfill's batches hardly ever are, and go
straight into the table then, at half the cost."""

KLINE_COLUMNS = (
    "symbol", "interval", "timestamp", "open", "high", "low", "close", "volume", "trades", "quote_volume",
    "taker_buy_base_volume", "taker_buy_quote_volume", "source", "warnings",
)  # fmt: skip
TRADE_COLUMNS = (
    "symbol", "epoch", "trade_id", "timestamp", "price", "quantity", "is_buyer_maker", "buyer_order_id",
    "seller_order_id", "source", "warnings",
)  # fmt: skip

_NULL = "\\N"
"""Null in the text of COPY."""

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

LIVE = ("ws", "built")
"""Sources of klines that come by the store's streams alone."""

_NO_WARNINGS: Mapping[int, tuple[str, ...]] = MappingProxyType({})

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
    key: Callable[[Sourced[Row]], RowKey]
    lines: Callable[[Sequence[Sourced[Row]], str], bytes]
    """COPY text, with a further column that holds the same text in each line; none if that is empty."""
    stage: str
    is_empty: str
    insert: str
    replace: Callable[[asyncpg.Connection, str, Sequence[str]], Awaitable[int]]
    """Staged rows take the place of stored ones that differ; how many did. Gets the exchange, and `forgetting`."""


class PostgresWriter:
    """Writes records of one exchange. Tables must exist (`migrate`). Methods raise `SinkUnavailable`, `Misconfigured`.

    After `SinkUnavailable` the batch may be stored or not; giving it again is right in both cases.
    """

    def __init__(self, pool: asyncpg.Pool, exchange: str, *, place: str = "DATABASE_URL") -> None:
        """`place` is named in errors."""
        self._pool = pool
        self._exchange = exchange
        self._place = place
        self.reader = PostgresReader(pool, exchange, place=place)
        """Of the same rows."""

    async def put_klines(
        self, klines: Sequence[Kline], *, source: Source, warnings: Mapping[int, tuple[str, ...]] = _NO_WARNINGS
    ) -> Written:
        """Store closed klines. `warnings` are rules by open time. Of the same kline the later one wins."""
        origin_of = _origins(source, warnings)
        return await self._put(KLINES, [Sourced(each, origin_of(each.open_ms)) for each in klines])

    async def put_trades(
        self, trades: Sequence[Trade], *, source: Source, warnings: Mapping[int, tuple[str, ...]] = _NO_WARNINGS,
        epoch: int | None = None,
    ) -> Written:  # fmt: skip
        """Store trades; `warnings` by id. One that differs from the stored one replaces it; a finer time does too.

        They are of the `epoch`; without one, of the newest of their symbol.
        """
        if epoch is None:
            epoch = await self.reader.epoch_of(trades[0].symbol) if trades else 0
        origin_of = _origins(source, warnings)
        return await self._put(TRADES, [Sourced(each, origin_of(each.trade_id), epoch) for each in trades])

    async def put_gaps(self, key: Key, gaps: Sequence[Gap], *, epoch: int | None = None) -> None:
        """Record ranges that do not exist or could not be had; trade ids are of the `epoch`, as with `put_trades`."""
        if epoch is None:
            epoch = await self.reader.epoch_of_series(key)
        rows = [gap_row(self._exchange, key, gap, epoch) for gap in gaps]
        with named_failures(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                await put_gaps(connection, rows)

    async def withdraw_klines(self, key: Key, open_times: Sequence[int], gaps: Sequence[Gap]) -> None:
        """Take out klines that the exchange does not have, and record so. They are kept as revisions."""
        times = [datetime.fromtimestamp(open_ms / 1000, UTC) for open_ms in open_times]
        rows = [gap_row(self._exchange, key, gap, 0) for gap in gaps]
        with named_failures(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                of_series = (self._exchange, key.symbol, key.interval)
                await connection.execute(statements.WITHDRAW_KLINES, *of_series, times)
                await put_gaps(connection, rows)

    async def _put(self, destination: Destination[Row], rows: Sequence[Sourced[Row]]) -> Written:
        with named_failures(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                return await put(connection, destination, rows, exchange=self._exchange)


def _origins(source: Source, warnings: Mapping[int, tuple[str, ...]]) -> Callable[[int], Origin]:
    """By the number of a row; those that no rule marks share one."""
    plain = Origin(source)
    marked = {number: Origin(source, rules) for number, rules in warnings.items()}
    return lambda number: marked.get(number, plain)


async def put(
    connection: asyncpg.Connection, to: Destination[Row], rows: Sequence[Sourced[Row]], *, exchange: str,
    forgetting: Sequence[str] = LIVE,
) -> Written:  # fmt: skip
    """Store rows inside the caller's transaction; what the driver raises is not translated.

    Klines of the sources `forgetting` that were stored once and replaced are passed over (`FORGET_OLD_KLINES`).
    """
    written = Written()
    for batch in _rounds(rows, to.key):
        if await _is_new_series(connection, to, batch, exchange):
            lines = to.lines([batch[key] for key in sorted(batch)], exchange)
            if await _copied(connection, to.table, lines, (*to.columns, "exchange"), len(batch)):
                written += Written(added=len(batch))
                continue
        await connection.execute(to.stage)
        await _copy(connection, to.staged, to.lines(list(batch.values()), ""), to.columns)
        added = count_of(await connection.execute(to.insert, exchange))
        changed = 0
        if added < len(batch):
            await connection.execute(statements.NESTED_LOOPS)
            changed = await to.replace(connection, exchange, forgetting)
        written += Written(added, changed, len(batch) - added - changed)
    if rows:
        await demand_columns(connection, to.table)
    return written


async def _is_new_series(
    connection: asyncpg.Connection, to: Destination[Row], batch: dict[RowKey, Sourced[Row]], exchange: str
) -> bool:  # fmt: skip
    """Whether it is one long series of which nothing is stored, nor recorded as what was wrongly built."""
    if len(batch) < LONG or any(row.origin.source == "built" for row in batch.values()):
        return False
    first, last = min(batch), max(batch)
    if first[:-1] != last[:-1]:
        return False
    return bool(await connection.fetchval(to.is_empty, exchange, *first, last[-1]))


async def _copied(
    connection: asyncpg.Connection, table: str, lines: bytes, columns: Sequence[str], count: int
) -> bool:  # fmt: skip
    """Put the rows where they belong at once; False, and nothing done, when somebody was quicker with one of them."""
    try:
        async with connection.transaction():
            demand_all(count, count_of(await _copy(connection, table, lines, columns)), table)
    except asyncpg.UniqueViolationError:
        return False
    return True


async def _copy(connection: asyncpg.Connection, table: str, lines: bytes, columns: Sequence[str]) -> str:
    return str(await connection.copy_to_table(table, source=BytesIO(lines), columns=columns, format="text"))


async def _replace_klines(connection: asyncpg.Connection, exchange: str, forgetting: Sequence[str]) -> int:
    times = await connection.fetchrow(statements.STAGED_TIMES)
    assert times is not None, "a select of aggregates has a row"
    of_batch = (exchange, times["first"], times["last"])
    await connection.fetchval(statements.LOCK_KLINES, *of_batch)
    await connection.execute(statements.FORGET_OLD_KLINES, *of_batch, forgetting)
    await connection.execute(statements.KEEP_REVISIONS, *of_batch)
    replaced = count_of(await connection.execute(statements.REPLACE_KLINES, *of_batch))
    replaced += count_of(await connection.execute(statements.FILL_KLINES, *of_batch))
    await _demand_counted(connection, "market_data_ohlcv", statements.COUNT_KLINES, *of_batch)
    return replaced


async def _replace_trades(connection: asyncpg.Connection, exchange: str, _: Sequence[str]) -> int:
    replaced = count_of(await connection.execute(statements.REPLACE_TRADES, exchange))
    await _demand_counted(connection, "market_data_trades", statements.COUNT_TRADES, exchange)
    return replaced


async def _demand_counted(connection: asyncpg.Connection, table: str, statement: str, *of_batch: object) -> None:
    counts = await connection.fetchrow(statement, *of_batch)
    assert counts is not None, "a select of aggregates has a row"
    demand_all(int(str(counts[0])), int(str(counts[1])), table)


def _rounds(
    rows: Sequence[Sourced[Row]], key: Callable[[Sourced[Row]], RowKey]
) -> Iterator[dict[RowKey, Sourced[Row]]]:
    """Batches in which each key is there once; a key that comes again with other values waits for the next batch."""
    waiting: Sequence[Sourced[Row]] = rows
    while waiting:
        batch: dict[RowKey, Sourced[Row]] = {}
        later = [row for row in waiting if batch.setdefault(key(row), row).record != row.record]
        yield batch
        waiting = later


def count_of(tag: str) -> int:
    """The last word of what the server answers to a statement, such as `INSERT 0 5`."""
    return int(tag.rpartition(" ")[2])


async def put_tickers(connection: asyncpg.Connection, tickers: Sequence[Ticker], *, exchange: str) -> int:
    """Store them and return how many were new; what the driver raises is not translated."""
    rows = [ticker_values(ticker) | {"event_ms": ticker.event_ms} for ticker in tickers]
    text = msgspec.json.encode(rows).decode()
    added = count_of(await connection.execute(statements.PUT_TICKERS, exchange, text))
    if added < len(rows):
        there = await connection.fetchval(statements.COUNT_TICKERS, exchange, text)
        demand_all(len(rows), int(str(there)), "market_data_tickers")
    if rows:
        await demand_columns(connection, "market_data_tickers")
    return added


def kline_lines(klines: Sequence[Sourced[Kline]], more: str = "") -> bytes:
    """In the order of `KLINE_COLUMNS`, and behind them the same `more` in every line."""
    end = _end(more)
    lines = [
        f"{_escaped(k.symbol)}\t{k.interval}\t{open_time_text(k.open_ms)}\t{k.open}\t{k.high}\t{k.low}\t{k.close}\t"
        f"{k.volume}\t{_NULL if k.trades is None else k.trades}\t"
        f"{_NULL if k.quote_volume is None else k.quote_volume}\t"
        f"{_NULL if k.taker_buy_base_volume is None else k.taker_buy_base_volume}\t"
        f"{_NULL if k.taker_buy_quote_volume is None else k.taker_buy_quote_volume}\t"
        f"{row.origin.source or _NULL}\t{_array(row.origin.warnings) if row.origin.warnings else _NULL}{end}"
        for row in klines
        for k in (row.record,)
    ]
    return "".join(lines).encode()


def trade_lines(trades: Sequence[Sourced[Trade]], more: str = "") -> bytes:
    """In the order of `TRADE_COLUMNS`, and behind them the same `more` in every line."""
    end = _end(more)
    lines = [
        f"{_escaped(t.symbol)}\t{row.epoch}\t{t.trade_id}\t{trade_time_text(t.time_ms, t.sub_ms_us)}\t{t.price}\t"
        f"{t.quantity}\t{'t' if t.is_buyer_maker else _NULL if t.is_buyer_maker is None else 'f'}\t"
        f"{_NULL if t.buyer_order_id is None else t.buyer_order_id}\t"
        f"{_NULL if t.seller_order_id is None else t.seller_order_id}\t"
        f"{row.origin.source or _NULL}\t{_array(row.origin.warnings) if row.origin.warnings else _NULL}{end}"
        for row in trades
        for t in (row.record,)
    ]
    return "".join(lines).encode()


def _end(more: str) -> str:
    return f"\t{_escaped(more)}\n" if more else "\n"


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


def _array(rules: Sequence[str]) -> str:
    """As PostgreSQL writes an array of texts."""
    return "{" + ",".join(f'"{rule}"' for rule in rules) + "}"


def gap_row(exchange: str, key: Key, gap: Gap, epoch: int) -> tuple[object, ...]:
    """A row of `market_data_gaps`; the interval of trades is empty."""
    series = (exchange, key.symbol, key.channel, key.interval or "")
    return (*series, gap.first, gap.last, gap.count, gap.reason, list(gap.rules), epoch)


KLINES: Final[Destination[Kline]] = Destination(
    table="market_data_ohlcv",
    staged=statements.STAGED_KLINES,
    columns=KLINE_COLUMNS,
    key=lambda row: (row.record.symbol, row.record.interval, row.record.open_ms),
    lines=kline_lines,
    stage=statements.STAGE_KLINES,
    is_empty=statements.IS_EMPTY_OF_KLINES,
    insert=statements.INSERT_KLINES,
    replace=_replace_klines,
)

TRADES: Final[Destination[Trade]] = Destination(
    table="market_data_trades",
    staged=statements.STAGED_TRADES,
    columns=TRADE_COLUMNS,
    key=lambda row: (row.record.symbol, row.epoch, row.record.trade_id),
    lines=trade_lines,
    stage=statements.STAGE_TRADES,
    is_empty=statements.IS_EMPTY_OF_TRADES,
    insert=statements.INSERT_TRADES,
    replace=_replace_trades,
)
