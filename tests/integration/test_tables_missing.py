"""A database without our tables, as while the history writer begins: it is read as soon as they are there."""

from __future__ import annotations

import asyncpg
import pytest

from data_collector.api.series.postgres import PostgresAway, PostgresReading
from data_collector.sinks.postgres.migrate import migrate


async def test_database_is_read_as_soon_as_its_tables_have_been_made(database: str) -> None:
    """No pause follows, as after a server that is away: whoever asks for the first chart asks too soon."""
    reading = PostgresReading(database, "binance")
    with pytest.raises(PostgresAway, match="does not exist"):
        async with reading.turn() as reader:
            await reader.span("BTCUSDT", "1m")
    connection = await asyncpg.connect(database)
    await migrate(connection)
    await connection.close()

    async with reading.turn() as reader:
        assert await reader.span("BTCUSDT", "1m") is None
    reading.close()
