"""The asynchronous client gives what the other one gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import redis
import redis.asyncio

from data_collector.client import AsyncClient, Client, GapFound, Item, StoreAway, UnknownSymbol, WrongQuestion
from data_collector.client.answering.store import AsyncStoreClient
from data_collector.model.sink import Batch, NewestUpdate
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import MINUTES, TRADES, told, trades_from
from tests.market import SYMBOL, kline, ticker


@pytest.fixture
async def client(address: str, sink: RedisSink) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(address, api="", database="") as client:
        yield client


async def test_live_items_and_positions_are_those_of_the_other_client(
    client: AsyncClient, sink: RedisSink, address: str
) -> None:
    await sink.write(Batch(trades=[stores.run_of(trades_from(1, 5))]))
    await sink.write(stores.trades(9, 9, after=5, reason="lost"))
    await sink.write(stores.klines(kline(0), kline(1)))
    found: list[Item] = []

    async with await client.live(TRADES, MINUTES, start="earliest") as live:
        async for batch in live.batches():
            found += batch.items
            if len(found) == 9:
                break

    with Client(address, api="", database="") as other, other.live(TRADES, MINUTES, start="earliest") as blocking:
        whole = next(blocking.batches())
    assert found == whole.items
    assert live.position == whole.position
    assert (await live.behind()).entries == 0


async def test_items_come_while_others_wait(client: AsyncClient, sink: RedisSink) -> None:
    await sink.write(stores.trades(1, 1))

    async def read() -> list[Item]:
        found = []
        async with await client.live(TRADES) as live:
            begun.set()
            async for item in live:
                found.append(item)
                if len(found) == 2:
                    break
        return found

    begun = asyncio.Event()
    reading = asyncio.create_task(read())
    await begun.wait()
    await sink.write(stores.trades(2, 3))

    assert told(await reading) == [2, 3]


async def test_gap_is_raised_and_passed_over(client: AsyncClient, sink: RedisSink) -> None:
    await sink.write(stores.trades(1, 1))
    await sink.write(stores.trades(3, 3, after=1))
    found: list[Item] = []

    async with await client.live(TRADES, start="earliest", gaps="raise") as live:
        with pytest.raises(GapFound):
            found += [item async for item in live]
        async for item in live:
            found.append(item)
            break

    assert told(found) == [3]


async def test_latest_and_symbols_are_those_of_the_store(client: AsyncClient, sink: RedisSink) -> None:
    await sink.write(Batch(newest=[NewestUpdate(ticker())]))

    assert await client.symbols() == [SYMBOL]
    assert str((await client.latest(SYMBOL)).price) == "45180.50"
    with pytest.raises(UnknownSymbol, match=f"The store has nothing of {SYMBOL[:-1]}: it has {SYMBOL}"):
        await client.latest(SYMBOL[:-1])


async def test_store_that_is_away_is_a_sentence() -> None:
    async with AsyncClient("unix:///nowhere/at/all", api="", database="") as client:
        with pytest.raises(StoreAway, match="REDIS_URL names it"):
            await client.live(TRADES)


async def test_clients_of_the_wrong_kind_are_refused(address: str) -> None:
    with pytest.raises(WrongQuestion, match=r"AsyncClient takes an address or a redis.asyncio.Redis"):
        AsyncClient(redis.Redis.from_url(address))
    own = redis.asyncio.Redis.from_url(address)
    with pytest.raises(WrongQuestion, match=r"Client takes an address or a redis.Redis, and was given redis\.asyncio"):
        Client(own)
    await own.aclose()


class Forgetful:
    """As redis-py on Python 3.11, now and then: the answer comes in the moment in which its reader is cancelled."""

    def __init__(self, store: AsyncStoreClient) -> None:
        self._store = store
        self.is_forgetful = False

    async def execute_command(self, *args: str | int) -> object:
        if not self.is_forgetful:
            return await self._store.execute_command(*args)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return []


async def test_reader_that_is_cancelled_ends_also_where_its_library_forgets_it(address: str, sink: RedisSink) -> None:
    await sink.write(Batch(trades=[stores.run_of(trades_from(1, 2))]))
    own = redis.asyncio.Redis.from_url(address)
    store = Forgetful(own)
    async with AsyncClient(store, api="", database="") as client, await client.live(TRADES) as live:
        store.is_forgetful = True
        reader = asyncio.create_task(live.poll(60))
        await asyncio.sleep(0)
        reader.cancel()

        with pytest.raises(asyncio.CancelledError):
            await reader
    await own.aclose()
