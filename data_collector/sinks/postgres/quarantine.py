"""What validation refused of the past: kept with its reason, declared as a hole, and let out when it may pass.

A record is kept as the JSON of its fields, prices as the exchange's own text, so that it can be judged and stored again
as it came. What lies in quarantine was refused by the rules of its time; whoever lets it out judges it anew.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec
from msgspec import Struct

from data_collector.model.gaps import Gap
from data_collector.model.keys import Channel, Key
from data_collector.model.records import Kline, Trade
from data_collector.sinks.postgres.believing import put_gaps
from data_collector.sinks.postgres.failures import named_failures
from data_collector.sinks.postgres.reading import PostgresReader
from data_collector.sinks.postgres.writing import gap_row

PAGE_ROWS: Final = 1_000

TABLE: Final = "market_data_quarantine"

_SERIES = "exchange = $1 and symbol = $2 and channel = $3 and interval = $4 and epoch = $5"

PUT = f"""
insert into {TABLE} (exchange, symbol, channel, interval, epoch, key, record, rules, source)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (exchange, symbol, channel, interval, epoch, key)
do update set record = excluded.record, rules = excluded.rules, source = excluded.source, at = now()
"""  # noqa: S608 - fixed names

HOLDS_ANY = f"select exists (select from {TABLE} where {_SERIES} and key between $6 and $7)"  # noqa: S608

LET_GO = f"delete from {TABLE} where {_SERIES} and key = any($6::bigint[])"  # noqa: S608

CLOSE_GAPS = f"""
delete from market_data_gaps where {_SERIES} and first = any($6::bigint[]) and last = first and reason = 'refused'
"""  # noqa: S608

PAGE = f"""
select symbol, channel, interval, epoch, key, record, rules, source, at from {TABLE}
where exchange = $1 and symbol = any($2::text[]) and (symbol, channel, interval, epoch, key) > ($3, $4, $5, $6, $7)
order by symbol, channel, interval, epoch, key limit $8
"""  # noqa: S608

NEWEST = f"""
select symbol, channel, interval, epoch, key, record, rules, source, at from {TABLE}
where exchange = $1 and symbol = any($2::text[]) order by at desc, symbol, channel, interval, epoch, key limit $3
"""  # noqa: S608

STORED_TRADES = """
select trade_id from market_data_trades
where exchange = $1 and symbol = $2 and epoch = $4 and trade_id = any($3::bigint[])
"""

STORED_KLINES = """
select (extract(epoch from "timestamp") * 1000)::bigint from market_data_ohlcv
where exchange = $1 and symbol = $2 and interval = $4
  and "timestamp" = any(array(select to_timestamp(open_ms / 1000.0) from unnest($3::bigint[]) as open_ms))
"""

SYMBOLS = f"select distinct symbol from {TABLE} where exchange = $1 order by 1"  # noqa: S608


class RefusedRow(Struct, frozen=True):
    """A row of the table."""

    key: Key
    number: int
    """Trade id, or open time in ms."""
    record: Kline | Trade | None
    """None where somebody wrote what is no record."""
    rules: tuple[str, ...]
    """The critical rules that it broke."""
    source: str
    at: datetime | None = None
    """When it was refused; None of one that is being put there."""
    epoch: int | None = None
    """In which the id of a trade is unique; None of one that is being put there: the newest of its symbol."""


class PostgresQuarantine:
    """The quarantine of one exchange. Methods are idempotent and raise `SinkUnavailable`, `Misconfigured`."""

    def __init__(self, pool: asyncpg.Pool, exchange: str, *, place: str = "DATABASE_URL") -> None:
        """`place` is named in errors."""
        self._pool = pool
        self._exchange = exchange
        self._place = place
        self._reader = PostgresReader(pool, exchange, place=place)

    async def put(self, rows: Sequence[RefusedRow]) -> None:
        """Keep what was refused, and declare its places as holes. What was refused before gives way to it."""
        kept: list[tuple[object, ...]] = []
        gaps: list[tuple[object, ...]] = []
        for row in rows:
            epoch = await self._epoch(row.key, row.epoch)
            record = msgspec.json.encode(row.record).decode()
            kept.append((*self._series(row.key), epoch, row.number, record, list(row.rules), row.source))
            gap = Gap(row.number, row.number, 1, "refused", row.rules)
            gaps.append(gap_row(self._exchange, row.key, gap, epoch))
        with named_failures(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.executemany(PUT, kept)
                await put_gaps(connection, gaps)

    async def settle(self, key: Key, numbers: Sequence[int], *, epoch: int | None = None) -> None:
        """These are stored now: what was refused in their places is out of date."""
        if not numbers:
            return
        series = (*self._series(key), await self._epoch(key, epoch))
        with named_failures(self._place):
            async with self._pool.acquire() as connection, connection.transaction():
                if await connection.fetchval(HOLDS_ANY, *series, min(numbers), max(numbers)):
                    await connection.execute(LET_GO, *series, numbers)
                    await connection.execute(CLOSE_GAPS, *series, numbers)

    async def outdated(self, key: Key, numbers: Sequence[int], *, epoch: int | None = None) -> set[int]:
        """Those of which a row is stored: it came later, and was right."""
        ids = (self._exchange, key.symbol, numbers)
        epoch = await self._epoch(key, epoch)
        with named_failures(self._place):
            if key.channel == "trade":
                rows = await self._pool.fetch(STORED_TRADES, *ids, epoch)
            else:
                rows = await self._pool.fetch(STORED_KLINES, *ids, key.interval)
        return {msgspec.convert(row[0], int) for row in rows}

    async def symbols(self) -> list[str]:
        """Of which something is kept."""
        with named_failures(self._place):
            return [str(row["symbol"]) for row in await self._pool.fetch(SYMBOLS, self._exchange)]

    async def newest(self, symbols: Sequence[str], limit: int) -> list[RefusedRow]:
        """The last `limit` that were refused, newest first."""
        with named_failures(self._place):
            return [_row(row) for row in await self._pool.fetch(NEWEST, self._exchange, list(symbols), limit)]

    async def pages(self, symbols: Iterable[str]) -> AsyncIterator[list[RefusedRow]]:
        """All of these symbols, series by series. Rows may be let go meanwhile."""
        named = list(symbols)
        after: tuple[str, str, str, int, int] = ("", "", "", -1, -1)
        while True:
            with named_failures(self._place):
                found = await self._pool.fetch(PAGE, self._exchange, named, *after, PAGE_ROWS)
            page = [_row(row) for row in found]
            if page:
                yield page
            if len(page) < PAGE_ROWS:
                return
            last = page[-1]
            after = (last.key.symbol, last.key.channel, last.key.interval or "", last.epoch or 0, last.number)

    async def _epoch(self, key: Key, known: int | None) -> int:
        return await self._reader.epoch_of_series(key) if known is None else known

    def _series(self, key: Key) -> tuple[str, str, str, str]:
        return self._exchange, key.symbol, key.channel, key.interval or ""


def _row(row: asyncpg.Record) -> RefusedRow:
    channel = msgspec.convert(row["channel"], Channel)
    key = Key(channel, str(row["symbol"]), str(row["interval"]) or None)
    at = row["at"]
    assert isinstance(at, datetime), "the column is a time"
    rules = msgspec.convert(row["rules"], tuple[str, ...])
    record = _record(channel, str(row["record"]))
    epoch = msgspec.convert(row["epoch"], int)
    return RefusedRow(key, msgspec.convert(row["key"], int), record, rules, str(row["source"]), at, epoch)


def _record(channel: Channel, text: str) -> Kline | Trade | None:
    try:
        if channel == "trade":
            return msgspec.json.decode(text, type=Trade)
        return msgspec.json.decode(text, type=Kline)
    except (msgspec.DecodeError, RecursionError):
        return None
