"""Streams that were given and say nothing: told, and their trades come by REST; a symbol that ends harms no other."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from data_collector.model.venue import Venue
from data_collector.simulator import FrameFault
from data_collector.simulator.control.actions import SetStatus
from tests.conformance.worlds import assert_trades_exact, collecting, market_of, stream, symbols_of
from tests.integration.scene import Scene
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

SECONDS = 6
"""After which the rhythm of a stream is known."""


async def runs_on(scene: Scene, symbol: str, seconds: int = 1) -> None:
    """Trades are stored that are made after so long."""
    for _ in range(seconds):
        after_ms = scene.simulator.market.now_ms + 1_000
        await until_async(partial(_is_later, scene, after_ms), "a second")
        newest_id = scene.simulator.tape(symbol)[-1].trade_id
        await until_async(partial(_is_stored, scene, symbol, newest_id), f"trade {newest_id} of {symbol}")


def _is_later(scene: Scene, time_ms: int) -> bool:
    return scene.simulator.market.now_ms > time_ms


def _is_stored(scene: Scene, symbol: str, trade_id: int) -> bool:
    return scene.store.tail_id(symbol) >= trade_id


@pytest.mark.long
async def test_mute_trades_are_named_and_come_by_rest(store: Store, folder: Path, venue: Venue) -> None:
    """For good: no subscription and no connection changes it."""
    symbol = symbols_of(venue)[0]
    name = stream(venue, "trade", symbol)
    async with collecting(venue, store, folder, market_of(venue, driven=False, trades_per_s=20.0)) as scene:
        await scene.subscribed()
        await runs_on(scene, symbol, SECONDS)
        scene.simulator.faults.add(FrameFault(kind="drop", stream=name))

        await until_async(lambda: any(name in reason for reason in scene.status.reasons), "the mute stream")
        await runs_on(scene, symbol, 2)
        assert scene.filled() > 50
        scene.simulator.faults.clear()
        scene.simulator.clock.pause()
        for each in scene.symbols:
            await scene.simulator.burst(each, 1)
        await scene.settled()
        assert_trades_exact(scene)


async def test_symbol_that_is_delisted_harms_no_other(store: Store, folder: Path, venue: Venue) -> None:
    good, ended = symbols_of(venue)
    async with collecting(venue, store, folder, market_of(venue)) as scene:
        await scene.subscribed()
        await scene.trade()
        await scene.simulator.perform(SetStatus(symbol=ended, status="END_OF_DAY"))
        attempts = scene.attempts()
        for _ in range(3):
            await scene.trade(20_000)
        for connection in scene.simulator.connections():
            connection.reset()
        await until_async(lambda: scene.attempts() > attempts, "another connection")
        await until_async(lambda: scene.status.connections[0].state == "connected", "a connection")
        scene.simulator.advance(5_000)

        newest_id = scene.simulator.tape(good)[-1].trade_id
        await until_async(partial(_is_stored, scene, good, newest_id), "trades of the other")
        assert_trades_exact(scene)
