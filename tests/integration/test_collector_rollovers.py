"""Roll-overs in volume: as many as a collector of ten connections makes in ten days, or in a hundred."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from data_collector.simulator import SimulatorSettings
from data_collector.simulator.control.actions import Shutdown
from data_collector.venues.binance.venue import VENUE
from tests.integration.scene import START_MS, Scene, playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

SYMBOLS = tuple(f"SIM{number:04d}USDT" for number in range(10))
STREAMS = 4
"""Of a symbol: each has a connection of its own."""

LIVE = SimulatorSettings(start_ms=START_MS, symbols=SYMBOLS, trades_per_s=30.0, enforce_limits=False)


async def roll_over(scene: Scene, wanted: int) -> None:
    """Every connection is told that it ends; so many roll-overs have been made then."""
    await scene.simulator.perform(Shutdown())
    await until_async(lambda: scene.counted("rollovers_total") >= wanted, f"{wanted} roll-overs")
    await until_async(lambda: len(scene.simulator.connections()) == len(SYMBOLS), "the end of the old connections")


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [10, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
async def test_rollovers_leave_no_gap_and_ask_for_no_trade(
    store: Store, folder: Path, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("data_collector.pipeline.connections.line.EARLY_PER_MINUTE", rounds)
    limits = structs.replace(VENUE.limits, connection_attempts=100_000, streams_per_connection=STREAMS)
    exchange = structs.replace(VENUE, limits=limits)
    async with playing(store, folder, LIVE, exchange=exchange, symbols=SYMBOLS) as scene:
        await scene.subscribed()
        await until_async(lambda: scene.status.ready, "readiness")
        for number in range(1, rounds + 1):
            await roll_over(scene, number * len(SYMBOLS))
        scene.simulator.clock.pause()
        await scene.settled()

        assert scene.counted("rollovers_total", result="overlap") == rounds * len(SYMBOLS)
        assert scene.filled() == 0
        assert scene.counted("gaps_total") == 0
        assert all(holes == [] for holes in scene.assert_trades_exact().values())
