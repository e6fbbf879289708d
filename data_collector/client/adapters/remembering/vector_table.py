"""Shapes of windows in a table of PostgreSQL, by pgvector: written, and searched through an index (HNSW)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from io import BytesIO
from typing import Final

import asyncpg
from msgspec import Struct

from data_collector.client.adapters.remembering.screen import Singles
from data_collector.client.adapters.remembering.shape import Shape
from data_collector.client.adapters.remembering.windows import VectorPage
from data_collector.client.errors import DatabaseAway, WrongQuestion, reason_of
from data_collector.client.postgres import DRIVER_ERRORS, WRONG_DATABASE, connected
from data_collector.client.records import ms_of, time_of

DIMENSIONS_MAX: Final = 4000
"""That pgvector indexes, of 16 bits each."""

NO_EXTENSION = (
    "PostgreSQL lacks the extension pgvector: install it beside the server (Debian and Ubuntu: "
    "postgresql-VERSION-pgvector from apt.postgresql.org), or use the embedded PostgreSQL, which has it."
)
TOO_OLD = (
    "pgvector {version} is too old, as it gives too few rows where a query has conditions: install 0.8 or newer, then "
    "run `alter extension vector update`."
)
NO_RIGHT = "PostgreSQL refuses this login ({reason}): let somebody who may run `create extension vector` do so."
OTHER_SHAPES = (
    'The table {table} holds shapes of "{found}", and this memory has "{wanted}": give another name with table=.'
)

CREATE: Final = """
create table if not exists {table} (
    exchange text not null,
    symbol text not null,
    interval text not null,
    begins timestamptz not null,
    ends timestamptz not null,
    shape halfvec({dimensions}) not null,
    primary key (exchange, symbol, interval, begins)
)
"""
INDEX: Final = "create index if not exists {name}_shape on {table} using hnsw (shape halfvec_cosine_ops)"

_ENDS: Final = """
select min(begins), max(begins) from {table} where exchange = $1 and symbol = $2 and interval = $3
"""
_STAGE: Final = "create temp table staged (begins timestamptz, ends timestamptz, shape halfvec) on commit drop"
_FORGET: Final = """
delete from {table} known
where exchange = $1 and symbol = $2 and interval = $3 and begins >= $4 and begins <= $5
  and not exists (select from staged where staged.begins = known.begins)
"""
_KEEP: Final = """
insert into {table} as known (exchange, symbol, interval, begins, ends, shape)
select $1, $2, $3, begins, ends, shape from staged
on conflict (exchange, symbol, interval, begins) do update set shape = excluded.shape
where known.shape <> excluded.shape
"""
NEAREST: Final = """
select exchange, symbol, interval, begins, ends, 1 - (shape <=> $1::text::halfvec) as similarity
from {table}
where ends + $2::float8 * (ends - begins) <= $3
  and not (exchange = $4 and symbol = $5 and interval = $6 and ends + $7::float8 * (ends - begins) > $3)
  and ($8::text[] is null or symbol = any($8)) and ($9::text[] is null or interval = any($9))
order by shape <=> $1::text::halfvec
"""
_SETTINGS: Final = (
    # Without it an index gives fewer rows than asked for as soon as there is a condition.
    "set local hnsw.iterative_scan = strict_order",
    "set local hnsw.ef_search = 200",
    "set local hnsw.max_scan_tuples = 2147483647",
)
_WITHOUT_INDEX: Final = "set local enable_indexscan = off"

_PREFETCHED: Final = 500
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,40}(\.[a-z_][a-z0-9_]{0,40})?", re.ASCII)


class Series(Struct, frozen=True):
    """Whose windows they are."""

    exchange: str
    symbol: str
    interval: str


class StoredHit(Struct, frozen=True):
    """A past window of some series that is like the one that was asked about."""

    exchange: str
    symbol: str
    interval: str
    start: datetime
    end: datetime
    similarity: float
    """As 16 bits have it: right to three digits."""


class Asked(Struct, frozen=True):
    """What is looked for."""

    shape: Singles
    series: Series
    """Of now."""
    at: datetime
    horizon: float
    """In windows."""
    exclusion: float
    """In windows."""
    symbols: Sequence[str] | None
    intervals: Sequence[str] | None


class VectorTable:
    """One table; its connection is opened when it is first asked. Methods raise `DatabaseAway` and `WrongQuestion`."""

    def __init__(self, dsn: str, name: str, shape: Shape) -> None:
        """Raises `WrongQuestion`."""
        if not _NAME.fullmatch(name):
            raise WrongQuestion(f"table={name!r} is no name of a table: write small letters, digits and _.")
        if shape.dimensions > DIMENSIONS_MAX:
            raise WrongQuestion(
                f"Vectors of {shape.dimensions:,} numbers cannot be indexed, {DIMENSIONS_MAX:,} can: take a shorter "
                "window, or fewer channels."
            )
        self._dsn = dsn
        self._name = name
        self._shape = shape
        self._connection: asyncpg.Connection | None = None

    async def ends(self, series: Series) -> tuple[datetime, datetime] | None:
        """When the oldest and the newest window that it has begin."""
        async with self._opened() as connection:
            row = await connection.fetchrow(self._sql(_ENDS), series.exchange, series.symbol, series.interval)
        oldest, newest = (None, None) if row is None else row
        return (oldest, newest) if isinstance(oldest, datetime) and isinstance(newest, datetime) else None

    async def put(self, series: Series, page: VectorPage, begin_ms: int, end_ms: int) -> int:
        """Make these all windows that begin in this time, both ends included; how many were written."""
        named = (series.exchange, series.symbol, series.interval)
        async with self._opened() as connection, connection.transaction():
            await connection.execute(_STAGE)
            await connection.copy_to_table(
                "staged", source=BytesIO(_lines(page)), columns=("begins", "ends", "shape"), format="text"
            )
            await connection.execute(self._sql(_FORGET), *named, time_of(begin_ms), time_of(end_ms))
            written = await connection.execute(self._sql(_KEEP), *named)
        return int(written.rpartition(" ")[2])

    async def index(self) -> None:
        """Build the index if there is none, which may take minutes."""
        async with self._opened() as connection:
            await connection.execute(self._sql(INDEX))

    async def nearest(self, asked: Asked, wanted: int) -> list[StoredHit]:
        """The most similar windows, best first, and none closer to another one of its series than the exclusion."""
        async with self._opened() as connection:
            found = await self._found(connection, asked, wanted, _SETTINGS)
            if len(found) < wanted:
                # The index gives up where its memory is full.
                found = await self._found(connection, asked, wanted, (_WITHOUT_INDEX,))
        return found

    async def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _found(
        self, connection: asyncpg.Connection, asked: Asked, wanted: int, settings: Sequence[str]
    ) -> list[StoredHit]:
        hits: list[StoredHit] = []
        series = asked.series
        async with connection.transaction(readonly=True):
            for setting in settings:
                await connection.execute(setting)
            rows = connection.cursor(
                self._sql(NEAREST), _vector_text(asked.shape.tolist()), asked.horizon, asked.at, series.exchange,
                series.symbol, series.interval, max(asked.exclusion, asked.horizon), asked.symbols, asked.intervals,
                prefetch=_PREFETCHED,
            )  # fmt: skip
            async for row in rows:
                hit = _hit(row)
                if not any(_overlap(hit, other, asked.exclusion) for other in hits):
                    hits.append(hit)
                if len(hits) == wanted:
                    break
        return hits

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[asyncpg.Connection]:
        with _named_failures():
            if self._connection is None or self._connection.is_closed():
                self._connection = await connected(self._dsn, command_timeout_s=None)
                await self._prepare(self._connection)
            yield self._connection

    async def _prepare(self, connection: asyncpg.Connection) -> None:
        await _demand_extension(connection)
        async with connection.transaction():
            there = await connection.fetchval("select to_regclass($1)::text", self._name)
            if there is None:
                await connection.execute(self._sql(CREATE))
                await connection.execute(self._sql(f"comment on table {{table}} is '{self._shape.text}'"))
        found = await connection.fetchval("select obj_description(to_regclass($1), 'pg_class')", self._name)
        if found != self._shape.text:
            raise WrongQuestion(
                OTHER_SHAPES.format(table=self._name, found=found or "nobody knows what", wanted=self._shape.text)
            )

    def _sql(self, statement: str) -> str:
        return statement.format(table=self._name, name=self._name.rpartition(".")[2], dimensions=self._shape.dimensions)


async def _demand_extension(connection: asyncpg.Connection) -> None:
    row = await connection.fetchrow("select installed_version from pg_available_extensions where name = 'vector'")
    if row is None:
        raise WrongQuestion(NO_EXTENSION)
    if row["installed_version"] is None:
        await connection.execute("create extension if not exists vector")
    version = str(await connection.fetchval("select extversion from pg_extension where extname = 'vector'"))
    if tuple(int(part) for part in version.split(".")[:2]) < (0, 8):
        raise WrongQuestion(TOO_OLD.format(version=version))


@contextmanager
def _named_failures() -> Iterator[None]:
    """What is no address is a ValueError, of the driver's own too; its words may quote the password."""
    try:
        yield
    except WrongQuestion:
        raise
    except ValueError:
        raise WrongQuestion(WRONG_DATABASE) from None
    except DRIVER_ERRORS as error:
        if isinstance(error, asyncpg.PostgresError) and error.sqlstate == "42501":
            raise WrongQuestion(NO_RIGHT.format(reason=reason_of(error))) from None
        raise DatabaseAway(f"PostgreSQL cannot be used ({reason_of(error)}).") from None


def _lines(page: VectorPage) -> bytes:
    """As COPY reads them."""
    return "".join(
        f"{time_of(begin).isoformat()}\t{time_of(end).isoformat()}\t{_vector_text(shape)}\n"
        for begin, end, shape in zip(page.open_ms.tolist(), page.close_ms.tolist(), page.shapes.tolist(), strict=True)
    ).encode()


def _vector_text(shape: Sequence[float]) -> str:
    return f"[{','.join(f'{number:.5g}' for number in shape)}]"


def _hit(row: asyncpg.Record) -> StoredHit:
    exchange, symbol, interval, begins, ends, similarity = row
    assert isinstance(begins, datetime)
    assert isinstance(ends, datetime)
    assert isinstance(similarity, float)
    return StoredHit(str(exchange), str(symbol), str(interval), begins, ends, similarity)


def _overlap(one: StoredHit, other: StoredHit, exclusion: float) -> bool:
    is_same = (one.exchange, one.symbol, one.interval) == (other.exchange, other.symbol, other.interval)
    return is_same and abs(ms_of(one.start) - ms_of(other.start)) < exclusion * (ms_of(one.end) - ms_of(one.start))
