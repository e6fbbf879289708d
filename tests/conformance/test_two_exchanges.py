"""Two exchanges tell one market: what their collectors store is the same, whatever happens to each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from decimal import Decimal
from itertools import combinations
from pathlib import Path

import pytest

from data_collector.simulator import EqualTimes, FrameFault, RestFault, Simulator, SimulatorSettings
from data_collector.simulator.control.actions import Close
from data_collector.venues.discovery import find_speaker, find_venue
from tests.conformance.worlds import (
    ENDS_MS,
    MINUTE_MS,
    NAMES,
    assert_klines_exact,
    assert_trades_exact,
    closed_klines,
    klines_settled,
    stream,
    symbol_at,
)
from tests.integration.scene import Scene, playing
from tests.integration.store_reader import Store

MARKETS = ("BTCUSDT", "ETHUSDT")

INTERVALS = ("1m", "5m", "15m")

TOLD = ("open", "high", "low", "close", "volume", "trades", "taker_buy_base_volume")
"""What any exchange's closed kline is made of, in the same way."""

PAIRS = list(combinations(NAMES, 2))


@pytest.fixture
def stores(store_server: str) -> Iterator[Store]:
    """One server that both write to."""
    store = Store(store_server)
    store.ask("FLUSHALL")
    store.ask("FUNCTION", "FLUSH")
    yield store
    store.close()


def trades_of(scene: Scene, symbol: str) -> dict[int, tuple[object, ...]]:
    """Numbers by value, times to the millisecond."""
    return {
        int(str(record["trade_id"])): (
            Decimal(str(record["price"])), Decimal(str(record["quantity"])), str(record["timestamp"])[:23],
            record["is_buyer_maker"],
        )
        for record in scene.store.records(f"trades:{symbol}")
    }  # fmt: skip


def klines_of(scene: Scene, symbol: str, interval: str) -> dict[int, list[object]]:
    """Those of minutes that were traded in, in numbers by value."""
    return {
        open_ms: [Decimal(str(record[name])) for name in TOLD]
        for open_ms, record, source in closed_klines(scene, symbol, interval)
        if record["trades"] and record["taker_buy_base_volume"] is not None
    }


async def both_settled(scenes: list[Scene]) -> None:
    """After one more trade of each market."""
    for symbol in MARKETS:
        await scenes[0].simulator.burst(symbol, 1)
    for scene in scenes:
        await scene.settled()


async def disturbed(simulator: Simulator, scenes: list[Scene], names: list[str]) -> None:
    """Twice, out of order, left out, cut off, REST away."""
    for name in names:
        simulator.faults.add(FrameFault(kind="duplicate", stream=name, rate=0.1))
        simulator.faults.add(FrameFault(kind="reorder", stream=name, rate=0.1, span=2))
        simulator.faults.add(FrameFault(kind="drop", stream=name, rate=0.05))
    simulator.faults.add(EqualTimes(rate=0.9))
    for _ in range(4):
        await simulator.burst(MARKETS[0], 50)
        simulator.advance(MINUTE_MS // 4)
    simulator.faults.clear()
    await both_settled(scenes)
    simulator.faults.add(RestFault(status=500))
    for name in names:
        simulator.faults.add(FrameFault(kind="drop", stream=name, count=10))
    await simulator.burst(MARKETS[0], 50)
    simulator.advance(MINUTE_MS)
    simulator.faults.clear()
    await both_settled(scenes)
    attempts = scenes[0].attempts()
    await simulator.perform(Close(code=1001))
    await simulator.burst(MARKETS[0], 50)
    simulator.advance(MINUTE_MS)
    for scene in scenes:
        await scene.subscribed(after_attempts=attempts)
    await both_settled(scenes)


@pytest.mark.slow
@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("names", PAIRS, ids="-".join)
async def test_collectors_of_one_market_store_the_same(stores: Store, tmp_path: Path, names: tuple[str, str]) -> None:
    venues = [find_venue(name) for name in names]
    settings = SimulatorSettings(
        driven=True, start_ms=ENDS_MS - 4 * MINUTE_MS, symbols=MARKETS, history_trades=2_000, trades_per_s=0.2,
        enforce_limits=False,
    )  # fmt: skip
    simulator = Simulator(settings, [find_speaker(name) for name in names])
    scenes: list[Scene] = []
    async with AsyncExitStack() as stack:
        for venue in venues:
            store = Store(stores.url, venue.key_prefix)
            stack.callback(store.close)
            folder = tmp_path / venue.name
            folder.mkdir()
            symbols = [symbol_at(venue, market) for market in MARKETS]
            scenes.append(await stack.enter_async_context(playing(
                store, folder, exchange=venue, symbols=symbols, intervals=INTERVALS, simulator=simulator,
                beside=scenes[0] if scenes else None,
            )))  # fmt: skip
        for scene in scenes:
            await scene.subscribed()
        streams = [stream(venue, "trade", symbol_at(venue, MARKETS[0])) for venue in venues]
        for _ in range(2):
            await disturbed(simulator, scenes, streams)
        # One that is longest is whole then, also where a new connection is told of no trade but the newest.
        simulator.advance(16 * MINUTE_MS)
        await both_settled(scenes)
        for venue, scene in zip(venues, scenes, strict=True):
            await klines_settled(scene, venue, INTERVALS)
            assert_trades_exact(scene)
            assert_klines_exact(scene, venue, INTERVALS)

        for market in MARKETS:
            first, second = [(scene, symbol_at(venue, market)) for venue, scene in zip(venues, scenes, strict=True)]
            trades = [trades_of(*first), trades_of(*second)]
            common = trades[0].keys() & trades[1].keys()
            assert len(common) > 100 or market != MARKETS[0]
            assert max(trades[0]) == max(trades[1])
            assert {number: trades[0][number] for number in common} == {number: trades[1][number] for number in common}
            for interval in INTERVALS:
                klines = [klines_of(*first, interval), klines_of(*second, interval)]
                shared = klines[0].keys() & klines[1].keys()
                # The first one of a long interval is REST's, which may tell less.
                assert shared or interval == "15m"
                assert {at: klines[0][at] for at in shared} == {at: klines[1][at] for at in shared}
