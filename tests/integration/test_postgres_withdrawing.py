"""Candles that were built and that the exchange proved not to have stay out of PostgreSQL."""

from __future__ import annotations

import pytest
from msgspec import structs

from data_collector.model.errors import Misconfigured
from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.rights import demand_rights, rights_to_repair
from data_collector.sinks.postgres.writing import LONG, PostgresWriter
from tests.integration.postgres_server import login, rows
from tests.market import MINUTE_MS, kline


@pytest.mark.parametrize("count", [3, LONG])
async def test_built_candle_that_was_withdrawn_does_not_come_back(database: str, count: int) -> None:
    """The stream is read again from its beginning, where nothing else is stored."""
    first = kline(0)
    built = [
        structs.replace(first, open_ms=open_ms, close_ms=open_ms + MINUTE_MS - 1)
        for open_ms in range(first.open_ms, first.open_ms + count * MINUTE_MS, MINUTE_MS)
    ]
    times = [each.open_ms for each in built[:2]]
    pool = await open_pool(database, size=2)
    async with pool.acquire() as connection:
        await migrate(connection)
    writer = PostgresWriter(pool, "binance", place="the test's")

    await writer.put_klines(built[:2], source="built")
    await writer.withdraw_klines(Key("kline", first.symbol, "1m"), times, [Gap(times[0], times[1], 2, "absent")])
    again = await writer.put_klines(built, source="built")
    other = await writer.put_klines(built[:1], source="rest")
    await pool.close()

    assert (again.added, other.added) == (count - 2, 1)
    assert rows(database, "select count(*) from market_data_ohlcv") == [(count - 1,)]


async def test_repair_asks_at_its_start_for_the_right_to_take_candles_out(database: str) -> None:
    pool = await open_pool(database, size=1)
    async with pool.acquire() as connection:
        await migrate(connection)
    await pool.close()
    most = "select, insert, update on all tables in schema public"

    with login(database, most, "delete on market_data_quarantine, market_data_gaps") as (name, url):
        pool = await open_pool(url, size=1)
        async with pool.acquire() as connection:
            with pytest.raises(Misconfigured, match=f"DELETE ON public.market_data_ohlcv TO {name}"):
                await demand_rights(connection, rights_to_repair())
        await pool.close()
