"""What a client is asked and cannot answer: one sentence each, which names the cure."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import datetime

import pytest

from data_collector.client import (
    ApiAway,
    AsyncClient,
    Client,
    DatabaseAway,
    StoreAway,
    UnknownSymbol,
    WrongQuestion,
    WrongStore,
)
from data_collector.client.answering import http, places
from data_collector.embedded.peer import free_port
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import MINUTES, TRADES
from tests.contract.stores import Reader
from tests.market import SYMBOL


@pytest.fixture
def client(address: str, reader: Reader) -> Iterator[Client]:
    with Client(address, api="", database="") as client:
        yield client


@pytest.mark.parametrize("time", ["2024-01-01T12:00:00", datetime(2024, 1, 1)])  # noqa: DTZ001
def test_time_without_a_zone_is_refused(client: Client, time: str | datetime) -> None:
    for ask in (
        lambda: client.klines(SYMBOL, "1m", start=time),
        lambda: client.trades(SYMBOL, end=time),
        lambda: client.live(TRADES, start=time),
        lambda: client.replay(TRADES, start=time),
    ):
        with pytest.raises(WrongQuestion, match=r"has no time zone, .* write \+00:00 behind it"):
            ask()


@pytest.mark.parametrize(
    ("series", "sentence"),
    [
        ((), "No series is named"),
        (("BTCUSDT",), "'BTCUSDT' names no series: write BTCUSDT:trades"),
        (("BTCUSDT:2m",), "'2m' is no interval"),
    ],
)
def test_series_that_cannot_be_is_refused(client: Client, series: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(WrongQuestion, match=sentence):
        client.live(*series)


def test_words_that_mean_nothing_are_refused(client: Client) -> None:
    with pytest.raises(WrongQuestion, match="no trade can be made"):
        client.live(TRADES, MINUTES, gaps="fill")
    with pytest.raises(WrongQuestion, match="is no time: write 2024-01-31"):
        client.klines(SYMBOL, "1m", start="yesterday")
    with pytest.raises(WrongQuestion, match="start lies after end"):
        client.klines(SYMBOL, "1m", start="2024-01-02", end="2024-01-01")
    with pytest.raises(WrongQuestion, match="is no pace"):
        client.replay(TRADES, start="-1d", speed=0)
    with pytest.raises(WrongQuestion, match="is no position"):
        client.live(TRADES, position="{}]")
    with pytest.raises(WrongQuestion, match="of version 2"):
        client.live(TRADES, position='{"v":2}')
    with pytest.raises(WrongQuestion, match='source="database" needs'):
        client.klines(SYMBOL, "1m", source="database")
    with pytest.raises(WrongQuestion, match="after=-1 is no trade id"):
        client.trades(SYMBOL, after=-1)
    with pytest.raises(WrongQuestion, match="is no number of records"):
        client.klines(SYMBOL, "1m", limit=0)


async def test_symbol_that_nobody_collects_is_named_beside_those_that_are_there(
    client: Client, sink: RedisSink
) -> None:
    await sink.write(stores.trades(1, 1))

    for ask in (
        lambda: client.latest("BTCUSD"),
        lambda: client.live("BTCUSD:1m"),
        lambda: list(client.klines("BTCUSD", "1m")),
        lambda: list(client.trades("BTCUSD")),
    ):
        with pytest.raises(UnknownSymbol, match=r"The store has nothing of BTCUSD: it has BTCUSDT"):
            ask()


async def test_symbol_of_another_exchange_is_named_with_it(client: Client, sink: RedisSink, reader: Reader) -> None:
    await sink.write(stores.trades(1, 1))
    reader.client.hset("other:latest:BTC-EUR", "price", "1")

    with pytest.raises(UnknownSymbol, match=r"The store has nothing of BTC-EUR at .*, but of other:BTC-EUR"):
        client.latest("BTC-EUR")


def test_price_that_is_none_is_no_collectors(client: Client, reader: Reader) -> None:
    for name, text in (("price", "cheap"), ("open_time", "9" * 20), ("timestamp", "2024-01-01T12:00:00")):
        reader.client.hset(f"latest:{SYMBOL}", name, text)
        with pytest.raises(StoreAway, match=f"latest:{SYMBOL} holds what no collector has written"):
            client.latest(SYMBOL)
        reader.client.delete(f"latest:{SYMBOL}")


async def test_price_that_has_not_come_is_told(client: Client, sink: RedisSink) -> None:
    """Trades came, and no ticker yet, which brings the first price: nothing is told as None."""
    await sink.write(stores.trades(1, 1))
    with pytest.raises(
        StoreAway, match="has no price of BTCUSDT: the first one comes with the exchange's ticker; is ti"
    ):
        client.latest(SYMBOL)


async def test_store_of_another_exchange_is_told(address: str, reader: Reader, sink: RedisSink) -> None:
    reader.client.hset("latest:BTCUSDT", "price", "1")
    kraken = Client(address, api="", database="", exchange="kraken")
    with kraken, pytest.raises(WrongStore, match="holds nothing of kraken, but of binance"):
        kraken.latest("BTC/USD")
    reader.client.flushall()
    reader.client.hset("kraken:latest:BTC/USD", "price", "1")
    binance = Client(address, api="", database="")
    with binance, pytest.raises(WrongStore, match="holds nothing of binance, but of kraken"):
        binance.live(TRADES)


def test_store_that_is_away_is_told() -> None:
    client = Client(f"redis://127.0.0.1:{free_port()}", api="", database="")
    with client, pytest.raises(StoreAway, match=r"The store cannot be read \(.*refused"):
        client.symbols()


async def test_client_that_was_told_nothing_says_where_it_looked(
    address: str, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a demo whose store has another port: nothing is there, or another store, which is empty."""
    for variable in (places.STORE_VARIABLE, places.API_VARIABLE, places.DATABASE_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    nowhere = f"127.0.0.1:{free_port()}"
    monkeypatch.setattr(places, "DEFAULT_STORE", f"redis://{nowhere}")
    told = "REDIS_URL is not set, so it was looked for at {}: the screen of a collector, or of a demo, tells where"

    with Client() as client, pytest.raises(StoreAway, match=rf"cannot be read \(.*refused.*\); {told.format(nowhere)}"):
        client.live(TRADES)
    async with AsyncClient() as asking:
        with pytest.raises(StoreAway, match=told.format(nowhere)):
            await asking.symbols()
    with Client(f"redis://{nowhere}") as named, pytest.raises(StoreAway, match=r"refused.*\); REDIS_URL names it\.$"):
        named.symbols()
    monkeypatch.setattr(places, "DEFAULT_STORE", address)
    empty = told.format(address.removeprefix("unix://"))
    with Client() as client, pytest.raises(UnknownSymbol, match=f"nothing of BTCUSDT: it is empty; {empty}"):
        client.latest(SYMBOL)


def test_address_of_sentinel_is_told_with_the_cure() -> None:
    with pytest.raises(WrongQuestion, match=r"give the client that redis-py makes of it, redis\.sentinel\.Sentinel"):
        Client("redis+sentinel://:canary@127.0.0.1:26379/mymaster")


def test_address_that_is_none_is_refused_without_a_secret() -> None:
    with pytest.raises(WrongQuestion, match="address of the store cannot be read") as refused:
        Client("rediss//:canary@host")
    assert "canary" not in str(refused.value)
    with pytest.raises(WrongQuestion, match="is no address of a collector"):
        Client(api="127.0.0.1:8001")


async def test_hole_that_the_http_side_cannot_be_asked_about_is_no_gap(
    address: str, reader: Reader, sink: RedisSink
) -> None:
    """It may be in history: nothing is told as missing, and the position stays before it."""
    await sink.write(stores.trades(1, 2))
    with Client(address, api="", database="") as alone, alone.live(TRADES, start="earliest") as live:
        position = next(iter(live.batches())).position
    await sink.write(stores.trades(3, 9))
    reader.client.xtrim(f"trades:{SYMBOL}", maxlen=1, approximate=False)

    with Client(address, api=f"http://127.0.0.1:{free_port()}", database="") as client:
        with client.live(TRADES, position=position) as live:
            with pytest.raises(ApiAway, match=r"does not answer .*; start it, name it with api= .* or do without it"):
                live.poll(0)
            assert live.position == position
        with pytest.raises(ApiAway):
            list(client.klines(SYMBOL, "1m"))


def test_http_side_that_does_not_answer_in_time_is_away(
    address: str, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the connection and says nothing: no more a reason for a traceback than one that refuses it."""
    monkeypatch.setattr(http, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(address, api=f"http://127.0.0.1:{silent.getsockname()[1]}", database="")
        with client, pytest.raises(ApiAway, match=r"does not answer \(no answer in time\)"):
            list(client.klines(SYMBOL, "1m"))


def test_database_that_is_away_is_told(address: str, reader: Reader) -> None:
    dsn = f"postgresql://postgres:canary@127.0.0.1:{free_port()}/postgres"
    client, sentence = Client(address, api="", database=dsn), r"PostgreSQL cannot be read \(.*; DATABASE_URL names it"
    with client, pytest.raises(DatabaseAway, match=sentence) as away:
        list(client.klines(SYMBOL, "1m"))
    assert "canary" not in str(away.value)


@pytest.mark.parametrize("dsn", ["mysql://me:canary@host/db", "postgresql://me:canary@host:port/db"])
def test_address_that_is_none_of_postgresql_is_wrong_for_good_and_quoted_nowhere(address: str, dsn: str) -> None:
    with (
        Client(address, api="", database=dsn) as client,
        pytest.raises(WrongQuestion, match="write postgresql:") as told,
    ):
        list(client.klines(SYMBOL, "1m"))
    assert "canary" not in str(told.value)
