"""Frames of numpy, Arrow and pandas out of PostgreSQL are those of the records, one by one."""

from __future__ import annotations

import asyncio
import random

import pytest
from msgspec import structs

from data_collector.client import Client, GapFound, TooLarge, bulk, whole
from data_collector.client.reading import database
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import trades_from
from tests.contract.test_client_history import at, client, service
from tests.contract.test_http_series import put_klines, writer_of
from tests.integration.postgres_server import execute
from tests.market import NOON_MS, SYMBOL, kline

__all__ = ["client", "service"]


async def test_frames_out_of_the_database_are_those_of_the_records(
    client: Client, sink: RedisSink, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows with and without gaps, what is not told, rules that mark rows, one beside the grid; also page by page."""
    chance, minutes = random.Random(3), [minute for minute in range(60) if minute not in (7, 8, 30)]
    made = [
        kline(minute, volume=f"0.{chance.randint(1, 10**5)}", close=f"451{chance.randint(10, 99)}.{minute:02d}")
        for minute in minutes
    ]
    made[3] = structs.replace(made[3], trades=None, quote_volume=None)
    made.insert(12, structs.replace(made[11], open_ms=made[11].open_ms + 30_000))
    warnings = {made[5].open_ms: ("odd", "rare"), made[6].open_ms: ("odd",)}
    async with writer_of(dsn) as writer:
        await writer.put_klines(made[:30], source="rest", warnings=warnings)
        await writer.put_klines(made[30:], source="built")
    execute(dsn, "update market_data_ohlcv set source = null where date_part('minute', timestamp) = 2")
    await sink.write(stores.klines(kline(60)))

    records = client.klines(SYMBOL, "1m", start=at(0))
    expected = records.read().columns("float")

    for rows_at_once in (bulk.PAGE_ROWS, 4):
        monkeypatch.setattr(bulk, "KLINES", bulk.KLINES.replace(f"limit {bulk.PAGE_ROWS}", f"limit {rows_at_once}"))
        monkeypatch.setattr(bulk, "PAGE_ROWS", rows_at_once)
        assert records.to_numpy().tobytes() == expected.to_numpy().tobytes()
        assert records.to_arrow().to_pylist() == expected.to_arrow().to_pylist()
    with pytest.raises(GapFound, match=r"2 1m klines .*T12:07"):
        client.klines(SYMBOL, "1m", start=at(0), gaps="raise").to_numpy()


async def test_frames_of_trades_out_of_the_database_are_those_of_the_records(
    client: Client, sink: RedisSink, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two lives with holes, times that go back, what is not told, rules that mark some, and words that name no rule."""
    chance, ids = random.Random(5), [number for number in range(100, 160) if number not in (107, 108, 130)]
    old = [
        structs.replace(one, time_ms=NOON_MS + 1000 * (one.trade_id - 100) + chance.randint(-3000, 3000))
        for one in trades_from(100, 159, quantity=f"0.{chance.randint(1, 10**5)}")
        if one.trade_id in ids
    ]
    old[4] = structs.replace(old[4], is_buyer_maker=None, buyer_order_id=7)
    new = [structs.replace(one, time_ms=one.time_ms + 60_000) for one in trades_from(1, 9)]
    async with writer_of(dsn) as writer:
        await writer.put_trades(old, source="rest", warnings={110: ("odd", "rare")})
        await writer.put_trades(new, source="ws", epoch=1)
    words = "source = E'no\nsource', warnings = '{ok,\"No\\nrule\"}'"
    execute(dsn, f"update market_data_trades set {words} where trade_id in (103, 120)")
    await sink.write(stores.trades(100, 101))

    for rows_at_once in (bulk.PAGE_ROWS, 4):
        for pages in (bulk, database):
            shorter = pages.TRADES.replace(f"limit {pages.PAGE_ROWS}", f"limit {rows_at_once}")
            monkeypatch.setattr(pages, "TRADES", shorter)
            monkeypatch.setattr(pages, "PAGE_ROWS", rows_at_once)
        for start, end in ((None, None), (NOON_MS + 5_500, NOON_MS + 40_500), (NOON_MS + 50_000, None)):
            records = client.trades(SYMBOL, start=start, end=end)
            expected = records.read().columns("float")
            assert expected.warnings
            assert records.to_numpy().tobytes() == expected.to_numpy().tobytes()
            assert records.to_arrow().to_pylist() == expected.to_arrow().to_pylist()


def test_frame_that_does_not_fit_is_refused_with_the_figure(
    client: Client, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "ROWS_MAX", 2)
    asyncio.run(put_klines(dsn, range(3)))

    for read in (client.klines(SYMBOL, "1m").read, client.klines(SYMBOL, "1m").to_numpy):
        with pytest.raises(TooLarge, match=rf"More than 2 records of {SYMBOL} 1m do not fit"):
            read()
