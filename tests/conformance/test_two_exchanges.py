"""Several exchanges tell one market: what their collectors store is the same, whatever happens to each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import combinations
from pathlib import Path

import pytest

from data_collector.model.venue import Venue
from data_collector.simulator import EqualTimes, FrameFault, RestFault, Simulator, SimulatorSettings
from data_collector.simulator.control.actions import Close, SetStatus
from data_collector.venues.discovery import find_speaker, find_venue
from tests.conformance.test_ends import Market, collector
from tests.conformance.worlds import (
    ENDS_MS,
    MINUTE_MS,
    NAMES,
    Collected,
    assert_klines_exact,
    assert_trades_exact,
    closed_klines,
    klines_settled,
    klines_stored,
    stream,
    symbol_at,
)
from tests.integration.scene import Scene, playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

MARKETS = ("BTCUSDT", "ETHUSDT")

INTERVALS = ("1m", "5m", "15m")

TOLD = ("open", "high", "low", "close", "volume", "trades", "taker_buy_base_volume")
"""What any exchange's closed kline is made of, in the same way."""

VENUES = [find_venue(name) for name in NAMES]

ENDED = "BNBUSDT"
"""A market that is delisted."""

MUTE_S = 180
"""Until trades of a stream that says nothing have come by REST: one question for each symbol, and some time before."""

SETTLED_S = 180.0
"""Until what was missed has come, where REST is asked as seldom as an exchange wants it."""


@pytest.fixture
def stores(store_server: str) -> Iterator[Store]:
    """One server that all write to."""
    store = Store(store_server)
    store.ask("FLUSHALL")
    store.ask("FUNCTION", "FLUSH")
    yield store
    store.close()


def trades_of(scene: Collected, symbol: str) -> dict[int, tuple[object, ...]]:
    """Numbers by value, times to the millisecond."""
    return {
        int(str(record["trade_id"])): (
            Decimal(str(record["price"])), Decimal(str(record["quantity"])), str(record["timestamp"])[:23],
            record["is_buyer_maker"],
        )
        for record in scene.store.records(f"trades:{symbol}")
    }  # fmt: skip


def klines_of(scene: Collected, symbol: str, interval: str) -> dict[int, list[object]]:
    """Those of minutes that were traded in, in numbers by value."""
    return {
        open_ms: [Decimal(str(record[name])) for name in TOLD]
        for open_ms, record, source in closed_klines(scene, symbol, interval)
        if record["trades"] and record["taker_buy_base_volume"] is not None
    }


async def all_settled(places: Sequence[Scene] | Sequence[Market]) -> None:
    """After one more trade of each market."""
    for symbol in places[0].symbols:
        await places[0].simulator.burst(symbol, 1)
    for place in places:
        newest = {symbol: place.simulator.tape(symbol)[-1].trade_id for symbol in place.symbols}
        await until_async(partial(_is_stored, place, newest), f"the newest trades {newest}", deadline_s=SETTLED_S)


def _is_stored(place: Scene | Market, newest: dict[str, int]) -> bool:
    return all(place.store.tail_id(symbol) == trade_id for symbol, trade_id in newest.items())


def trade_streams() -> list[str]:
    """Those of the first market, as each exchange names it."""
    return [stream(venue, "trade", symbol_at(venue, MARKETS[0])) for venue in VENUES]


def market_of_all(symbols: tuple[str, ...]) -> Simulator:
    """One that all of them tell."""
    settings = SimulatorSettings(
        driven=True, start_ms=ENDS_MS - 4 * MINUTE_MS, symbols=symbols, history_trades=2_000, trades_per_s=0.2,
        enforce_limits=False,
    )  # fmt: skip
    return Simulator(settings, [find_speaker(venue.name) for venue in VENUES])


async def disturbed(simulator: Simulator, places: Sequence[Scene] | Sequence[Market]) -> None:
    """Frames twice, out of order, left out; then REST is away."""
    names = trade_streams()
    for name in names:
        simulator.faults.add(FrameFault(kind="duplicate", stream=name, rate=0.1))
        simulator.faults.add(FrameFault(kind="reorder", stream=name, rate=0.1, span=2))
        simulator.faults.add(FrameFault(kind="drop", stream=name, rate=0.05))
    simulator.faults.add(EqualTimes(rate=0.9))
    for _ in range(4):
        await simulator.burst(MARKETS[0], 50)
        simulator.advance(MINUTE_MS // 4)
    simulator.faults.clear()
    await all_settled(places)
    simulator.faults.add(RestFault(status=500))
    for name in names:
        simulator.faults.add(FrameFault(kind="drop", stream=name, count=10))
    await simulator.burst(MARKETS[0], 50)
    simulator.advance(MINUTE_MS)
    simulator.faults.clear()
    await all_settled(places)


def assert_alike(collected: Sequence[tuple[Collected, Venue]], intervals: Sequence[str]) -> None:
    """Each exchange's store holds the same of each market as each other's."""
    for (one, venue), (other, another) in combinations(collected, 2):
        for market in MARKETS:
            first, second = (one, symbol_at(venue, market)), (other, symbol_at(another, market))
            trades = [trades_of(*first), trades_of(*second)]
            common = trades[0].keys() & trades[1].keys()
            assert len(common) > 100 or market != MARKETS[0]
            assert max(trades[0]) == max(trades[1])
            assert {number: trades[0][number] for number in common} == {number: trades[1][number] for number in common}
            for interval in intervals:
                klines = [klines_of(*first, interval), klines_of(*second, interval)]
                shared = klines[0].keys() & klines[1].keys()
                # The first one of a long interval is REST's, which may tell less.
                assert shared or interval == "15m"
                assert {at: klines[0][at] for at in shared} == {at: klines[1][at] for at in shared}


@pytest.mark.slow
@pytest.mark.usefixtures("hurried")
async def test_collectors_of_one_market_store_the_same(stores: Store, tmp_path: Path) -> None:
    simulator = market_of_all(MARKETS)
    scenes: list[Scene] = []
    async with AsyncExitStack() as stack:
        for venue in VENUES:
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
        for _ in range(2):
            await disturbed(simulator, scenes)
            before = attempts(simulator)
            await simulator.perform(Close(code=1001))
            await simulator.burst(MARKETS[0], 50)
            simulator.advance(MINUTE_MS)
            for scene in scenes:
                await scene.subscribed(after_attempts=before)
            await all_settled(scenes)
        # One that is longest is whole then, also where a new connection is told of no trade but the newest.
        simulator.advance(16 * MINUTE_MS)
        await all_settled(scenes)
        for venue, scene in zip(VENUES, scenes, strict=True):
            await klines_settled(scene, venue, INTERVALS)
            assert_trades_exact(scene)
            assert_klines_exact(scene, venue, INTERVALS)
        assert_alike(list(zip(scenes, VENUES, strict=True)), INTERVALS)


@pytest.mark.long
@pytest.mark.timeout(1_200)
async def test_one_market_is_stored_exactly_through_every_fault(stores: Store, tmp_path: Path) -> None:
    """Frames twice, out of order, left out; cuts, REST away, mute streams, a wiped store, kill -9, a delisting."""
    simulator = market_of_all((*MARKETS, ENDED))
    places: list[tuple[Market, Venue, Path]] = []
    for venue in VENUES:
        symbols = [symbol_at(venue, market) for market in (*MARKETS, ENDED)]
        folder = tmp_path / venue.name
        folder.mkdir()
        places.append((Market(simulator, Store(stores.url, venue.key_prefix), symbols), venue, folder))
    markets = [market for market, _, _ in places]
    await simulator.start()
    try:
        with collectors(places):
            await streams_flow(simulator)
            await all_settled(markets)
            await disturbed(simulator, markets)
            await muted(simulator, markets)
            stores.ask("FLUSHALL")
            await all_settled(markets)
            simulator.advance(MINUTE_MS // 3)
            await all_settled(markets)
        # All of them were killed, in the middle of a minute.
        await until_async(lambda: not simulator.connections(), "the end of the connections")
        simulator.advance(MINUTE_MS // 2)
        await simulator.burst(MARKETS[0], 40)
        with collectors(places):
            await streams_flow(simulator)
            await all_settled(markets)
            await simulator.perform(SetStatus(symbol=ENDED, status="END_OF_DAY"))
            before = attempts(simulator)
            for connection in simulator.connections():
                connection.reset()
            await until_async(lambda: attempts(simulator) >= before + len(VENUES), "other connections")
            left = [replace(market, symbols=market.symbols[: len(MARKETS)]) for market in markets]
            await streams_flow(simulator)
            simulator.advance(6 * MINUTE_MS)
            await all_settled(left)
            simulator.advance(MINUTE_MS)
            await all_settled(left)
            for market, (whole, venue, _) in zip(left, places, strict=True):
                await klines_stored(market, venue)
                assert_trades_exact(whole)
                assert_klines_exact(market, venue)
            assert_alike(list(zip(left, VENUES, strict=True)), ("1m", "5m"))
    finally:
        await simulator.stop()
        for market in markets:
            market.store.close()


@contextmanager
def collectors(places: Sequence[tuple[Market, Venue, Path]]) -> Iterator[None]:
    """A process for each exchange, which is killed at the end of the block."""
    with ExitStack() as stack:
        for market, venue, folder in places:
            stack.enter_context(collector(venue, market, folder))
        yield


def attempts(simulator: Simulator) -> int:
    """How often collectors have dialled."""
    made = simulator.state()["connection_attempts"]
    assert isinstance(made, int)
    return made


async def streams_flow(simulator: Simulator) -> None:
    """Each of them is subscribed to something."""
    await until_async(lambda: len([one for one in simulator.connections() if one.streams]) == len(VENUES), "streams")


async def muted(simulator: Simulator, markets: Sequence[Market]) -> None:
    """The trades of one market are sent no more, and tickers go on: they come by REST."""
    for name in trade_streams():
        simulator.faults.add(FrameFault(kind="drop", stream=name))
    await simulator.burst(MARKETS[0], 30)
    newest_id = simulator.tape(MARKETS[0])[-1].trade_id
    for _ in range(MUTE_S):
        if all(market.store.tail_id(market.symbols[0]) >= newest_id for market in markets):
            break
        simulator.advance(1_000)
        await asyncio.sleep(1)
    else:
        pytest.fail("the trades of mute streams did not come")
    simulator.faults.clear()
    await all_settled(markets)
