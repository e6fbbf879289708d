"""What the PostgreSQL sink does with a real server: every row once, digits intact, revisions kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import asyncpg
import pytest
from msgspec import structs

from data_collector.model.calendar import UtcCalendar
from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Origin, Sourced, Trade
from data_collector.sinks.postgres import reading
from data_collector.sinks.postgres.asking import AT_MS
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.reading import PostgresReader
from data_collector.sinks.postgres.writing import KLINES, LONG, PostgresWriter, Written, put
from tests.integration.postgres_server import execute, fresh_database

MINUTE_MS = 60_000
START_MS = 1_704_067_200_000
"""2024-01-01T00:00:00Z."""

KLINE = Kline(
    symbol="BTCUSDT", interval="1m", open_ms=START_MS, close_ms=START_MS + MINUTE_MS - 1, open="42000.10",
    high="42000.20000000", low="41999.9", close="42000.15", volume="123456789012.12345678", quote_volume="1.50",
    taker_buy_base_volume="0", taker_buy_quote_volume="0.00000000", trades=7, is_closed=True,
    event_ms=START_MS + MINUTE_MS - 1,
)  # fmt: skip

TRADE = Trade(
    symbol="BTCUSDT", trade_id=5, price="42000.10000000", quantity="0.00001", time_ms=START_MS, event_ms=START_MS,
    is_buyer_maker=True,
)  # fmt: skip

INSERT = (
    "INSERT INTO market_data_ohlcv (symbol, timestamp, open, high, low, close, volume, interval) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
)

BARE = structs.replace(KLINE, quote_volume=None, taker_buy_base_volume=None, taker_buy_quote_volume=None, trades=None)
"""As an exchange tells it that has no more."""

VALUES = """"timestamp", open, high, low, close, volume, trades, quote_volume, taker_buy_base_volume,
  taker_buy_quote_volume, source, warnings"""

KNOWN_AT = f"""
select {reading._KLINE} from (
  select {VALUES} from market_data_ohlcv where {reading._KLINE_RANGE} and recorded_at <= {AT_MS.format("$6")}
  union all
  select {VALUES} from market_data_ohlcv_revisions where {reading._KLINE_RANGE}
    and known_from <= {AT_MS.format("$6")} and known_until > {AT_MS.format("$6")}
) as known order by "timestamp"
"""
"""What the database knew at a time: revisions in place of what replaced them later, later candles left out."""


@pytest.fixture(params=["database_server", pytest.param("timescale_server", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The same is expected of partitions and of a hypertable."""
    with fresh_database(request.getfixturevalue(request.param)) as dsn:
        if request.param == "timescale_server":
            execute(dsn, "create extension timescaledb")
        yield dsn


async def known_at(pool: asyncpg.Pool, to_ms: int, known_ms: int) -> list[Kline]:
    """The candles from the first minute on, as they were known then."""
    rows = await pool.fetch(KNOWN_AT, "binance", "BTCUSDT", "1m", START_MS, to_ms, known_ms)
    return [PostgresReader(pool, "binance")._kline("BTCUSDT", "1m", row) for row in rows]


def minute(number: int, **changes: object) -> Kline:
    """The candle of that minute."""
    open_ms = START_MS + number * MINUTE_MS
    times = {"open_ms": open_ms, "close_ms": open_ms + MINUTE_MS - 1, "event_ms": open_ms + MINUTE_MS - 1}
    return structs.replace(KLINE, **{**times, **changes})


async def test_candles_and_trades_come_back_with_every_digit(pool: asyncpg.Pool) -> None:
    writer, reader = PostgresWriter(pool, "binance"), PostgresReader(pool, "binance")
    fine = structs.replace(TRADE, trade_id=6, sub_ms_us=123, buyer_order_id=1, seller_order_id=2**62)

    await writer.put_klines([KLINE], source="ws")
    await writer.put_trades([TRADE, fine], source="ws")

    assert await reader.klines("BTCUSDT", "1m", START_MS, START_MS + MINUTE_MS, 10) == [KLINE]
    assert await reader.trades("BTCUSDT", START_MS, START_MS + 1, 10) == [TRADE, fine]


async def test_what_an_exchange_does_not_tell_comes_back_as_not_told(pool: asyncpg.Pool) -> None:
    writer, reader = PostgresWriter(pool, "binance"), PostgresReader(pool, "binance")
    trade = structs.replace(TRADE, is_buyer_maker=None)

    written = [
        await writer.put_klines([BARE], source="ws") + await writer.put_trades([trade], source="ws") for _ in range(2)
    ]

    assert written == [Written(added=2), Written(known=2)]
    assert await reader.klines("BTCUSDT", "1m", START_MS, START_MS + MINUTE_MS, 10) == [BARE]
    assert await reader.trades("BTCUSDT", START_MS, START_MS + 1, 10) == [trade]


async def test_what_another_source_tells_more_is_filled_in_and_not_taken_out_again(pool: asyncpg.Pool) -> None:
    writer, reader = PostgresWriter(pool, "binance"), PostgresReader(pool, "binance")
    bare = structs.replace(TRADE, is_buyer_maker=None)

    written = []
    for kline, trade in ((BARE, bare), (KLINE, TRADE), (BARE, bare)):
        of_trades = await writer.put_trades([trade], source="rest")
        written.append(of_trades + await writer.put_klines([kline], source="rest"))

    assert written == [Written(added=2), Written(changed=2), Written(known=2)]
    assert await reader.klines("BTCUSDT", "1m", START_MS, START_MS + MINUTE_MS, 10) == [KLINE]
    assert await reader.trades("BTCUSDT", START_MS, START_MS + 1, 10) == [TRADE]


@pytest.mark.parametrize("count", [3, LONG])
async def test_rows_come_back_with_where_they_are_from(pool: asyncpg.Pool, count: int) -> None:
    writer, reader = PostgresWriter(pool, "binance"), PostgresReader(pool, "binance")
    klines = [minute(number) for number in range(count)]
    trades = [structs.replace(TRADE, trade_id=number) for number in range(count)]
    marks = {klines[1].open_ms: ("price_swing", "null")}

    await writer.put_klines(klines, source="file", warnings=marks)
    await writer.put_trades(trades, source="built", warnings={2: ("tick_size",)})

    found = await reader.sourced_klines("BTCUSDT", "1m", START_MS, START_MS + 3 * MINUTE_MS, 10)
    assert [row.origin for row in found] == [Origin("file"), Origin("file", ("price_swing", "null")), Origin("file")]
    stored = await reader.sourced_trades_by_id("BTCUSDT", 0, 2, 10)
    assert [row.origin for row in stored] == [Origin("built"), Origin("built"), Origin("built", ("tick_size",))]


async def test_words_of_others_about_the_source_are_not_taken_over(pool: asyncpg.Pool) -> None:
    await pool.execute(INSERT, "BTCUSDT", "2024-01-01T00:00:00Z", 1, 1, 1, 1, 1, "1m")
    await pool.execute(
        """update market_data_ohlcv set source = 'my own', warnings = array['</script>', null, 'fine']"""
    )

    (found,) = await PostgresReader(pool, "binance").sourced_klines("BTCUSDT", "1m", START_MS, START_MS + 1, 10)

    assert found.origin == Origin(None, ("fine",))


async def test_a_candle_that_is_replaced_is_kept_with_where_it_was_from(pool: asyncpg.Pool) -> None:
    writer = PostgresWriter(pool, "binance")
    await writer.put_klines([minute(0)], source="built", warnings={START_MS: ("price_swing",)})

    await writer.put_klines([minute(0, close="42000.16")], source="rest")

    columns = "select source, warnings from market_data_ohlcv"
    assert [list(row) for row in await pool.fetch(columns)] == [["rest", None]]
    assert [list(row) for row in await pool.fetch(f"{columns}_revisions")] == [["built", ["price_swing"]]]


async def test_what_is_written_again_changes_nothing(pool: asyncpg.Pool) -> None:
    writer = PostgresWriter(pool, "binance")
    klines, trades = [minute(0), minute(1)], [TRADE, structs.replace(TRADE, trade_id=6)]
    first = await writer.put_klines(klines, source="ws") + await writer.put_trades(trades, source="ws")

    again = await writer.put_klines([*klines, minute(2)], source="rest")
    again += await writer.put_trades([*trades, *trades], source="rest")

    assert first == Written(added=4)
    assert again == Written(added=1, known=4)
    assert await pool.fetchval("select count(*) from market_data_ohlcv_revisions") == 0
    assert await pool.fetchval("select count(*) from market_data_ohlcv where source = 'ws'") == 2


async def test_a_candle_that_differs_replaces_the_stored_one_which_is_kept_as_known_until_then(
    pool: asyncpg.Pool,
) -> None:
    writer, reader = PostgresWriter(pool, "binance"), PostgresReader(pool, "binance")
    await writer.put_klines([minute(0), minute(1)], source="ws")
    known_ms = int(datetime.now(UTC).timestamp() * 1000) + 1
    changed = minute(0, close="42000.16")

    written = await writer.put_klines([changed, minute(1)], source="rest")

    end_ms = START_MS + 2 * MINUTE_MS
    assert written == Written(changed=1, known=1)
    assert await reader.klines("BTCUSDT", "1m", START_MS, end_ms, 10) == [changed, minute(1)]
    before = await known_at(pool, end_ms, known_ms)
    assert before[-1] == minute(1)


async def test_reading_the_stream_again_does_not_bring_a_replaced_candle_back(pool: asyncpg.Pool) -> None:
    writer, reader = PostgresWriter(pool, "binance"), PostgresReader(pool, "binance")
    old, new = minute(0), minute(0, close="42000.16")
    await writer.put_klines([old], source="ws")
    await writer.put_klines([new], source="rest")

    written = await writer.put_klines([old], source="ws")

    assert written == Written(known=1)
    assert await reader.klines("BTCUSDT", "1m", START_MS, START_MS + 1, 10) == [new]


async def test_a_correction_that_rest_told_before_the_stream_did_is_what_stays(pool: asyncpg.Pool) -> None:
    writer, reader = PostgresWriter(pool, "binance"), PostgresReader(pool, "binance")
    corrected = minute(0, close="42000.16")
    await writer.put_klines([corrected], source="rest")

    for kline in (minute(0), corrected, minute(0), corrected):
        await writer.put_klines([kline], source="ws")

    assert await reader.klines("BTCUSDT", "1m", START_MS, START_MS + MINUTE_MS, 10) == [corrected]


async def test_one_candle_is_known_at_any_time_also_when_two_writers_overlap(pool: asyncpg.Pool) -> None:
    await PostgresWriter(pool, "binance").put_klines([minute(0)], source="ws")
    async with pool.acquire() as connection, connection.transaction():
        now = await connection.fetchval("select (extract(epoch from now()) * 1000)::bigint from pg_sleep(0.02)")
        began = int(str(now))
        await PostgresWriter(pool, "binance").put_klines([minute(0, close="1")], source="rest")
        await put(connection, KLINES, [Sourced(minute(0, close="2"), Origin("file"))], exchange="binance")

    known = [await known_at(pool, START_MS + 1, began + number) for number in (5, 60_000)]

    assert [[kline.close for kline in klines] for klines in known] == [[minute(0).close], ["2"]]


async def test_a_row_that_is_completed_was_known_before(pool: asyncpg.Pool) -> None:
    await pool.execute(INSERT, "BTCUSDT", "2024-01-01T00:00:00+00:00", "42000.10", "42000.2", "41999.9", "42000.15",
                       "123456789012.12345678", "1m")  # fmt: skip
    known = await pool.fetchval("select recorded_at from market_data_ohlcv")

    written = await PostgresWriter(pool, "binance").put_klines([minute(0)], source="ws")

    assert written == Written(changed=1)
    assert await pool.fetchval("select recorded_at from market_data_ohlcv") == known


async def test_long_series_come_in_any_order_and_beside_another_writer_of_the_same_rows(
    pool: asyncpg.Pool, database: str
) -> None:
    other = await open_pool(database, size=1)
    long = [minute(number) for number in range(2000)]
    trades = [structs.replace(TRADE, trade_id=number) for number in range(2000)]
    one, two = PostgresWriter(pool, "binance"), PostgresWriter(other, "binance")

    klines_put = await asyncio.gather(one.put_klines(long, source="rest"), two.put_klines(long[::-1], source="file"))
    trades_put = await asyncio.gather(one.put_trades(trades, source="rest"), two.put_trades(trades[500:], source="ws"))

    await other.close()
    both = (*klines_put, *trades_put)
    assert sum(written.added for written in both) == 4000
    assert sum(written.known for written in both) == 3500
    assert await PostgresReader(pool, "binance").open_times("BTCUSDT", "1m", 0, 2**42) == [
        kline.open_ms for kline in long
    ]
    assert await PostgresReader(pool, "binance").trade_holes("BTCUSDT", 0, 1999) == []


async def test_a_full_batch_that_is_known_is_not_compared_row_by_row(pool: asyncpg.Pool, database: str) -> None:
    # It takes half a second, and far over this limit where each row is held against each other one.
    execute(database, f"alter database {database.rpartition('/')[2]} set statement_timeout = '20s'")
    batch = [minute(number) for number in range(10_000)]
    limited = await open_pool(database, size=1)
    writer = PostgresWriter(limited, "binance")

    written = [await writer.put_klines(batch, source=source) for source in ("rest", "ws")]

    await limited.close()
    assert written == [Written(added=10_000), Written(known=10_000)]


async def test_one_batch_with_a_candle_and_its_revision_keeps_both(pool: asyncpg.Pool) -> None:
    writer = PostgresWriter(pool, "binance")

    written = await writer.put_klines([minute(0), minute(0, close="42000.16"), minute(1)], source="ws")

    assert written == Written(added=2, changed=1)
    assert await pool.fetchval("select close from market_data_ohlcv_revisions") == Decimal("42000.15")


async def test_a_finer_time_replaces_a_coarse_one_and_not_the_other_way(pool: asyncpg.Pool) -> None:
    writer, reader = PostgresWriter(pool, "binance"), PostgresReader(pool, "binance")
    fine = structs.replace(TRADE, sub_ms_us=250)

    written = [await writer.put_trades([trade], source="file") for trade in (TRADE, fine, TRADE)]

    assert written == [Written(added=1), Written(changed=1), Written(known=1)]
    assert await reader.trades("BTCUSDT", START_MS, START_MS + 1, 10) == [fine]


@pytest.mark.parametrize("when", ["2024-01-01T00:00:00+00:00", datetime(2024, 1, 1, tzinfo=UTC)])
async def test_the_insert_of_the_contract_works_as_written(pool: asyncpg.Pool, when: object) -> None:
    values = (42000, 0.1, "123456789012.12345678", Decimal("1E+3"), 1e-7)

    await pool.execute(INSERT, "BTCUSDT", when, *values, "1m")

    row = await pool.fetchrow('select open, high, low, close, volume, "timestamp", exchange from market_data_ohlcv')
    assert row is not None
    numbers = ("42000", "0.1", "123456789012.12345678", "1000", "0.0000001")
    assert list(row) == [*map(Decimal, numbers), datetime(2024, 1, 1, tzinfo=UTC), "binance"]


async def test_a_row_of_eight_columns_is_completed_by_the_writer(pool: asyncpg.Pool) -> None:
    k = KLINE
    await pool.execute(INSERT, k.symbol, "2024-01-01T00:00:00Z", k.open, k.high, k.low, k.close, k.volume, "1m")

    written = await PostgresWriter(pool, "binance").put_klines([KLINE], source="rest")

    assert written == Written(changed=1)
    assert await PostgresReader(pool, "binance").klines("BTCUSDT", "1m", START_MS, START_MS + 1, 1) == [KLINE]
    assert await pool.fetchval("select count(*) from market_data_ohlcv_revisions") == 0


async def test_a_program_with_a_pool_of_its_own_replaces_on_conflict(pool: asyncpg.Pool, database: str) -> None:
    await PostgresWriter(pool, "binance").put_klines([KLINE], source="ws")
    own = await asyncpg.connect(database)

    await own.execute(
        f"{INSERT} ON CONFLICT (exchange, symbol, interval, timestamp) DO UPDATE SET close = EXCLUDED.close",
        "BTCUSDT", datetime(2024, 1, 1, tzinfo=UTC), *[Decimal(number) for number in (1, 2, 3, 4, 5)], "1m",
    )  # fmt: skip

    assert await own.fetchval("select close from market_data_ohlcv") == 4
    await own.close()


@pytest.mark.parametrize("year", [1970, 2016, 2017, 2040, 2041, 2999])
async def test_any_date_has_a_place(pool: asyncpg.Pool, year: int) -> None:
    open_ms = int(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000)

    await PostgresWriter(pool, "binance").put_klines([structs.replace(KLINE, open_ms=open_ms)], source="file")

    assert await PostgresReader(pool, "binance").span("BTCUSDT", "1m") == (open_ms, open_ms)


async def test_holes_are_what_is_missing_less_what_the_exchange_lacks(pool: asyncpg.Pool) -> None:
    writer, reader = PostgresWriter(pool, "binance"), PostgresReader(pool, "binance")
    await writer.put_klines([minute(number) for number in (1, 2, 5, 9)], source="ws")
    await writer.put_trades([structs.replace(TRADE, trade_id=number) for number in (3, 4, 8, 12)], source="ws")
    absent = Gap(START_MS + 6 * MINUTE_MS, START_MS + 7 * MINUTE_MS, 2, "absent")
    await writer.put_gaps(Key("kline", "BTCUSDT", "1m"), [absent])
    await writer.put_gaps(Key("trade", "BTCUSDT"), [Gap(6, 6, 1, "absent"), Gap(9, 9, 1, "lost")])

    klines = await reader.kline_holes("BTCUSDT", "1m", START_MS, START_MS + 12 * MINUTE_MS, UtcCalendar())
    trades = await reader.trade_holes("BTCUSDT", 1, 14)

    minutes = [((first - START_MS) // MINUTE_MS, (last - START_MS) // MINUTE_MS) for first, last in klines]
    assert minutes == [(0, 0), (3, 4), (8, 8), (10, 11)]
    assert trades == [(1, 2), (5, 5), (7, 7), (9, 11), (13, 14)]
    assert await reader.gaps(Key("kline", "BTCUSDT", "1m")) == [absent]


async def test_rows_beside_the_grid_hide_no_hole_and_move_none(pool: asyncpg.Pool) -> None:
    beside = [minute(0, open_ms=START_MS + second * 1000) for second in (30, 61, 90)]
    await PostgresWriter(pool, "binance").put_klines([minute(0), minute(3), minute(4), *beside], source="rest")

    holes = await PostgresReader(pool, "binance").kline_holes(
        "BTCUSDT", "1m", START_MS, START_MS + 6 * MINUTE_MS, UtcCalendar()
    )  # fmt: skip

    assert [((first - START_MS) // 1000, (last - START_MS) // 1000) for first, last in holes] == [(60, 120), (300, 300)]


async def test_holes_of_many_trades_are_looked_for_piece_by_piece(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "IDS_AT_ONCE", 4)
    stored = [1, 2, 3, 7, 14, 15, 16]
    await PostgresWriter(pool, "binance").put_trades(
        [structs.replace(TRADE, trade_id=number) for number in stored], source="ws"
    )

    holes = await PostgresReader(pool, "binance").trade_holes("BTCUSDT", 0, 17)

    assert holes == [(0, 0), (4, 6), (8, 13), (17, 17)]


async def test_pages_of_trades_go_on_after_an_id(pool: asyncpg.Pool) -> None:
    writer, reader = PostgresWriter(pool, "binance"), PostgresReader(pool, "binance")
    trades = [
        structs.replace(TRADE, trade_id=n, time_ms=START_MS + n // 2, event_ms=START_MS + n // 2) for n in range(40)
    ]
    await writer.put_trades([trade for trade in trades if trade.trade_id % 10], source="ws")

    first = await reader.trades("BTCUSDT", START_MS + 5, START_MS + 8, 3)
    rest = await reader.trades("BTCUSDT", START_MS + 5, START_MS + 8, 10, after_id=first[-1].trade_id)

    assert [trade.trade_id for trade in first + rest] == [11, 12, 13, 14, 15]
