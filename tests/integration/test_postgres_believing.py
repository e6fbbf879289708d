"""What the PostgreSQL sink believes of a server that takes something else than it was given, and says nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from msgspec import structs

from data_collector.model.errors import CollectorError, Misconfigured, RowsRefused
from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.records import Origin, Sourced
from data_collector.sinks.postgres.following import FollowedDatabase
from data_collector.sinks.postgres.suitability import facts_of
from data_collector.sinks.postgres.writing import LONG, PostgresWriter
from tests.integration.postgres_server import execute, fresh_database
from tests.integration.postgres_server import rows as answer_of
from tests.integration.test_postgres_writing import KLINE, TRADE, minute
from tests.market import NOON_MS, ticker

KEEPS_OUT = """
create function keep_out() returns trigger language plpgsql as 'begin return null; end';
create trigger keep_out before {} on {} for each row execute function keep_out()
"""


@pytest.fixture
def database(database_server: str) -> Iterator[str]:
    with fresh_database(database_server) as dsn:
        yield dsn


@pytest.fixture
async def followed(database: str) -> AsyncIterator[FollowedDatabase]:
    opened = await FollowedDatabase.open(database, "binance")
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("table", "column", "altered"),
    [
        ("market_data_trades", "quantity", "numeric(18,2)"),
        ("market_data_trades", "price", "double precision"),
        ("market_data_trades", "timestamp", "timestamp(0) with time zone"),
        ("market_data_ohlcv", "volume", "numeric(30,4)"),
        ("market_data_tickers", "last_price", "integer"),
    ],
)
async def test_column_that_somebody_altered_takes_nothing_and_is_told_with_the_cure(
    followed: FollowedDatabase, database: str, table: str, column: str, altered: str
) -> None:
    """`ALTER TABLE … TYPE numeric(18,2)` while rows are written: digits were lost, and nobody heard of it."""
    execute(database, f'alter table {table} alter column "{column}" type {altered}')
    cure = f'{table}."?{column}"? is .*ALTER TABLE {table} ALTER COLUMN "{column}" TYPE'

    async def write() -> None:
        if table == "market_data_tickers":
            await followed.put_tickers([ticker(NOON_MS)])
        else:
            await followed.put(
                [Sourced(KLINE, Origin("ws"))], [], [Sourced(TRADE, Origin("ws"))], [], {"stream": "1-1"}
            )  # fmt: skip

    with pytest.raises(Misconfigured, match=cure):
        await write()
    assert answer_of(database, f"select count(*) from {table}") == [(0,)]
    assert await followed.cursors() == {}
    with pytest.raises(Misconfigured, match=cure):
        await FollowedDatabase.open(database, "binance")
    assert (await facts_of(database)).fault is not None

    kind = "timestamp with time zone" if column == "timestamp" else "numeric"
    execute(database, f'alter table {table} alter column "{column}" type {kind}')
    await write()
    assert answer_of(database, f"select count(*) from {table}") == [(1,)]
    assert (await facts_of(database)).fault is None


@pytest.mark.parametrize("table", ["market_data_ohlcv", "market_data_trades", "market_data_gaps"])
async def test_trigger_that_keeps_rows_out_keeps_the_cursor_where_it_is(
    followed: FollowedDatabase, database: str, table: str
) -> None:
    """A trigger that returns NULL: the rows were missing, and the cursor moved on."""
    execute(database, KEEPS_OUT.format("insert", table))
    gap = (Key("trade", "BTCUSDT"), Gap(1, 4, 4, "skipped"), 0)

    with pytest.raises(RowsRefused, match=f"did not get into {table}.* a trigger or a rule"):
        await followed.put(
            [Sourced(KLINE, Origin("ws"))], [], [Sourced(TRADE, Origin("ws"))], [gap], {"stream": "1-1"}
        )  # fmt: skip
    assert await followed.cursors() == {}


async def test_trigger_that_keeps_out_what_replaces_a_row_is_told(followed: FollowedDatabase, database: str) -> None:
    """The corrected row was believed to be there, because one was."""
    await followed.put([], [], [Sourced(TRADE, Origin("ws"))], [], {})
    execute(database, KEEPS_OUT.format("update", "market_data_trades"))
    await followed.put([], [], [Sourced(TRADE, Origin("ws"))], [], {})

    other = structs.replace(TRADE, price="1.0")
    with pytest.raises(RowsRefused, match="1 of 1 rows did not get into market_data_trades"):
        await followed.put([], [], [Sourced(other, Origin("ws"))], [], {})


async def test_trigger_that_keeps_tickers_out_is_told(followed: FollowedDatabase, database: str) -> None:
    await followed.put_tickers([ticker(NOON_MS)])
    assert await followed.put_tickers([ticker(NOON_MS)]) == 0
    execute(database, KEEPS_OUT.format("insert", "market_data_tickers"))

    with pytest.raises(RowsRefused, match="market_data_tickers"):
        await followed.put_tickers([ticker(NOON_MS + 1)])


async def test_rows_that_a_backfill_copies_are_counted(pool: asyncpg.Pool, database: str) -> None:
    """A long series goes straight into the table."""
    writer = PostgresWriter(pool, "binance")
    klines = [minute(number) for number in range(LONG)]
    await writer.put_klines(klines, source="rest")
    await writer.put_klines([structs.replace(each, volume="2") for each in klines], source="rest")

    execute(database, KEEPS_OUT.format("insert", "market_data_ohlcv"))
    refused: list[CollectorError] = []
    for series in ([minute(number + LONG) for number in range(LONG)], [minute(LONG)]):
        with pytest.raises(RowsRefused) as caught:
            await writer.put_klines(series, source="rest")
        refused.append(caught.value)
    assert [str(each).split(" did ")[0] for each in refused] == [f"{LONG} of {LONG} rows", "1 of 1 rows"]


async def test_rows_of_another_symbol_are_written_while_one_is_kept_out(
    followed: FollowedDatabase, database: str
) -> None:
    condition = "for each row when (new.symbol = 'BTCUSDT') execute"
    execute(database, KEEPS_OUT.replace("for each row execute", condition).format("insert", "market_data_trades"))
    other = structs.replace(TRADE, symbol="ETHUSDT")

    with pytest.raises(RowsRefused):
        await followed.put([], [], [Sourced(TRADE, Origin("ws")), Sourced(other, Origin("ws"))], [], {})
    await followed.put([], [], [Sourced(other, Origin("ws"))], [], {"trades:ETHUSDT": "1-5"})
    assert answer_of(database, "select symbol from market_data_trades") == [("ETHUSDT",)]
