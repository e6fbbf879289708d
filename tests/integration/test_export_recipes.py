"""The examples that read an export: DuckDB's and vectorbt's, each in an environment of its own."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from msgspec import structs

from data_collector.sinks.postgres.writing import PostgresWriter
from tests.foreign.environments import environment_of, said_by
from tests.integration.exports import CANDLES, MINUTE_MS, START_MS, TRADES, candle, exported, filled, trade


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Of a database with candles and trades."""
    async with filled(database) as pool:
        yield pool


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_duckdb_makes_the_exchanges_candles_of_trades(pool: asyncpg.Pool, tmp_path: Path) -> None:
    python = environment_of("duckdb", sees_ours=True)
    writer = PostgresWriter(pool, "binance")
    of_trades = {"open": "42000.1", "high": "42000.1", "low": "42000.1", "close": "42000.1", "volume": "0.0006"}
    minutes = [candle(START_MS + at * MINUTE_MS) for at in range(5)]
    await writer.put_klines([structs.replace(each, symbol="ETHUSDT", **of_trades) for each in minutes], source="rest")
    trades = [structs.replace(trade(number), symbol="ETHUSDT") for number in range(300) if number != 150]
    await writer.put_trades(trades, source="ws")
    series = [structs.replace(key, symbol="ETHUSDT") for key in (CANDLES, TRADES)]
    await exported(pool, tmp_path / "out", *series)

    said = said_by(python, "examples/candles_with_duckdb.py", str(tmp_path / "out"), "ETHUSDT")

    assert "2 of 3 candles are those of their trades, to the last digit." in said
    assert re.search(r"│ 2024-01-01 00:02:00\+00 +│ 0\.0006\d* │ 0\.00059\d* │ false", said)
    assert re.search(r"ETHUSDT-trades.parquet │ +150 │ +150 │ +1 │ missing", said)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_vectorbt_tests_a_crossing_over_what_was_exported(pool: asyncpg.Pool, tmp_path: Path) -> None:
    python = environment_of("vectorbt", sees_ours=True)
    waves = {at: f"{100 + 10 * math.sin(at / 30):.2f}" for at in range(600) if not 300 <= at < 310}
    rows = [
        structs.replace(candle(START_MS + at * MINUTE_MS), symbol="ETHUSDT", open=text, high=text, low=text, close=text)
        for at, text in waves.items()
    ]
    await PostgresWriter(pool, "binance").put_klines(rows, source="rest")
    manifest = await exported(pool, tmp_path / "out", structs.replace(CANDLES, symbol="ETHUSDT"), decimals="float")

    said = said_by(python, "examples/backtest_with_vectorbt.py", str(tmp_path / "out" / manifest.files[0].file))

    assert "590 candles from 2024-01-01 00:00:00+00:00 to 2024-01-01 09:59:00+00:00" in said
    assert "10 are missing." in said
    earned = re.search(r"(\d+) trades, \+([\d.]+)% after fees of 0.10% a side", said)
    assert earned is not None, said
    assert int(earned[1]) >= 2, "waves cross"
    assert float(earned[2]) > 5, "and a wave is far above the fee"
