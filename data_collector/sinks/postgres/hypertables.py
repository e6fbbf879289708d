"""TimescaleDB, where it is installed: klines and tickers lie in hypertables then, and old ones go by the chunk."""

from __future__ import annotations

from contextlib import suppress

import asyncpg
from msgspec import Struct

_LAYOUT = """
select
  (select extversion from pg_extension where extname = 'timescaledb') as version,
  exists (select from pg_available_extensions where name = 'timescaledb') as is_available,
  current_setting('timescaledb.license', true) as license,
  to_regclass('market_data_ohlcv') is not null as has_table
"""

_IS_HYPERTABLE = """
select exists (
  select from timescaledb_information.hypertables
  where to_regclass(format('%I.%I', hypertable_schema, hypertable_name)) = to_regclass('market_data_ohlcv')
)
"""

_SCHEMA = """
select extnamespace::regnamespace::text from pg_extension where extname = 'timescaledb'
"""

_OLD_CHUNKS = """
select format('%I.%I', chunk_schema, chunk_name) as name, range_start, range_end
from timescaledb_information.chunks
where to_regclass(format('%I.%I', hypertable_schema, hypertable_name)) = to_regclass($1)
  and range_end <= now() - make_interval(days => $2, hours => 6)
  and pg_has_role((select relowner from pg_class where oid = to_regclass($1)), 'usage')
order by range_start
"""


class Layout(Struct, frozen=True):
    """How klines lie."""

    version: str | None
    """Of TimescaleDB; None where it is not installed in this database."""
    is_available: bool
    """The server has it, installed in this database or not."""
    license: str
    """`apache` (as Debian builds it: no compression) or `timescale`; empty without TimescaleDB."""
    has_table: bool
    is_hypertable: bool

    @property
    def description(self) -> str:
        """For the log."""
        if self.is_hypertable:
            return f"hypertable of TimescaleDB {self.version}, licence {self.license}"
        if self.version is not None:
            return f"partitions by year, made before TimescaleDB {self.version} was installed"
        return "partitions by year" + (", TimescaleDB is there but not installed" if self.is_available else "")


async def layout_of(connection: asyncpg.Connection) -> Layout:
    """What the database has; nothing is changed."""
    row = await connection.fetchrow(_LAYOUT)
    assert row is not None, "a select without a table"
    version = row["version"]
    return Layout(
        version=None if version is None else str(version),
        is_available=bool(row["is_available"]),
        license=str(row["license"] or ""),
        has_table=bool(row["has_table"]),
        is_hypertable=version is not None and bool(await connection.fetchval(_IS_HYPERTABLE)),
    )


async def drop_old_chunks(connection: asyncpg.Connection, table: str, exchange: str, days: int) -> int:
    """Drop chunks of a hypertable that are older than so many days as a whole; how many went.

    The last six hours stay, since an audit or an export of the days that are kept may be at work.
    Nothing happens without a hypertable, or where another user owns it. Chunks with rows of another exchange stay: its
    collector may keep rows longer, and single rows can be deleted instead. A chunk that somebody reads stays until the
    next call, because waiting for a dump that takes an hour would hold up the live writer.
    """
    schema = await connection.fetchval(_SCHEMA)
    if schema is None:
        return 0
    dropped = 0
    drop = f"select {schema}.drop_chunks($1::text::regclass, $2::timestamptz, newer_than => $3::timestamptz)"
    for chunk in await connection.fetch(_OLD_CHUNKS, table, days):
        with suppress(asyncpg.LockNotAvailableError):
            async with connection.transaction():
                # What the drop would lock anyway: nobody else puts rows in after the look.
                await connection.execute(f"lock table {chunk['name']} in access exclusive mode nowait")
                # Both ends of an index that begins with the exchange: a moment, however many rows there are.
                ends = f"select min(exchange) <> $1 or max(exchange) <> $1 from {chunk['name']}"  # noqa: S608
                if not await connection.fetchval(ends, exchange):
                    dropped += len(await connection.fetch(drop, table, chunk["range_end"], chunk["range_start"]))
    return dropped
