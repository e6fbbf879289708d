"""Which epochs of trades are listed and read, also where somebody else has written a number into the stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis

from data_collector.api.series.redis_trades import EPOCHS_MAX, RedisTrades, redis_epochs
from data_collector.api.series.window import Window
from data_collector.api.store_reading import StoreReading
from data_collector.model.keys import StoreKeys
from data_collector.model.wire import json_text, trade_json
from tests.market import NOON_MS, SYMBOL, trade

TRADES = f"trades:{SYMBOL}"
FOREIGN = 999_999_999


@pytest.fixture
async def reading() -> AsyncIterator[StoreReading]:
    made = StoreReading()
    yield made
    made.close()
    await asyncio.sleep(0)


def add(store: redis.Redis, after_ms: int, trade_id: int, epoch: int) -> None:
    record = trade_json(trade(trade_id, time_ms=NOON_MS + after_ms), json_text(SYMBOL))
    store.xadd(
        TRADES, {"data": record, **({"epoch": str(epoch)} if epoch else {})}, id=f"{NOON_MS + after_ms}-{trade_id}"
    )


def add_foreign(store: redis.Redis, after_ms: int) -> None:
    store.xadd(TRADES, {"data": "hello", "epoch": str(FOREIGN)}, id=f"{NOON_MS + after_ms}-0")


async def ids_of(reading: StoreReading, address: str, epoch: int) -> list[int]:
    trades = RedisTrades(reading, address, StoreKeys(), Window(SYMBOL, epoch=epoch))
    return [number for number, _ in (await trades.page(0, 100)).rows]


@pytest.mark.parametrize("place_ms", [0, 25, 45])
async def test_epoch_in_a_foreign_entry_neither_is_listed_nor_ends_a_page(
    store: redis.Redis, address: str, reading: StoreReading, place_ms: int
) -> None:
    """At the beginning, between two epochs, at the end."""
    places = [(10, 7, 0), (20, 8, 0), (30, 1, 1), (40, 2, 1)]
    for after_ms, trade_id, epoch in places:
        if after_ms == 10 and place_ms == 0:
            add_foreign(store, 0)
        if after_ms == 30 and place_ms == 25:
            add_foreign(store, 25)
        add(store, after_ms, trade_id, epoch)
    if place_ms == 45:
        add_foreign(store, 45)
    store.set(f"collector:epoch:{SYMBOL}", "1")

    assert await redis_epochs(reading, address, StoreKeys(), SYMBOL) in ([0, 1], [1])
    assert await ids_of(reading, address, 0) == [7, 8]
    assert await ids_of(reading, address, 1) == [1, 2]
    for epoch, oldest in ((0, 7), (1, 1)):
        trades = RedisTrades(reading, address, StoreKeys(), Window(SYMBOL, epoch=epoch))
        assert await trades.first_place() == oldest
        assert [number for number, _ in await trades.newest(1)] == [oldest + 1]
        assert [number for number, _ in await trades.newest(9)] == [oldest, oldest + 1]


async def test_list_of_epochs_is_bounded_whatever_the_store_says(
    store: redis.Redis, address: str, reading: StoreReading
) -> None:
    add(store, 10, 7, 0)
    add_foreign(store, 20)

    found = await redis_epochs(reading, address, StoreKeys(), SYMBOL)

    assert (found[0], found[-1], len(found)) == (0, FOREIGN, EPOCHS_MAX)
