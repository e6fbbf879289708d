"""Names that cannot be resolved, or not in time: the addresses that were good last are dialled."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from aiohappyeyeballs import AddrInfoType

from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.transport import Resolver, look_up
from data_collector.simulator.control.actions import Reset
from tests.integration.scene import playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

LOOK_UP = "data_collector.pipeline.connections.transport.look_up"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Somebody who takes connections and says nothing."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def at(port: int) -> AddrInfoType:
    """An address of this machine, as a lookup tells it."""
    return socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)


@contextmanager
def deaf() -> Iterator[int]:
    """A port whose queue of those who wait to be taken is full: it answers nobody."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


def fail(host: str, port: int) -> Sequence[AddrInfoType]:
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

    def hang(host: str, port: int) -> Sequence[AddrInfoType]:
        answered.wait()
        return look_up(host, port)

    monkeypatch.setattr(LOOK_UP, hang)
    monkeypatch.setattr("data_collector.pipeline.connections.transport.LOOKUP_TIMEOUT_S", 0.05)
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
        addresses = [at(unused.getsockname()[1]), at(port)]
        monkeypatch.setattr(LOOK_UP, lambda _host, _port: addresses)

        (await Resolver(Counters()).connect("exchange.invalid", port)).close()


async def test_next_address_is_tried_when_the_first_keeps_silent(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_collector.pipeline.connections.transport.TCP_TIMEOUT_S", 0.2)
    with deaf() as silent:
        addresses = [at(silent), at(port)]
        monkeypatch.setattr(LOOK_UP, lambda _host, _port: addresses)

        opened = await Resolver(Counters()).connect("exchange.invalid", port)

        assert opened.getpeername()[1] == port
        opened.close()


async def test_host_that_keeps_silent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_collector.pipeline.connections.transport.TCP_TIMEOUT_S", 0.2)
    with deaf() as silent:
        monkeypatch.setattr(LOOK_UP, lambda _host, _port: [at(silent)])

        with pytest.raises(TimeoutError, match=r"exchange\.invalid did not answer within 0\.2 s"):
            await Resolver(Counters()).connect("exchange.invalid", silent)


async def test_names_that_move_are_followed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(Counters())
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = at(unused.getsockname()[1])
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
