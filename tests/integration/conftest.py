"""A real store for the tests of the running service: one server per session, emptied for each test."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from data_collector.embedded.binary import server_binary
from data_collector.embedded.peer import free_port
from data_collector.pipeline.repair import kline_repair
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import open_pool
from data_collector.validation.auditing.audit_worker import AuditWorker
from tests.integration.past import Past, past
from tests.integration.postgres_server import database, database_server
from tests.integration.processes import Exchange, end_embedded_server, exchange
from tests.integration.scene import Scene, playing
from tests.integration.store_reader import Store
from tests.integration.timescale_server import timescale, timescale_server
from tests.integration.waiting import until

__all__ = [
    "database", "database_server", "folder", "market", "pool", "running_market", "scene", "short_grace",
    "store", "store_server", "timescale", "timescale_server", "worker", "world",
]  # fmt: skip


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The market's minutes pass in milliseconds here."""
    monkeypatch.setattr(kline_repair, "GRACE_S", 0.3)
    monkeypatch.setattr(kline_repair, "LOOK_S", 0.05)


@pytest.fixture
async def scene(store: Store, folder: Path) -> AsyncIterator[Scene]:
    """A market of which a closed kline of each symbol is stored."""
    async with playing(store, folder) as scene:
        await scene.subscribed()
        await scene.trade()
        await scene.klines_closed()
        yield scene


@pytest.fixture(scope="session")
def store_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that is nobody's embedded one."""
    folder = tmp_path_factory.mktemp("store")
    port = free_port()
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    process = subprocess.Popen([server_binary(), *arguments], stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    probe = Store(url)
    try:
        until(probe.answers, "an answer of the store")
        yield url
    finally:
        probe.close()
        process.terminate()
        process.wait(20)


@pytest.fixture
def store(store_server: str) -> Iterator[Store]:
    """An empty store."""
    store = Store(store_server)
    store.ask("FLUSHALL")
    store.ask("FUNCTION", "FLUSH")
    yield store
    store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """For VAR_DIR; no embedded server is left in it."""
    folder = tmp_path / "var"
    folder.mkdir()
    yield folder
    end_embedded_server(folder)


@pytest.fixture(scope="module")
def running_market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A market in a hurry, as a process of its own."""
    with exchange(tmp_path_factory.mktemp("exchange"), "--speed", "20", "--trades-per-s", "5") as running:
        yield running


@pytest.fixture
def market(running_market: Exchange) -> Iterator[Exchange]:
    """It goes on after a test has stopped it."""
    yield running_market
    running_market.act("resume")


@pytest.fixture
async def world(tmp_path: Path, database: str) -> AsyncIterator[Past]:
    """An exchange with a past, and an empty database."""
    async with past(tmp_path, database) as made:
        yield made


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Of a database with our tables."""
    pool = await open_pool(database, size=2)
    async with pool.acquire() as connection:
        await migrate(connection)
    yield pool
    await pool.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker() -> AsyncIterator[AuditWorker]:
    """With real Great Expectations, one for a module: starting it costs three seconds. Who ends it starts it again."""
    worker = AuditWorker()
    await worker.start()
    yield worker
    await worker.close()
    assert not worker.alive
