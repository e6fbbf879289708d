"""The fault matrix: one test per row of docs/fault-matrix.md, each against a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.faults.servers import StoreServer, serving
from tests.integration.conftest import (
    database,
    database_server,
    folder,
    market,
    running_market,
    store,
    store_server,
)
from tests.integration.scene import Scene, playing
from tests.integration.store_reader import Store
from tests.proxy import Proxy

__all__ = ["database", "database_server", "folder", "market", "running_market", "store", "store_server"]
"""Fixtures of the integration tests, which are used here too."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The matrix belongs to `make test-all`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("slow")


@pytest.fixture
async def scene(store: Store, folder: Path) -> AsyncIterator[Scene]:
    """A market that has been collected from for a while."""
    async with playing(store, folder) as scene:
        await scene.subscribed()
        await scene.trade()
        yield scene


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StoreServer]:
    """A server that one test has for itself."""
    with serving(tmp_path / "server") as server:
        yield server


@pytest.fixture
async def proxy(server: StoreServer) -> AsyncIterator[Proxy]:
    """Before that server."""
    async with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
async def proxied(server: StoreServer, proxy: Proxy, folder: Path) -> AsyncIterator[Scene]:
    """A market that has been collected from for a while; the collector reaches its store through the proxy."""
    async with playing(server.store_behind(proxy.port), folder) as scene:
        await scene.subscribed()
        await scene.trade()
        yield scene
