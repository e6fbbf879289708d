"""A database with candles and trades to export, and the export of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from msgspec import structs

from data_collector.history.export import ExportOrder, Manifest, export
from data_collector.model.calendar import UtcCalendar
from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Trade
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.reading import PostgresReader
from data_collector.sinks.postgres.writing import PostgresWriter

MINUTE_MS = 60_000
START_MS = 1_704_067_200_000
"""2024-01-01T00:00:00Z."""
NOW_MS = START_MS + 366 * 86_400_000
LONG = "123456789012.12345678"
MINUTES = [*range(5), *range(7, 10)]
"""Of these there are candles; the exchange never had 5, and 6 is missing."""
CANDLES, MONTHS, TRADES = Key("kline", "BTCUSDT", "1m"), Key("kline", "BTCUSDT", "1M"), Key("trade", "BTCUSDT")


def candle(open_ms: int, interval: str = "1m") -> Kline:
    return Kline(
        symbol="BTCUSDT", interval=interval, open_ms=open_ms, close_ms=open_ms + MINUTE_MS - 1, open="42000.10",
        high="42000.20000000", low="41999.9", close="42000.15", volume=LONG, quote_volume="1.50",
        taker_buy_base_volume="0", taker_buy_quote_volume="0.00000001", trades=7, is_closed=True, event_ms=open_ms,
    )  # fmt: skip


def trade(trade_id: int) -> Trade:
    """One a second."""
    time_ms = START_MS + trade_id * 1000
    return Trade("BTCUSDT", trade_id, "42000.10", "0.00001", time_ms, time_ms, trade_id % 2 == 0, sub_ms_us=7)


@asynccontextmanager
async def filled(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Of a database with candles and trades."""
    pool = await open_pool(database, size=2)
    async with pool.acquire() as connection:
        await migrate(connection)
    writer = PostgresWriter(pool, "binance")
    await writer.put_klines([candle(START_MS + at * MINUTE_MS) for at in MINUTES], source="rest")
    await writer.put_klines([candle(START_MS, "1M")], source="rest")
    missing_ms = START_MS + 5 * MINUTE_MS
    await writer.put_gaps(Key("kline", "BTCUSDT", "1m"), [Gap(missing_ms, missing_ms, 1, "absent")])
    await writer.put_trades([trade(number) for number in range(100) if number != 50], source="ws")
    yield pool
    await pool.close()


async def exported(pool: asyncpg.Pool, folder: Path, *series: Key, **changes: object) -> Manifest:
    order = ExportOrder(
        series=series,
        from_ms=None,
        to_ms=None,
        folder=folder,
        exchange="binance",
        made_by="data-collector 0",
        now_ms=NOW_MS,
    )
    told: list[float] = []
    manifest = await export(
        PostgresReader(pool, "binance"), UtcCalendar(), structs.replace(order, **changes),
        lambda _, share, __: told.append(share), place="here",
    )  # fmt: skip
    assert told == sorted(told) or len(series) > 1
    return manifest
