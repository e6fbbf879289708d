"""What is older than the retention goes, revisions too, and nothing else does; a backfill of it is refused."""

from __future__ import annotations

import time

import pytest
from msgspec import structs

from data_collector.cli.backfill import check_kept
from data_collector.history.filling import Span
from data_collector.history.series import Series
from data_collector.model.calendar import DAY_MS
from data_collector.model.errors import Misconfigured
from data_collector.settings import load_settings
from data_collector.sinks.postgres import following
from data_collector.sinks.postgres.following import FollowedDatabase
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.writing import PostgresWriter
from tests.integration.postgres_server import rows
from tests.market import kline, trade

MINUTE_MS = 60_000
NOW_MS = int(time.time() * 1000) // MINUTE_MS * MINUTE_MS
AGES_DAYS = (0, 5, 9, 11, 400)

STORED = "select (extract(epoch from now() - timestamp) / 86400)::int from {} order by 1"


async def filled(dsn: str) -> FollowedDatabase:
    """A candle and a trade of each age, and a revision of the oldest two candles."""
    database = await FollowedDatabase.open(dsn, "binance")
    pool = await open_pool(dsn, size=1)
    writer = PostgresWriter(pool)
    for number, days in enumerate(AGES_DAYS):
        open_ms = NOW_MS - days * DAY_MS
        candle = structs.replace(kline(0), open_ms=open_ms, close_ms=open_ms + MINUTE_MS - 1)
        await writer.put_klines([candle], source="rest")
        if days in {9, 11}:
            await writer.put_klines([structs.replace(candle, close="1.5")], source="rest")
        await writer.put_trades([structs.replace(trade(number), time_ms=open_ms)], source="rest")
    await pool.close()
    return database


async def test_rows_that_are_too_old_go_a_few_at_a_time(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "FORGOTTEN_PER_CALL", 1)
    followed = await filled(database)

    gone = [await followed.forget(klines_days=10, trades_days=None) for _ in range(3)]
    trades_before = rows(database, STORED.format("market_data_trades"))
    gone.append(await followed.forget(klines_days=None, trades_days=6))
    followed.close()

    assert gone == [1, 1, 0, 1]
    assert rows(database, STORED.format("market_data_ohlcv")) == [(0,), (5,), (9,)]
    assert rows(database, STORED.format("market_data_ohlcv_revisions")) == [(9,)]
    assert len(trades_before) == len(AGES_DAYS)
    assert len(rows(database, STORED.format("market_data_trades"))) == len(AGES_DAYS) - 1


def test_backfill_of_rows_that_would_go_again_is_refused_with_the_way_out() -> None:
    settings = load_settings({"RETENTION_DAYS_TRADES": "10"}, None)
    span = Span(NOW_MS - 11 * DAY_MS, NOW_MS, NOW_MS)

    check_kept(settings, [Series("BTCUSDT", "1m")], span)
    with pytest.raises(Misconfigured, match=r"RETENTION_DAYS_TRADES=10 .* --from -10d"):
        check_kept(settings, [Series("BTCUSDT", "1m"), Series("BTCUSDT")], span)
