"""Readers while the store is away: what they tell, and that they go on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import redis
import redis.asyncio

from data_collector.client import AsyncClient, Client, StoreAway, Trade, UnknownSymbol
from data_collector.client.adapters.feeding.feeds import RecordsFeed
from data_collector.client.reading.delivery import PATIENCE_S
from data_collector.model.store_url import StoreAddress
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import TRADES
from tests.contract.stores import Reader
from tests.contract.test_client_feeds import asked
from tests.integration.waiting import until_async
from tests.market import SYMBOL


class Way:
    """To a store, which can be taken away."""

    def __init__(self, place: Path, store: StoreAddress) -> None:
        self.place = place
        self._store = str(store.unix_path)
        self.clear()

    def clear(self) -> None:
        self.place.symlink_to(self._store)

    def block(self) -> None:
        """For connections that are made from now on."""
        self.place.unlink()


@pytest.fixture
def way(tmp_path: Path, store_address: StoreAddress) -> Way:
    return Way(tmp_path / "way", store_address)


async def test_outage_is_logged_when_it_begins_and_when_it_is_over(
    way: Way, sink: RedisSink, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody else would know why nothing comes: each time once, whoever reads."""
    await sink.write(stores.trades(1, 1))
    blocking = redis.Redis(unix_socket_path=str(way.place))
    awaiting = redis.asyncio.Redis(unix_socket_path=str(way.place))
    with Client(blocking, api="", database="") as client, client.live(TRADES, start="earliest") as live:
        async with AsyncClient(awaiting, api="", database="") as asking:
            items, others = iter(live), aiter(await asking.live(TRADES, start="earliest"))
            next(items)
            await anext(others)
            way.block()
            blocking.connection_pool.disconnect()
            await awaiting.connection_pool.disconnect()
            with pytest.raises(StoreAway):
                _ = live.behind
            waiting = asyncio.gather(asyncio.to_thread(next, items), asyncio.ensure_future(anext(others)))
            await until_async(lambda: caplog.text.count("cannot be read") == 2)
            way.clear()
            await sink.write(stores.trades(2, 2))
            found = await waiting
    blocking.close()
    await awaiting.aclose()

    assert [item.trade_id for item in found if isinstance(item, Trade)] == [2, 2]
    told = [each.message.partition(";")[2] or each.message for each in caplog.records if each.name == NAME]
    assert sorted(told) == [f" REDIS_URL names it. It is asked again for {PATIENCE_S:.0f} s."] * 2 + [BACK] * 2


NAME = "data_collector.client"
BACK = "What was away answers again, and reading goes on where it was."


async def test_table_of_an_empty_store_may_be_asked_for_again(address: str, sink: RedisSink, reader: Reader) -> None:
    """All is started at once, and the collector has written nothing yet: no more final than a store that is away."""
    with pytest.raises(StoreAway, match="nothing of BTCUSDT: it is empty"):
        RecordsFeed(asked(address, f"trades:{SYMBOL}"), None)
    await sink.write(stores.trades(1, 1))
    RecordsFeed(asked(address, f"trades:{SYMBOL}"), None).close()
    with pytest.raises(UnknownSymbol, match="nothing of ETHUSDT: it has BTCUSDT"):
        RecordsFeed(asked(address, "trades:ETHUSDT"), None)
