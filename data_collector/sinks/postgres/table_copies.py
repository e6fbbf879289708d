"""Our tables as CSV files: copied out of one snapshot, and back into a database that has none of our rows."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import BinaryIO, Final

import asyncpg
import msgspec
from msgspec import Struct

from data_collector.model.errors import Misconfigured
from data_collector.sinks.postgres.failures import named_failures, place_of
from data_collector.sinks.postgres.migrate import (
    LOCK,
    LOCK_TIMEOUT_S,
    TABLES,
    due_steps,
    migrate,
    migrations,
    tables_version,
)
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.rights import demand_rights

RECORD: Final = "market_data_migrations"

TABLE_TIMEOUT_S = 7 * 86_400.0
"""For one table; Ctrl-C ends what takes too long."""

_ORDER = {
    "market_data_ohlcv": 'exchange, symbol, interval, "timestamp"',
    "market_data_ohlcv_revisions": 'exchange, symbol, interval, "timestamp", known_until, known_from, close, volume',
    "market_data_trades": "exchange, symbol, epoch, trade_id",
    "market_data_gaps": "exchange, symbol, channel, interval, epoch, first",
    "market_data_cursors": "exchange, name",
    "market_data_tickers": 'exchange, symbol, "timestamp"',
    "market_data_epochs": "exchange, symbol, epoch",
    "market_data_quarantine": "exchange, symbol, channel, interval, epoch, key",
}
"""The same rows make the same file. Columns that a table does not have yet are left out."""

_COLUMNS = """
select attname::text as name from pg_attribute
where attrelid = to_regclass($1) and attnum > 0 and not attisdropped order by attnum
"""

_BYTES = """
with recursive parts as (
  select to_regclass(name)::oid as part from unnest($1::text[]) as name where to_regclass(name) is not null
  union select inhrelid from pg_inherits join parts on inhparent = part
)
select coalesce(sum(pg_total_relation_size(part)), 0)::bigint from parts
"""

_SERIES = """
select exchange, symbol, 'trade' as channel, null as interval, {epoch} as epoch, count(*) as rows,
  min(trade_id)::text as first, max(trade_id)::text as last
from market_data_trades group by 1, 2, 5
union all
select exchange, symbol, 'kline', interval, null, count(*), min("timestamp")::text, max("timestamp")::text
from market_data_ohlcv group by 1, 2, 4
order by 1, 2, 3, 4, 5
"""

_GAPS = """
select exchange, symbol, channel, nullif(interval, '') as interval, count(*) as gaps, sum(count)::bigint as missing
from market_data_gaps group by 1, 2, 3, 4
"""

_OTHERS = """
select count(*) from pg_stat_activity
where datname = current_database() and application_name like 'data-collector%' and pid <> pg_backend_pid()
"""

_MOVE_CURSORS = """
update market_data_cursors set name = $2 || substr(name, length($1) + 1)
where left(name, length($1) + 1) = $1 || ' '
"""

Put = Callable[[bytes], Awaitable[None]]


class TableHeld(Struct, kw_only=True):
    """What a copy holds of a table."""

    table: str
    columns: list[str]
    rows: int


class SeriesHeld(Struct, kw_only=True):
    """What the tables of candles and trades hold of a series."""

    exchange: str
    symbol: str
    channel: str
    interval: str | None
    epoch: int | None
    rows: int
    first: str
    """Id of a trade, or open time of a candle."""
    last: str
    gaps: int = 0
    """Ranges that are declared as missing, of all epochs."""
    missing: int = 0
    """Trades, or candles, in those."""


class Snapshot:
    """What the database held at one moment. Methods raise `SinkUnavailable` and `Misconfigured`."""

    def __init__(self, connection: asyncpg.Connection, place: str, version: int) -> None:
        self._connection = connection
        self._place = place
        self.version = version
        """The step that the tables are at; 0 where there are none."""
        self.tables = [name for name, step in TABLES.items() if step <= version]

    async def size(self) -> int:
        """Bytes that tables and indexes take there."""
        with named_failures(self._place):
            return int(str(await self._connection.fetchval(_BYTES, self.tables)))

    async def copy(self, table: str, put: Put) -> TableHeld:
        """Its rows, as CSV with a first line of names."""
        with named_failures(self._place):
            columns = await _columns(self._connection, table)
            rows = await _copy_out(self._connection, table, columns, put)
        return TableHeld(table=table, columns=columns, rows=rows)

    async def series(self) -> list[SeriesHeld]:
        """What there is of candles and trades."""
        if not self.version:
            return []
        with named_failures(self._place):
            epoch = "epoch" if "epoch" in await _columns(self._connection, "market_data_trades") else "0"
            rows = await self._connection.fetch(_SERIES.format(epoch=epoch), timeout=TABLE_TIMEOUT_S)
            gaps = await self._connection.fetch(_GAPS) if "market_data_gaps" in self.tables else []
        found = msgspec.convert([dict(row) for row in rows], list[SeriesHeld])
        declared = {tuple(row)[:4]: (int(str(row["gaps"])), int(str(row["missing"]))) for row in gaps}
        for each in found:
            key = each.exchange, each.symbol, each.channel, each.interval
            each.gaps, each.missing = declared.get(key, (0, 0))
        return found


class Restoration:
    """A transaction in which everything is put back. Methods raise as those of `Snapshot`."""

    def __init__(self, connection: asyncpg.Connection, place: str) -> None:
        self._connection = connection
        self.place = place
        """For sentences: nothing of the login."""

    async def others(self) -> int:
        """Sessions of collectors, and of commands of ours, in this database."""
        with named_failures(self.place):
            return int(str(await self._connection.fetchval(_OTHERS)))

    async def is_empty(self) -> bool:
        """Whether our tables are not there, or have no row. Raises `Misconfigured` for tables that are not ours."""
        with named_failures(self.place):
            await due_steps(self._connection)
            for table in await self._present():
                if await self._connection.fetchval(f"select exists (select from {table})"):  # noqa: S608 - a name of ours
                    return False
        return True

    async def begin(self, version: int) -> None:
        """Have empty tables as they were at that version; what was there is gone."""
        with named_failures(self.place):
            await self._connection.fetchval("select pg_advisory_xact_lock($1)", LOCK)
            for table in [*await self._present(), RECORD]:
                await self._connection.execute(f"drop table if exists {table}")
            await migrate(self._connection, _silent, upto=version)

    async def put(self, held: TableHeld, file: BinaryIO) -> None:
        """The rows of a file. Raises `RowsRefused` for what is none."""
        with named_failures(self.place):
            lacking = set(held.columns) - set(await _columns(self._connection, held.table))
            if lacking:
                raise Misconfigured(
                    f"The backup's {held.table} has the column {min(lacking)}, which tables of ours lack."
                )
            await self._connection.copy_to_table(
                held.table, source=file, columns=held.columns, format="csv", header=True, timeout=TABLE_TIMEOUT_S
            )

    async def sum_of(self, held: TableHeld) -> tuple[int, str]:
        """How many rows are there, and the SHA-256 of the file that they make."""
        digest = hashlib.sha256()

        async def put(part: bytes) -> None:
            digest.update(part)

        with named_failures(self.place):
            rows = await _copy_out(self._connection, held.table, held.columns, put)
        return rows, digest.hexdigest()

    async def move_cursors(self, former: Sequence[str], place: str) -> None:
        """Those of the store that was at one of these places are of the one at `place`."""
        with named_failures(self.place):
            for each in former:
                await self._connection.execute(_MOVE_CURSORS, each, place)

    async def update(self) -> None:
        """Bring the tables up to what this version needs."""
        with named_failures(self.place):
            await migrate(self._connection, _silent)

    async def _present(self) -> list[str]:
        version = await tables_version(self._connection)
        return [name for name, step in TABLES.items() if step <= version]


@asynccontextmanager
async def snapshot_of(dsn: str) -> AsyncIterator[Snapshot]:
    """For the length of the block. Raises as its methods, also for tables that are newer than this program."""
    place = place_of(dsn)
    async with _connected(dsn) as connection:
        with named_failures(place):
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await _be_patient(connection)
                version = await tables_version(connection)
                if version > migrations()[-1].version:
                    await due_steps(connection)
                found = Snapshot(connection, place, version)
                await demand_rights(connection, dict.fromkeys(found.tables, ("SELECT",)))
                yield found


@asynccontextmanager
async def restoring(dsn: str) -> AsyncIterator[Restoration]:
    """What was put is there when the block ends well, and nothing of it where it does not. Raises as its methods."""
    place = place_of(dsn)
    async with _connected(dsn) as connection:
        with named_failures(place):
            async with connection.transaction():
                await _be_patient(connection)
                yield Restoration(connection, place)


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that ends with the block, and takes what was not committed with it."""
    pool = await open_pool(dsn, size=1)
    try:
        async with pool.acquire() as connection:
            yield connection
    finally:
        pool.terminate()


async def _be_patient(connection: asyncpg.Connection) -> None:
    """A server's own limits end no copy; a table that somebody locks is told soon."""
    await connection.execute("set local statement_timeout = 0")
    await connection.execute("set local idle_in_transaction_session_timeout = 0")
    await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")


async def _columns(connection: asyncpg.Connection, table: str) -> list[str]:
    return [str(row["name"]) for row in await connection.fetch(_COLUMNS, table)]


async def _copy_out(connection: asyncpg.Connection, table: str, columns: Sequence[str], put: Put) -> int:
    order = [each for each in _ORDER[table].split(", ") if each.strip('"') in columns]
    named = ", ".join(f'"{name}"' for name in columns)
    query = f"select {named} from {table} order by {', '.join(order)}"  # noqa: S608 - names that were looked at
    status = await connection.copy_from_query(query, output=put, format="csv", header=True, timeout=TABLE_TIMEOUT_S)
    return int(status.partition(" ")[2])


def _silent(sentence: str) -> None:
    """Empty tables take no time."""
