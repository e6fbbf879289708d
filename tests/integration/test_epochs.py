"""Trade ids that begin anew, from the exchange to both stores and to who reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from msgspec import structs

from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.reading import PostgresReader
from data_collector.sinks.postgres.writing import PostgresWriter, Written
from tests.market import trade


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Of a database with our tables."""
    pool = await open_pool(database, size=2)
    async with pool.acquire() as connection:
        await migrate(connection)
    yield pool
    await pool.close()


async def test_trades_of_two_epochs_with_the_same_ids_stand_side_by_side(pool: asyncpg.Pool) -> None:
    """Ids begin anew: old trades are neither replaced nor mixed with new ones."""
    writer = PostgresWriter(pool)
    old = [trade(number) for number in range(600)]
    new = [structs.replace(each, price="7.5", time_ms=each.time_ms + 60_000) for each in old[:550]]
    await writer.put_trades(old, source="ws")
    written = [await writer.put_trades(new, source="ws", epoch=1) for _ in range(2)]
    written.append(await writer.put_trades(new[:3], source="ws", epoch=1))
    await writer.put_gaps(Key("trade", "BTCUSDT"), [Gap(3, 4, 2, "absent")], epoch=1)

    first, second = PostgresReader(pool), PostgresReader(pool).in_epoch(1)
    assert written == [Written(added=550), Written(known=550), Written(known=3)]
    assert [await first.epochs("BTCUSDT"), await first.epochs("ETHUSDT")] == [[0, 1], [0]]
    assert [await first.trade_span("BTCUSDT"), await second.trade_span("BTCUSDT")] == [(0, 599), (0, 549)]
    assert [each.price for each in await first.trades_by_id("BTCUSDT", 0, 2, 9)] == [old[0].price] * 3
    assert [each.price for each in await second.trades_by_id("BTCUSDT", 0, 2, 9)] == ["7.5"] * 3
    assert [len(await each.gaps(Key("trade", "BTCUSDT"))) for each in (first, second)] == [0, 1]
