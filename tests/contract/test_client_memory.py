"""A memory that is filled by the client, from PostgreSQL and over HTTP, and follows the store live."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from data_collector.cli.app import command_line
from data_collector.client import Client, UnknownSymbol, WrongQuestion, WrongStore
from data_collector.client.adapters import memory as memory_module
from data_collector.client.adapters.memory import Memory
from data_collector.client.adapters.remembering.candle_file import HEADER_BYTES, ROW
from data_collector.client.records import ms_of
from data_collector.model.errors import Misconfigured
from data_collector.model.store_url import StoreAddress
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import MINUTES
from tests.contract.stores import SOURCE, Reader
from tests.contract.test_client_history import at, service
from tests.contract.test_client_markets import ELSEWHERE, replace
from tests.contract.test_http_series import writer_of
from tests.docs.tree import ROOT
from tests.integration.postgres_server import execute
from tests.integration.waiting import until
from tests.market import EXCHANGE, SYMBOL, kline
from tests.unit.client.adapters.candles import candle, walk

__all__ = ["service"]

COUNT = 3000
PRICES = [f"{price:.2f}" for price in walk(COUNT)]

FILLING = f"""
import sys
from data_collector.client import Client
from data_collector.client.adapters import memory
memory.PAGE_CANDLES = 10
memory.Memory(sys.argv[1], "{SYMBOL}", "1m").fill(Client(sys.argv[2], api="", database=sys.argv[3]))
"""


@pytest.fixture(params=["http", "database"])
def client(request: pytest.FixtureRequest, address: str, reader: Reader, dsn: str) -> Iterator[Client]:
    """With history from each place."""
    execute(dsn, "truncate market_data_ohlcv, market_data_gaps")
    api = "" if request.param == "database" else request.getfixturevalue("service").url
    with Client(address, api=api, database="" if request.param == "http" else dsn) as client:
        yield client


async def put(dsn: str, *minutes: int, **changes: object) -> None:
    async with writer_of(dsn) as writer:
        await writer.put_klines(
            [kline(minute, **{"close": PRICES[minute], **changes}) for minute in minutes], source="ws"
        )


def closes(memory: Memory) -> list[float]:
    """As the file has them."""
    return [float(close) for close in memory._candles.file.read(0, len(memory))["close"]]


async def test_filling_goes_on_where_the_file_ends(client: Client, dsn: str, tmp_path: Path) -> None:
    told = list[datetime]()
    await put(dsn, *range(1000), *range(1010, 1200))

    with Memory(tmp_path, SYMBOL, "1m") as memory:
        assert memory.fill(client, tell=told.append) == 1190
    await put(dsn, *range(1010), *range(1200, 1500))
    with Memory(tmp_path, SYMBOL, "1m") as memory:
        assert memory.fill(client) == 10 + 300, "and what came late"
        assert memory.corrections == [(ms_of(at(1000)), ms_of(at(1009)))]
        assert memory.fill(client) == 0
        found = closes(memory)

    assert found == [float(price) for price in PRICES[:1500]]
    assert told == sorted(told)
    assert told


async def test_correction_of_history_is_taken(client: Client, dsn: str, tmp_path: Path) -> None:
    await put(dsn, *range(200))
    with Memory(tmp_path, SYMBOL, "1m") as memory:
        memory.fill(client)
        execute(dsn, "update market_data_ohlcv set close = 45000.5 where close = " + PRICES[150])
        assert memory.fill(client) == 0
        assert closes(memory)[149:152] == [float(PRICES[149]), 45000.5, float(PRICES[151])]


async def test_history_that_was_brought_later_is_taken_too(client: Client, dsn: str, tmp_path: Path) -> None:
    """Before the first candle of the file, and in gaps that are older than what is compared again."""
    await put(dsn, *range(500, 600), *range(610, 2000))
    with Memory(tmp_path, SYMBOL, "1m") as memory:
        assert memory.fill(client, start=at(550)) == 50 + 1390
        await put(dsn, *range(300, 500), *range(600, 610))
        assert memory.fill(client, start=at(450)) == 100 + 10
        assert memory.fill(client) == 150
        assert (memory.first, closes(memory)) == (at(300), [float(price) for price in PRICES[300:2000]])


async def test_filling_needs_numpy_alone(
    client: Client, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Arrow, PostgreSQL is read record by record."""
    monkeypatch.setitem(sys.modules, "data_collector.client.bulk", None)
    await put(dsn, *range(200))

    with Memory(tmp_path, SYMBOL, "1m") as memory:
        assert memory.fill(client) == 200


async def test_filling_begins_where_it_is_told(client: Client, dsn: str, tmp_path: Path) -> None:
    await put(dsn, *range(200))

    with Memory(tmp_path, SYMBOL, "1m") as memory:
        assert memory.fill(client, start=at(150)) == 50
        assert memory.first == at(150)


def test_symbol_that_nobody_collects_is_told(client: Client, tmp_path: Path) -> None:
    with Memory(tmp_path, "NOSUCH", "1m") as memory, pytest.raises(UnknownSymbol):
        memory.fill(client)


def test_client_of_another_exchange_is_refused(address: str, tmp_path: Path) -> None:
    with (
        Memory(tmp_path, SYMBOL, "1m") as memory,
        Client(address, api="", exchange="kraken") as client,
        pytest.raises(WrongQuestion, match='give it exchange="kraken"'),
    ):
        memory.fill(client)


async def test_memory_of_another_market_is_refused(
    client: Client, sink: RedisSink, store_address: StoreAddress, reader: Reader, dsn: str, tmp_path: Path
) -> None:
    """A demo that began anew: the same symbol and times, other prices. Neither history nor live candles are mixed."""
    sentence = f"BTCUSDT-1m.candles holds candles of {SOURCE}, and .* come from {ELSEWHERE}: .* delete the file"
    await sink.write(stores.klines(kline(0)))
    await put(dsn, *range(100))
    with Memory(tmp_path, SYMBOL, "1m") as memory:
        memory.fill(client)
        position = memory.position
        await replace(store_address, reader)
        execute(dsn, "update market_data_ohlcv set close = 45000.5")
        await put(dsn, 100)
        with pytest.raises(WrongStore, match=sentence):
            memory.fill(client)
        with pytest.raises(WrongStore, match=sentence), client.live(MINUTES) as live:
            memory.follow(live)
        with pytest.raises(WrongStore, match=f"is of {SOURCE}, and the store .* from {ELSEWHERE}"):
            client.live(MINUTES, position=position)
        assert closes(memory) == [float(price) for price in PRICES[:100]]
    with Memory(tmp_path / "anew", SYMBOL, "1m") as memory:
        assert memory.fill(client) == 101


def test_command_names_the_market_of_its_file(
    address: str, reader: Reader, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is of the demo before."""
    reader.client.set("collector:source", SOURCE)
    monkeypatch.chdir(tmp_path)
    places = {"REDIS_URL": address, "DATABASE_URL": dsn, "VAR_DIR": str(tmp_path)}
    for name, value in (places | {"EXCHANGES": EXCHANGE}).items():
        monkeypatch.setenv(name, value)
    with Memory(tmp_path / "memory", SYMBOL, "1m") as memory:
        memory._candles.join(ELSEWHERE)
        memory.take([candle(0, 1.0, 1.0, 1.0, 1.0)])

    before = signal.getsignal(signal.SIGTERM)
    for words in (["similar", SYMBOL], ["--vectors", "--symbols", SYMBOL]):
        ended = CliRunner().invoke(command_line(["memory"]), ["memory", *words])
        assert isinstance(ended.exception, Misconfigured)
        assert f"holds candles of {ELSEWHERE}, and" in str(ended.exception)
        assert signal.getsignal(signal.SIGTERM) is before


async def test_live_candles_follow_upon_history_without_a_seam(
    client: Client, sink: RedisSink, dsn: str, tmp_path: Path
) -> None:
    """The store holds some that history holds too; one closes late; another is corrected."""
    await put(dsn, *range(300))
    await sink.write(stores.klines(*(kline(minute, close=PRICES[minute]) for minute in range(290, 300))))
    with Memory(tmp_path, SYMBOL, "1m") as memory:
        memory.fill(client)
        live = client.live(MINUTES, position=memory.position, revisions=True)
        following = Thread(target=memory.follow, args=(live,))
        following.start()
        await sink.write(stores.klines(*(kline(minute, close=PRICES[minute]) for minute in range(300, 320))))
        until(lambda: len(memory) == 320)
        live.close()
        following.join()
        found = closes(memory)

    assert found == [float(price) for price in PRICES[:320]]


def test_killed_filling_goes_on_and_has_every_candle_once(
    address: str, reader: Reader, dsn: str, tmp_path: Path
) -> None:
    execute(dsn, "truncate market_data_ohlcv, market_data_gaps")
    asyncio.run(put(dsn, *range(COUNT)))
    file = tmp_path / "BTCUSDT-1m.candles"
    sizes = [0]
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", FILLING, str(tmp_path), address, dsn], cwd=ROOT) as filling:
            until(lambda: file.exists() and file.stat().st_size > sizes[-1] + 100 * ROW.itemsize)
            filling.send_signal(signal.SIGKILL)
        sizes.append(file.stat().st_size)

    with Memory(tmp_path, SYMBOL, "1m") as memory, Client(address, api="", database=dsn) as client:
        assert len(memory) == (sizes[-1] - HEADER_BYTES) // ROW.itemsize < COUNT
        memory.fill(client)
        assert closes(memory) == [float(price) for price in PRICES]


async def test_pages_are_joined_without_a_seam(
    client: Client, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_module, "PAGE_CANDLES", 64)
    await put(dsn, *range(300))

    with Memory(tmp_path, SYMBOL, "1m") as memory:
        # The present is two years and a million candles away.
        monkeypatch.setattr(memory_module, "now_ms", lambda: int(at(400).timestamp() * 1000))
        assert memory.fill(client) == 300
