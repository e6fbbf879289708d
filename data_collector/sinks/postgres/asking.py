"""Asking PostgreSQL without changing anything, in bounded time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from data_collector.sinks.postgres.failures import named_failures

# A double holds seconds to a quarter of a microsecond and the server rounds to whole ones: ms stay what they were.
AT_MS = "to_timestamp({}::bigint / 1000.0)"

OPEN_MS = '(extract(epoch from "timestamp") * 1000)::bigint'


class Asking:
    """Read-only transactions of a pool. Methods raise `SinkUnavailable` and `Misconfigured`, which name `place`."""

    def __init__(self, pool: asyncpg.Pool, place: str, statement_timeout_s: float | None = None) -> None:
        """After `statement_timeout_s` the server itself ends a statement, also one whose reader has gone."""
        self._pool = pool
        self._place = place
        self._statement_timeout_s = statement_timeout_s

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for as long as the block lasts."""
        with named_failures(self._place):
            async with self._pool.acquire() as connection, connection.transaction(readonly=True):
                if self._statement_timeout_s is not None:
                    await connection.execute(f"set local statement_timeout = {self._statement_timeout_s * 1000:.0f}")
                yield connection

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """All rows of a query."""
        if self._statement_timeout_s is None:
            with named_failures(self._place):
                return await self._pool.fetch(query, *arguments)
        async with self.transaction() as connection:
            return await connection.fetch(query, *arguments)
