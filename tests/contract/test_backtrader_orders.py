"""A strategy of Backtrader's own gives the same orders over history, over a live feed, and over both in one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator

import backtrader as bt
import pytest

from data_collector.client import Client
from data_collector.client.adapters.backtrader import CandleFeed
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.backtrader_runs import UTCNOW, feed_of
from tests.contract.stores import Reader
from tests.contract.test_client_history import at
from tests.contract.test_http_series import writer_of
from tests.integration.postgres_server import execute
from tests.market import SYMBOL, kline

pytestmark = UTCNOW

CANDLES = 300
CASH = 1_000_000.0

Orders = list[tuple[float, float, float]]


class Ordering(bt.strategies.MA_CrossOver):
    """Notes when, how much and at which price was bought; the run ends with the last candle."""

    def __init__(self) -> None:
        super().__init__()
        self.executed: Orders = []

    def notify_order(self, order: bt.Order) -> None:
        if order.status == order.Completed:
            self.executed.append((order.executed.dt, order.executed.size, order.executed.price))

    def next(self) -> None:
        super().next()
        if len(self) == CANDLES:
            self.env.runstop()


def orders(feed: CandleFeed, **engine: object) -> Orders:
    cerebro = bt.Cerebro(stdstats=False, **engine)
    cerebro.broker.setcash(CASH)
    cerebro.adddata(feed)
    cerebro.addstrategy(Ordering)
    (strategy,) = cerebro.run()
    assert isinstance(strategy, Ordering)
    return strategy.executed


@pytest.fixture
def client(address: str, reader: Reader, dsn: str) -> Iterator[Client]:
    execute(dsn, "truncate market_data_ohlcv, market_data_gaps")
    with Client(address, api="", database=dsn) as client:
        yield client


async def test_orders_are_the_same_over_history_over_live_and_over_both(
    client: Client, address: str, sink: RedisSink, reader: Reader, dsn: str
) -> None:
    waves = [f"{45000 + 300 * math.sin(number / 9) + number % 7:.2f}" for number in range(CANDLES)]
    candles = [kline(number, open=price, close=price, low="44000", high="46000") for number, price in enumerate(waves)]
    async with writer_of(dsn) as writer:
        await writer.put_klines(candles, source="ws")
    await sink.write(stores.klines(candles[0]))
    with Client(address, api="", database="") as streams:
        coming = asyncio.create_task(asyncio.to_thread(orders, feed_of(streams, live=True, start="earliest")))
        for candle in candles[1:]:
            await sink.write(stores.klines(candle))
        from_streams = await coming
    reader.client.xtrim(f"stream:{SYMBOL}", maxlen=CANDLES // 3, approximate=False)

    from_history = orders(feed_of(client))
    from_both = orders(feed_of(client, live=True, start=at(0)))

    assert len(from_history) > 6
    assert from_streams == from_history
    assert from_both == from_history
    assert orders(feed_of(client), exactbars=1) == from_history
