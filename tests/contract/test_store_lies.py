"""A store, or a proxy before it, that answers what was not asked: told as a store that cannot be used now, no crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import hiredis
import pytest
from msgspec.structs import replace

from data_collector.model.errors import SinkUnavailable
from data_collector.model.store_url import StoreAddress
from data_collector.sinks.redis.sink import RedisSink
from tests.contract.stores import Reader, klines, opened, redis_sink, run_of
from tests.market import NOON_MS, SYMBOL, kline, trade

LIES = {
    "status": b"+OK\r\n",
    "number": b":1\r\n",
    "nothing": b"$-1\r\n",
    "text": b"$3\r\nGAP\r\n",
    "empty array": b"*0\r\n",
    "array of text": b"*1\r\n$3\r\nGAP\r\n",
    "array of arrays": b"*2\r\n*1\r\n:1\r\n*0\r\n",
    "long array": b"*7\r\n" + b"$1\r\nx\r\n" * 7,
    "map": b"%1\r\n+a\r\n+b\r\n",
    "double": b",1.5\r\n",
}


class LyingProxy:
    """Passes on what is asked and answered, unless it has something of its own to say to each command."""

    def __init__(self, address: StoreAddress) -> None:
        self._target = address
        self._tasks: set[asyncio.Task[None]] = set()
        self.lie: bytes | None = None

    @asynccontextmanager
    async def served(self) -> AsyncIterator[StoreAddress]:
        """Its own address."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield replace(self._target, host="127.0.0.1", port=server.sockets[0].getsockname()[1], unix_path=None)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio makes one for each connection"
        self._tasks.add(task)
        target = self._target
        if target.unix_path is not None:
            behind, onward = await asyncio.open_unix_connection(target.unix_path)
        else:
            behind, onward = await asyncio.open_connection(target.host, target.port)
        back = asyncio.create_task(self._pass_back(behind, writer))
        self._tasks.add(back)
        commands = hiredis.Reader()
        try:
            while data := await reader.read(2**16):
                commands.feed(data)
                count = 0
                while commands.gets():
                    count += 1
                if self.lie is None:
                    onward.write(data)
                else:
                    writer.write(self.lie * count)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            back.cancel()
            for each in (onward, writer):
                each.transport.abort()

    async def _pass_back(self, behind: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await behind.read(2**16):
            writer.write(data)


@pytest.mark.parametrize("name", LIES)
async def test_reply_that_was_not_asked_for_is_no_end_of_the_process(
    store_address: StoreAddress, reader: Reader, name: str
) -> None:
    """A proxy that answers `+OK` to every command for some seconds ended the collector with an AssertionError."""
    proxy = LyingProxy(store_address)
    async with proxy.served() as address, opened(redis_sink(address)) as sink:
        proxy.lie = LIES[name]
        for ask in (write, tails, groups, cursors, orders, end):
            try:
                await ask(sink)
            except SinkUnavailable as error:
                assert str(error).startswith(("The store", "What the store"))  # noqa: PT017 - some lies pass for answers
        with pytest.raises(SinkUnavailable):
            await sink.open()
        proxy.lie = None

        await write(sink)

    assert reader.ids() == [1, 2, 3]


async def write(sink: RedisSink) -> None:
    batch = klines(kline(0), kline(1))
    batch.trades = [run_of([trade(number) for number in (1, 2, 3)])]
    await sink.write(batch)


async def tails(sink: RedisSink) -> None:
    await sink.tails([SYMBOL])


async def groups(sink: RedisSink) -> None:
    await sink.groups(["trades:" + SYMBOL])


async def cursors(sink: RedisSink) -> None:
    await sink.kline_cursors([SYMBOL], ["1m"], NOON_MS)


async def orders(sink: RedisSink) -> None:
    await sink.epoch_orders([SYMBOL])


async def end(sink: RedisSink) -> None:
    await sink.end_of_epoch(SYMBOL, 0)
