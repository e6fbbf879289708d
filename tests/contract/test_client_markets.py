"""A store that is another market's than the one that was read: its ids and candles continue nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from data_collector.client import AsyncClient, Client, WrongStore
from data_collector.client.adapters.feeding.feeds import GapsFeed, RecordsFeed
from data_collector.client.reading import following
from data_collector.model.store_url import StoreAddress
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import MINUTES, TRADES, told
from tests.contract.stores import SOURCE, Reader, opened, redis_sink
from tests.contract.test_client_feeds import asked
from tests.market import SYMBOL, kline

ELSEWHERE = "the simulated market 1"
MOVED = rf"read until now is of {SOURCE}, and the store at .* is filled from {ELSEWHERE}: .* Begin anew without the pos"


@pytest.fixture(autouse=True)
def _looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if more than a second had passed."""
    monkeypatch.setattr(following, "LOOK_S", 0)


@pytest.fixture
def client(address: str, reader: Reader) -> Iterator[Client]:
    with Client(address, api="", database="") as client:
        yield client


async def replace(store_address: StoreAddress, reader: Reader) -> None:
    """A demo that begins anew: ids are lower, times go on, and the epoch is the first again."""
    reader.client.flushall()
    async with opened(redis_sink(store_address, source=ELSEWHERE)) as sink:
        await sink.write(stores.trades(1, 3))
        await sink.write(stores.klines(kline(2)))


async def test_reader_of_a_market_that_was_replaced_is_told_and_gets_nothing_of_the_other(
    client: Client, address: str, store_address: StoreAddress, sink: RedisSink, reader: Reader
) -> None:
    """The demo was started anew: trades have lower ids, and the next candle opens when it was due."""
    await sink.write(stores.trades(101, 103))
    await sink.write(stores.klines(kline(0)))
    async with AsyncClient(address, api="", database="") as asking:
        waiting = await asking.live(TRADES, start="earliest")
        with client.live(TRADES, MINUTES, start="earliest") as live:
            assert told((live.poll(0) or pytest.fail("no end")).items) == [101, 102, 103, ("1m", 0)]
            await waiting.poll(0)
            await sink.write(stores.klines(kline(1)))
            assert told((live.poll(0) or pytest.fail("no end")).items) == [("1m", 1)]
            await replace(store_address, reader)

            for _ in range(2):
                with pytest.raises(WrongStore, match=MOVED):
                    live.poll(0)
            with pytest.raises(WrongStore, match=MOVED):
                next(iter(live))
        with pytest.raises(WrongStore, match=MOVED):
            await anext(aiter(waiting))


async def test_market_is_told_where_anybody_tells_it(client: Client, address: str, sink: RedisSink) -> None:
    assert client.market() is None
    await sink.write(stores.trades(101, 103))

    assert client.market() == SOURCE
    async with AsyncClient(address, api="", database="") as asking:
        assert await asking.market() == SOURCE
    with Client("redis://127.0.0.1:1", api="http://127.0.0.1:1", database="") as away:
        assert away.market() is None


async def test_reader_whose_stream_went_back_looks_at_once(
    client: Client, store_address: StoreAddress, sink: RedisSink, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store was emptied and filled within the second in which it is not asked."""
    monkeypatch.setattr(following, "LOOK_S", 3600)
    await sink.write(stores.trades(101, 103))
    with client.live(TRADES, start="earliest") as live:
        live.poll(0)
        reader.client.flushall()
        live.poll(0)
        await replace(store_address, reader)
        with pytest.raises(WrongStore, match=MOVED):
            live.poll(0)


async def test_position_of_another_market_is_refused(
    client: Client, address: str, store_address: StoreAddress, sink: RedisSink, reader: Reader
) -> None:
    """Of the client, and of what Pathway keeps; one that was told before it held a source is taken as it is."""
    await sink.write(stores.trades(101, 103))
    await sink.write(stores.trades(105, 106, after=103, reason="lost"))
    with client.live(TRADES, start="earliest") as live:
        live.poll(0)
        position = live.position
    gaps = GapsFeed(asked(address, f"gaps:{SYMBOL}"), None)
    of_gaps = gaps.poll(0).position
    gaps.close()
    with client.live(TRADES, position=position) as live:
        assert told((live.poll(0) or pytest.fail("no end")).items) == []
    await replace(store_address, reader)

    with pytest.raises(WrongStore, match=MOVED):
        client.live(TRADES, position=position)
    with pytest.raises(WrongStore, match=MOVED):
        client.replay(TRADES, start="-1d", position=position)
    with pytest.raises(WrongStore, match=MOVED):
        RecordsFeed(asked(address, f"trades:{SYMBOL}"), position)
    again = GapsFeed(asked(address, f"gaps:{SYMBOL}"), of_gaps)
    with pytest.raises(WrongStore, match=MOVED):
        again.poll(0)
    again.close()
    older = position.replace(f'"source":"{SOURCE}",', "")
    with client.live(TRADES, position=older) as live:
        assert f'"source":"{ELSEWHERE}"' in live.position


async def test_store_that_nobody_has_filled_yet_refuses_no_position(
    client: Client, sink: RedisSink, reader: Reader
) -> None:
    """It was emptied, and the next record is of the same market."""
    await sink.write(stores.trades(101, 103))
    with client.live(TRADES, start="earliest") as live:
        live.poll(0)
        position = live.position
    reader.client.flushall()

    with client.live(TRADES, position=position) as live:
        live.poll(0)
        assert f'"source":"{SOURCE}"' in live.position
        reader.client.set("collector:source", SOURCE)
        await sink.write(stores.trades(104, 104))
        assert told((live.poll(0) or pytest.fail("no end")).items) == [104]


async def test_older_position_of_gaps_is_the_id_of_an_entry(address: str, sink: RedisSink, reader: Reader) -> None:
    await sink.write(stores.trades(1, 3))
    await sink.write(stores.trades(7, 8, after=3, reason="lost"))
    ((entry_id, _),) = reader.entries(f"gaps:{SYMBOL}")

    feed = GapsFeed(asked(address, f"gaps:{SYMBOL}"), entry_id)
    assert feed.poll(0).records == []
    feed.close()
