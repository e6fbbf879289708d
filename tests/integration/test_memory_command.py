"""`data-collector memory`: moments like now as tables, and shapes in PostgreSQL, from history and then live."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from data_collector.embedded.postgres import programs_for, server_user
from data_collector.model.records import Kline
from data_collector.model.store_url import StoreAddress
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.writing import PostgresWriter
from tests.contract import stores
from tests.integration.command import embedded_store, finished, running
from tests.integration.postgres_server import fresh_database, postgres_server, rows
from tests.integration.waiting import until_async
from tests.market import SYMBOL, kline
from tests.unit.client.adapters.candles import walk

COUNT = 400
PRICES = [f"{price:.2f}" for price in walk(COUNT + 10)]
WORDS = ("--window", "16")


def candle(minute: int) -> Kline:
    price = PRICES[minute]
    return kline(
        minute, close=price, high=f"{float(price) + minute % 7 + 1:.2f}", low=price, volume=f"{minute % 5 + 1}"
    )


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The embedded one, which has pgvector."""
    with postgres_server(programs=programs_for(server_user())) as server:
        yield server.dsn


@pytest.fixture
async def dsn(server: str) -> AsyncIterator[str]:
    """A database with history."""
    with fresh_database(server) as dsn:
        pool = await open_pool(dsn, size=2)
        async with pool.acquire() as connection:
            await migrate(connection)
        await PostgresWriter(pool, "binance").put_klines([candle(minute) for minute in range(COUNT)], source="rest")
        await pool.close()
        yield dsn


@asynccontextmanager
async def opened_store(folder: Path) -> AsyncIterator[StoreAddress]:
    """One that holds the newest candle."""
    async with embedded_store(folder / "var") as store:
        async with stores.opened(stores.redis_sink(store.address)) as sink:
            await sink.write(stores.klines(candle(COUNT - 1)))
        yield store.address


async def test_tables_show_hits_and_what_followed_beside_random_windows(tmp_path: Path, dsn: str) -> None:
    async with opened_store(tmp_path):
        shown = await finished(tmp_path, "memory", "similar", "btcusdt", *WORDS, "-k", "12", DATABASE_URL=dsn)
        long = await finished(tmp_path, "memory", "similar", SYMBOL, "--window", "500", DATABASE_URL=dsn)
        told = await finished(
            tmp_path, "memory", "similar", SYMBOL, *WORDS, "--at", "2024-01-01T15:00:00+00:00", "--horizons", "3",
            "--json", DATABASE_URL=dsn,
        )  # fmt: skip

    assert (shown.code, told.code) == (0, 0), shown.errors + told.errors
    assert (long.code, "BTCUSDT 1m: There are 400 candles by then" in long.errors) == (1, True), long.errors
    lines = shown.output.splitlines()
    assert lines[0] == (
        "BTCUSDT 1m: the 16 candles up to 2024-01-01T18:40:00+00:00, among 400 candles since 2024-01-01T12:00:00+00:00"
    )
    assert ["begins", "similarity", "scale", "5", "later", "15", "later", "60", "later"] in [
        line.split() for line in lines
    ]
    assert sum(line.startswith("2024-01-01T") for line in lines) <= 10
    assert [line.split()[1] for line in lines if line.startswith("alike")] == ["5", "15", "60"]
    assert sum(line.startswith("random") for line in lines) == 3
    assert "No promise." in shown.output
    moments = json.loads(told.output)
    assert moments["forecasts"][0]["at"] == "2024-01-01T15:00:00Z"
    assert moments["hits"][0]["after"].keys() == {"3"}


async def test_shapes_are_written_and_followed_and_go_on_after_ctrl_c(tmp_path: Path, dsn: str) -> None:
    command = ("memory", "--vectors", "--symbols", SYMBOL, *WORDS)

    def written() -> int:
        there = rows(dsn, "select to_regclass('market_memory')::text")[0][0]
        return len(rows(dsn, "select from market_memory")) if there else 0

    async with opened_store(tmp_path) as address, stores.opened(stores.redis_sink(address)) as sink:
        async with running(tmp_path, *command, DATABASE_URL=dsn) as process:
            await until_async(lambda: written() == COUNT - 15, "shapes of history")
            await sink.write(stores.klines(candle(COUNT)))
            await until_async(lambda: written() == COUNT - 14, "the shape of a live candle")
            process.send_signal(signal.SIGINT)
            output, errors = await asyncio.wait_for(process.communicate(), 30)
        await sink.write(stores.klines(candle(COUNT + 1), candle(COUNT + 2)))
        async with running(tmp_path, *command, DATABASE_URL=dsn) as process:
            await until_async(lambda: written() == COUNT - 12, "what came meanwhile")
            process.send_signal(signal.SIGTERM)
            await process.wait()

    assert output.decode().splitlines() == [
        f"{COUNT - 15} shapes written.",
        "Following BTCUSDT:1m; Ctrl-C ends it.",
        "BTCUSDT 1m: 1 shapes written, up to the candle of 2024-01-01T18:40:00+00:00",
    ]
    assert errors.decode().endswith("Stopped. The same command goes on from here.\n")
    assert process.returncode == 130
