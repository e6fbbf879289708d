"""Real servers to write to: the embedded Valkey, and the machine's own Redis where there is one."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from data_collector.client import AsyncClient, Client
from data_collector.client.adapters.memory import Memory
from data_collector.embedded.binary import server_binary
from data_collector.model.store_url import StoreAddress
from data_collector.observe.counters import Counters
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.redis.sink import RedisSink
from tests.contract.stores import OfExchange, Reader, opened, redis_sink
from tests.integration.postgres_server import database_named, database_server, execute
from tests.market import EXCHANGE

__all__ = ["database_server"]
"""A fixture of the integration tests, which is used here too."""

DEADLINE_S = 60.0

MACHINES_REDIS = Path("/usr/bin/redis-server")

SERVERS = {"valkey": server_binary()} | ({"redis": MACHINES_REDIS} if MACHINES_REDIS.exists() else {})
"""Every suite runs on each."""


READERS = (
    "test_backtrader_history.py", "test_backtrader_live.py", "test_backtrader_orders.py",
    "test_client_async.py", "test_client_collected.py", "test_client_feeds.py", "test_client_frames.py",
    "test_client_history.py", "test_client_memory.py", "test_client_seam.py", "test_client_stretches.py",
    "test_http_gaps.py", "test_http_latest.py", "test_http_series_grid.py", "test_http_series_streamed.py",
    "test_http_several.py", "test_planted.py", "test_strangers_read.py",
)  # fmt: skip
"""What these hold is decided before a record is stored, or after it was read."""


@pytest.fixture(autouse=True, scope="session")
def _clients_of_the_exchange() -> None:
    """Who names none reads the tested one."""
    for kind in (Client, AsyncClient, Memory):
        defaults = kind.__init__.__kwdefaults__
        assert defaults is not None, "they have some"
        defaults["exchange"] = EXCHANGE


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What writes to a store is tried on each in CI, and so is one suite of readers; the other readers on one."""
    for item in items:
        if item.path.name in READERS and "[redis" in item.name:
            item.add_marker("long")


@pytest.fixture(scope="session", params=SERVERS)
def store_address(request: pytest.FixtureRequest) -> Iterator[StoreAddress]:
    """A server of its own on a socket in a short folder; nothing listens on a port."""
    with tempfile.TemporaryDirectory(prefix="dc-") as folder:
        path = f"{folder}/s"
        process = subprocess.Popen(
            [SERVERS[request.param], "--port", "0", "--unixsocket", path, "--dir", folder, "--save", ""],
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait_until_it_answers(process, path)
            yield StoreAddress(unix_path=path)
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


@pytest.fixture(scope="session")
def address(store_address: StoreAddress) -> str:
    """The same as a URL."""
    return f"unix://{store_address.unix_path}"


@pytest.fixture
def store(store_address: StoreAddress) -> Iterator[redis.Redis]:
    """A client of it, on an empty store."""
    client = redis.Redis(unix_socket_path=store_address.unix_path, decode_responses=True)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def reader(store_address: StoreAddress) -> Iterator[Reader]:
    """What users read with, on an empty store."""
    client = OfExchange(unix_socket_path=store_address.unix_path, decode_responses=True)
    client.flushall()
    yield Reader(client)
    client.close()


@pytest.fixture
def counters() -> Counters:
    """Those of the `sink`."""
    return Counters()


@pytest.fixture
async def sink(store_address: StoreAddress, reader: Reader, counters: Counters) -> AsyncIterator[RedisSink]:
    """The sink as the service makes it, on an empty store."""
    async with opened(redis_sink(store_address, counters=counters)) as sink:
        yield sink


@pytest.fixture
async def other(store_address: StoreAddress, reader: Reader) -> AsyncIterator[RedisSink]:
    """A second collector on the same store."""
    async with opened(redis_sink(store_address, writer="writer2")) as sink:
        yield sink


@pytest.fixture(scope="module")
def dsn(database_server: str) -> Iterator[str]:
    """A database of the module's own, with the tables of the history."""
    name = f"dc_test_{uuid4().hex[:12]}"
    execute(database_server, f"create database {name}")
    dsn = database_named(database_server, name)
    asyncio.run(_migrate(dsn))
    yield dsn
    execute(database_server, f"drop database {name} with (force)")


async def _migrate(dsn: str) -> None:
    pool = await open_pool(dsn, size=1)
    async with pool.acquire() as connection:
        await migrate(connection)
    await pool.close()


def _wait_until_it_answers(process: subprocess.Popen[bytes], path: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    client = redis.Redis(unix_socket_path=path)
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.ping():
                client.close()
                return
        except redis.ConnectionError:
            time.sleep(0.01)
    raise RuntimeError("the store did not come up")
