"""Readers of the store in the HTTP process: none holds up all others, and what is told of a late answer is true."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from data_collector.api import store_reading
from data_collector.api.completeness import completeness, kline_counting
from data_collector.api.completeness.kline_counting import KlineCounting
from data_collector.api.store_reading import CONNECTIONS, StoreReading
from data_collector.model.errors import SinkUnavailable
from data_collector.model.keys import StoreKeys
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.stores import Reader
from tests.market import PREFIX, SYMBOL, kline

MOMENT_S = 0.3


async def test_reader_that_takes_long_holds_up_no_other(address: str) -> None:
    reading = StoreReading(MOMENT_S)
    async with AsyncExitStack() as others:
        for _ in range(CONNECTIONS - 1):
            await others.enter_async_context(reading.turn(address))
        for _ in range(3):
            async with reading.turn(address) as connection:
                assert await connection.execute([("PING",)]) == ["PONG"]
    await ended(reading)


async def pinged(reading: StoreReading, address: str, *, then_s: float = 0.0) -> None:
    async with reading.turn(address) as connection:
        await connection.execute([("PING",)])
        await asyncio.sleep(then_s)


async def test_late_answer_is_told_with_its_reason(
    address: str, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store was said to be silent whatever it was that took so long."""
    monkeypatch.setattr(store_reading, "SILENT_S", MOMENT_S / 2)
    reading = StoreReading(MOMENT_S)
    with pytest.raises(SinkUnavailable, match=r"To gather this answer takes longer than 0\.3 s"):
        await pinged(reading, address, then_s=60)

    async with AsyncExitStack() as others:
        reading._timeout_s = 60
        for _ in range(CONNECTIONS):
            await others.enter_async_context(reading.turn(address))
        reading._timeout_s = MOMENT_S
        with pytest.raises(SinkUnavailable, match="Too much is being read from the store"):
            await pinged(reading, address)

    reader.client.client_pause(1000)
    with pytest.raises(SinkUnavailable, match=r"The store has not answered within 0\.3 s"):
        await pinged(reading, address)
    await ended(reading)


async def ended(what: StoreReading | KlineCounting) -> None:
    """Closed, and its sockets too."""
    what.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def passes(reader: Reader) -> int:
    """Pages read backwards so far."""
    stats = reader.client.info("commandstats")
    return int(stats.get("cmdstat_xrevrange", {"calls": 0})["calls"])


async def test_klines_are_counted_once_for_all_who_ask(
    address: str, sink: RedisSink, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completeness, "KLINE_PAGE_ENTRIES", 10)
    monkeypatch.setattr(kline_counting, "KEPT_FOR", 10_000)
    await sink.write(stores.klines(*(kline(minute) for minute in range(95))))
    counting, keys, before = KlineCounting(), StoreKeys(PREFIX), passes(reader)

    found = await asyncio.gather(*(counting.counts(address, keys, SYMBOL, {}) for _ in range(50)))

    assert {each["1m"].held for each in found} == {95}
    assert all(each["1m"].is_proven for each in found)
    # One more is of what is declared.
    assert passes(reader) - before == 11
    told = await counting.counts(address, keys, SYMBOL, {keys.key("stream", SYMBOL): "somebody else writes there"})
    assert not told["1m"].is_proven
    assert passes(reader) - before == 11
    await ended(counting)


async def test_klines_that_take_long_are_counted_on_when_who_asked_has_given_up(
    address: str, sink: RedisSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kline_counting, "WAIT_S", 0.0)
    monkeypatch.setattr(kline_counting, "KEPT_FOR", 10_000)
    await sink.write(stores.klines(kline()))
    counting, keys = KlineCounting(), StoreKeys(PREFIX)

    with pytest.raises(SinkUnavailable, match=f"The klines of {SYMBOL} are being counted"):
        await counting.counts(address, keys, SYMBOL, {})
    await asyncio.wait(counting._counting.values())

    assert (await counting.counts(address, keys, SYMBOL, {}))["1m"].held == 1
    await ended(counting)
