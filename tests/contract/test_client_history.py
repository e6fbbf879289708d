"""The client on real stores, PostgreSQL and the HTTP side: history, and live streams that history fills."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator, Sequence
from uuid import uuid4

import pytest

from data_collector.client import Client, Item, Kline, Trade
from data_collector.client.records import ms_of
from data_collector.model.sink import Batch
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import MINUTES, TRADES, told, trades_from
from tests.contract.http_service import HttpService, running
from tests.contract.stores import Reader
from tests.contract.test_http_series import _migrate, put_klines, snapshot_of, writer_of
from tests.integration.postgres_server import database_named, execute
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline

KILLS = 10


@pytest.fixture(scope="module")
def dsn(database_server: str) -> Iterator[str]:
    name = f"dc_test_{uuid4().hex[:12]}"
    execute(database_server, f"create database {name}")
    made = database_named(database_server, name)
    asyncio.run(_migrate(made))
    yield made
    execute(database_server, f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def service(address: str, dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    with running(tmp_path_factory.mktemp("http"), snapshot_of(address), DATABASE_URL=dsn) as service:
        yield service


@pytest.fixture(params=["http", "database", "auto"])
def client(request: pytest.FixtureRequest, address: str, reader: Reader, dsn: str) -> Iterator[Client]:
    """With history from each place, and from both."""
    execute(dsn, "truncate market_data_ohlcv, market_data_trades, market_data_gaps, market_data_epochs")
    api = "" if request.param == "database" else request.getfixturevalue("service").url
    with Client(address, api=api, database="" if request.param == "http" else dsn) as client:
        yield client


async def put_trades(dsn: str, first: int, last: int, **changes: object) -> None:
    async with writer_of(dsn) as writer:
        await writer.put_trades(trades_from(first, last, **changes), source="ws")


async def test_killed_reader_of_trimmed_streams_has_every_record_once(
    client: Client, sink: RedisSink, reader: Reader, dsn: str
) -> None:
    """Ten kills, each after some batches; meanwhile streams are trimmed, and once the store is emptied."""
    chance = random.Random(14)
    found: list[Item] = []
    position, start = None, "earliest"
    next_id, next_minute = 1, 0
    for kill in range(KILLS + 1):
        last_id, last_minute = next_id + chance.randint(20, 200), next_minute + chance.randint(2, 9)
        await put_trades(dsn, next_id, last_id)
        await put_klines(dsn, range(next_minute, last_minute + 1))
        if kill == KILLS // 2:
            reader.client.flushall()
        await sink.write(Batch(trades=[stores.run_of(trades_from(next_id, last_id))]))
        await sink.write(stores.klines(*(kline(minute) for minute in range(next_minute, last_minute + 1))))
        next_id, next_minute = last_id + 1, last_minute + 1
        if kill:
            reader.client.xtrim(f"trades:{SYMBOL}", maxlen=chance.randint(0, 30), approximate=False)
            reader.client.xtrim(f"stream:{SYMBOL}", maxlen=chance.randint(0, 2), approximate=False)
        with client.live(TRADES, MINUTES, start=start, position=position) as live:
            for batch in itertools.islice(live.batches(), chance.randint(1, 2) if kill < KILLS else None):
                found += batch.items
                position = batch.position
                if (next_id - 1, next_minute - 1) == ends(found):
                    break

    assert [item.trade_id for item in found if isinstance(item, Trade)] == list(range(1, next_id))
    assert [item for item in told(found) if isinstance(item, tuple)] == [("1m", each) for each in range(next_minute)]


def ends(items: Sequence[Item]) -> tuple[int, int]:
    """The newest trade and candle."""
    ids = [item.trade_id for item in items if isinstance(item, Trade)]
    minutes = [(ms_of(item.timestamp) - NOON_MS) // MINUTE_MS for item in items if isinstance(item, Kline)]
    return ids[-1] if ids else 0, minutes[-1] if minutes else -1
