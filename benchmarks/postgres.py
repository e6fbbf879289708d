"""Rows per second into PostgreSQL: the writer beside a plain COPY and beside one committed INSERT per row.

All three write the same candles into a table with the same columns and the same key, on the same server, in turns; it
is the embedded one, so it syncs each commit to the disk.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.model.records import Kline, Origin, Sourced
from data_collector.observe.logs import get_log
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import PostgresPool, open_pool
from data_collector.sinks.postgres.writing import KLINE_COLUMNS, PostgresWriter, kline_lines

BATCH = 10_000
ROUNDS = 5
INSERTS = 400
"""Commits that are each synced take a millisecond or more, and their rate does not depend on how many there are."""

MINUTE_MS = 60_000
START_MS = 1_704_067_200_000

INSERT = """
insert into market_data_ohlcv (symbol, interval, "timestamp", open, high, low, close, volume, trades, quote_volume,
  taker_buy_base_volume, taker_buy_quote_volume)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""


def klines(count: int, symbol: str) -> list[Kline]:
    """Minutes as Binance's numbers look."""
    made = []
    for number in range(count):
        open_ms = START_MS + number * MINUTE_MS
        price = f"{60_000 + number % 7919}.{number % 100:02}000000"
        volume, quote = f"{number % 1000}.12345000", f"{number % 100_000}123.45678900"
        made.append(
            Kline(
                symbol, "1m", open_ms, open_ms + MINUTE_MS - 1, price, price, price, price, volume, quote, volume,
                quote, 1234, True, open_ms + MINUTE_MS,
            )
        )  # fmt: skip
    return made


async def run(*, rows: int) -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp(prefix="dc-bench-"))
    server = EmbeddedPostgres(folder, log=get_log(), port=0)
    try:
        await server.start()
        pool = await open_pool(server.dsn, size=1)
        async with pool.acquire() as connection:
            await migrate(connection)
        await _compare(pool, rows)
        await pool.close()
    finally:
        await server.empty()
        shutil.rmtree(folder, ignore_errors=True)


async def _compare(pool: PostgresPool, rows: int) -> None:
    print(f"Rows per second into PostgreSQL, {rows:,} candles in batches of {BATCH:,}, {ROUNDS} rounds in turns:")
    written, copied, inserted = [], [], []
    for number in range(ROUNDS):
        written.append(await _write(pool, klines(rows, f"W{number}")))
        copied.append(await _copy(pool, klines(rows, f"C{number}")))
        inserted.append(await _insert(pool, klines(INSERTS, f"I{number}")))
    share = statistics.median(w / c for w, c in zip(written, copied, strict=True))
    times = statistics.median(w / i for w, i in zip(written, inserted, strict=True))
    for name, rates in (("the writer", written), ("plain COPY", copied), ("one INSERT, one commit", inserted)):
        print(f"  {name:24} {statistics.median(rates):10,.0f}/s   (from {min(rates):,.0f} to {max(rates):,.0f})")
    print(
        f"  {share:.0%} of COPY, bar 50 %: {_met(share >= 0.5)}   {times:.0f} times INSERT, bar 10: {_met(times >= 10)}"
    )


async def _write(pool: PostgresPool, rows: Sequence[Kline]) -> float:
    writer = PostgresWriter(pool, "binance")
    begin = time.perf_counter()
    for start in range(0, len(rows), BATCH):
        await writer.put_klines(rows[start : start + BATCH], source="rest")
    return len(rows) / (time.perf_counter() - begin)


async def _copy(pool: PostgresPool, rows: Sequence[Kline]) -> float:
    # Its text is made before the clock starts: of the writer that is counted.
    texts = [_lines(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
    async with pool.acquire() as connection:
        begin = time.perf_counter()
        for lines in texts:
            await connection.copy_to_table(
                "market_data_ohlcv", source=BytesIO(lines), columns=KLINE_COLUMNS, format="text"
            )
    return len(rows) / (time.perf_counter() - begin)


async def _insert(pool: PostgresPool, rows: Sequence[Kline]) -> float:
    values = [line.decode().split("\t") for line in _lines(rows).splitlines()]
    begin = time.perf_counter()
    async with pool.acquire() as connection:
        for row in values:
            await connection.execute(INSERT, *row[:8], int(row[8]), *row[9:12])
    return len(rows) / (time.perf_counter() - begin)


def _lines(rows: Sequence[Kline]) -> bytes:
    return kline_lines([Sourced(row, Origin("rest")) for row in rows])


def _met(met: bool) -> str:
    return "met" if met else "missed"
