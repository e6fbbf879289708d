"""Names that cannot be resolved, or not in time: the addresses that were good last are dialled."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from data_collector.observe.counters import Counters
from data_collector.pipeline.resolver import Place, Resolver, look_up
from data_collector.simulator.actions import Reset
from tests.integration.scene import playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

LOOK_UP = "data_collector.pipeline.resolver.look_up"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Somebody who takes connections and says nothing."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def fail(host: str, port: int) -> list[Place]:
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


async def test_known_address_is_used_when_the_name_server_fails(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    counters = Counters()
    resolver = Resolver(counters)
    (await resolver.connect("localhost", port)).close()
    monkeypatch.setattr(LOOK_UP, fail)

    (await resolver.connect("localhost", port)).close()

    assert counters.value("data_collector_dns_errors_total") == 1


async def test_known_address_is_used_when_the_lookup_hangs(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    counters, answered, threads = Counters(), threading.Event(), threading.active_count()
    resolver = Resolver(counters)
    (await resolver.connect("localhost", port)).close()

    def hang(host: str, port: int) -> list[Place]:
        answered.wait()
        return look_up(host, port)

    monkeypatch.setattr(LOOK_UP, hang)
    monkeypatch.setattr("data_collector.pipeline.resolver.LOOKUP_TIMEOUT_S", 0.05)
    for _ in range(3):
        (await resolver.connect("localhost", port)).close()

    assert counters.value("data_collector_dns_errors_total") == 3
    # However often it was asked for: one lookup per name at a time.
    assert threading.active_count() <= threads + 1
    answered.set()
    await until_async(lambda: threading.active_count() <= threads, "the end of the lookup")


async def test_unknown_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOOK_UP, fail)

    with pytest.raises(OSError, match="Temporary failure"):
        await Resolver(Counters()).connect("exchange.invalid", 443)


async def test_name_that_is_none_is_told() -> None:
    with pytest.raises(OSError, match="no host name"):
        await Resolver(Counters()).connect("a" * 64 + ".invalid", 443)


async def test_next_address_is_tried_when_the_first_refuses(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed: Place = (socket.AF_INET, ("127.0.0.1", unused.getsockname()[1]))
        places: list[Place] = [closed, (socket.AF_INET, ("127.0.0.1", port))]
        monkeypatch.setattr(LOOK_UP, lambda _host, _port: places)

        (await Resolver(Counters()).connect("exchange.invalid", port)).close()


async def test_names_that_move_are_followed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(Counters())
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed: Place = (socket.AF_INET, ("127.0.0.1", unused.getsockname()[1]))
        monkeypatch.setattr(LOOK_UP, lambda _host, _port: [closed])
        with pytest.raises(ConnectionRefusedError):
            await resolver.connect("exchange.invalid", port)
    monkeypatch.setattr(LOOK_UP, lambda _host, port: look_up("127.0.0.1", port))

    (await resolver.connect("exchange.invalid", port)).close()


async def test_collector_comes_back_while_the_name_server_is_away(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with playing(store, folder) as scene:
        await scene.subscribed()
        await scene.trade()
        monkeypatch.setattr(LOOK_UP, fail)

        await scene.simulator.perform(Reset())
        await scene.subscribed(after_attempts=1)
        await scene.trade()

        assert scene.counted("dns_errors_total") == 1
        assert scene.counted("connect_failures_total") == 0
