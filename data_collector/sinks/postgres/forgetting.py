"""Deleting what is older than it should be kept: few rows at a time, the oldest first, each time by the table's key.

Nothing is searched for through a table: the key begins with the series, and so each series tells by its first row
whether it has old ones. A statement locks what it deletes for a fraction of a second.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import asyncpg
from msgspec import Struct

from data_collector.sinks.postgres.writing import count_of

OldTable = Literal["market_data_ohlcv", "market_data_ohlcv_revisions", "market_data_trades", "market_data_tickers"]

OF_KLINES: tuple[OldTable, ...] = ("market_data_ohlcv", "market_data_ohlcv_revisions")

ROWS_PER_STATEMENT = 2_000

LOCK_TIMEOUT_S = 1.0
"""New rows wait behind a deletion that waits."""

STATEMENT_TIMEOUT_S = 10.0

SLACK_HOURS = 6
"""Rows stay so much longer than they should, so that no audit, export or backfill of the days that are kept is
overtaken by the deletion while it works."""

_IS_OLD = f"""\"timestamp\" < now() - make_interval(days => $2, hours => {SLACK_HOURS})"""

_OLD_KLINES = """
with recursive series as (
  (select symbol, interval from {table} where exchange = $1 order by symbol, interval limit 1)
  union all
  select following.symbol, following.interval from series, lateral (
    select symbol, interval from {table}
    where exchange = $1 and (symbol, interval) > (series.symbol, series.interval) order by symbol, interval limit 1
  ) as following
)
select symbol, interval from series where (
  select {is_old} from {table} as stored
  where stored.exchange = $1 and stored.symbol = series.symbol and stored.interval = series.interval
  order by "timestamp" limit 1
)
"""
"""The first row of each series, and not whether there is an old one: that may be answered by reading all of them."""

_OLD_SYMBOLS = """
with recursive series as (
  (select symbol from {table} where exchange = $1 order by symbol limit 1)
  union all
  select following.symbol from series, lateral (
    select symbol from {table} where exchange = $1 and symbol > series.symbol order by symbol limit 1
  ) as following
)
select symbol, '' as interval from series where (
  select {is_old} from {table} as stored
  where stored.exchange = $1 and stored.symbol = series.symbol order by {number} limit 1
)
"""
"""Of trades the first one is that of the least epoch and id: times grow with them."""

_OLD_SERIES: dict[OldTable, str] = {
    "market_data_ohlcv": _OLD_KLINES.format(table="market_data_ohlcv", is_old=_IS_OLD),
    "market_data_ohlcv_revisions": _OLD_KLINES.format(table="market_data_ohlcv_revisions", is_old=_IS_OLD),
    "market_data_trades": _OLD_SYMBOLS.format(table="market_data_trades", is_old=_IS_OLD, number="epoch, trade_id"),
    "market_data_tickers": _OLD_SYMBOLS.format(table="market_data_tickers", is_old=_IS_OLD, number='"timestamp"'),
}

_DELETE_IN_TIME = """
delete from {table}
where exchange = $1 and symbol = $3 {of_interval} and "timestamp" <= (
  select max("timestamp") from (
    select "timestamp" from {table}
    where exchange = $1 and symbol = $3 {of_interval} and {is_old} order by "timestamp" limit $4
  ) as oldest
)
"""

_DELETE_TRADES = f"""
delete from market_data_trades
where exchange = $1 and symbol = $3 and {_IS_OLD} and (epoch, trade_id) <= (
  select epoch, trade_id from (
    select epoch, trade_id from market_data_trades where exchange = $1 and symbol = $3
    order by epoch, trade_id limit $4
  ) as oldest order by epoch desc, trade_id desc limit 1
)
"""  # noqa: S608


_OF_INTERVAL = "and interval = $5"

_DELETE: dict[OldTable, str] = {
    "market_data_ohlcv": _DELETE_IN_TIME.format(table="market_data_ohlcv", is_old=_IS_OLD, of_interval=_OF_INTERVAL),
    "market_data_ohlcv_revisions": _DELETE_IN_TIME.format(
        table="market_data_ohlcv_revisions", is_old=_IS_OLD, of_interval=_OF_INTERVAL
    ),
    "market_data_trades": _DELETE_TRADES,
    "market_data_tickers": _DELETE_IN_TIME.format(table="market_data_tickers", is_old=_IS_OLD, of_interval=""),
}


class OldSeries(Struct, frozen=True):
    """A series that has rows to be deleted."""

    table: OldTable
    days: int
    symbol: str
    interval: str
    """Empty for trades and tickers."""


def tables_to_forget(klines_days: int | None, trades_days: int | None, tickers_days: int | None) -> dict[OldTable, int]:
    """Those with a retention, and the days that it keeps."""
    kept: dict[OldTable, int | None] = dict.fromkeys(OF_KLINES, klines_days)
    kept |= {"market_data_trades": trades_days, "market_data_tickers": tickers_days}
    return {table: days for table, days in kept.items() if days is not None}


async def old_series(connection: asyncpg.Connection, exchange: str, table: OldTable, days: int) -> list[OldSeries]:
    """All of a table. Raises what the driver raises."""
    async with _brief(connection):
        rows = await connection.fetch(_OLD_SERIES[table], exchange, days)
    return [OldSeries(table, days, str(row["symbol"]), str(row["interval"])) for row in rows]


async def delete_oldest(connection: asyncpg.Connection, exchange: str, series: OldSeries) -> int:
    """Delete up to `ROWS_PER_STATEMENT` old rows of a series in a transaction; how many went.

    Of a kline that was revised more than once the revisions go together. Raises what the driver raises.
    """
    asked: tuple[str | int, ...] = (exchange, series.days, series.symbol, ROWS_PER_STATEMENT)
    if series.interval:
        asked = (*asked, series.interval)
    async with _brief(connection):
        return count_of(await connection.execute(_DELETE[series.table], *asked))


@asynccontextmanager
async def _brief(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """A transaction that waits for nobody and that a crash may undo: it is done again then."""
    async with connection.transaction():
        await connection.execute(
            f"set local lock_timeout = {LOCK_TIMEOUT_S * 1000:.0f}; set local synchronous_commit = off; "
            f"set local statement_timeout = {STATEMENT_TIMEOUT_S * 1000:.0f}"
        )
        yield
