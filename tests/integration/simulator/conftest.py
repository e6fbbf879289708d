"""Simulators and a client for the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import aiohttp
import pytest

from data_collector.simulator import Simulator, SimulatorSettings
from data_collector.simulator.speaker import Speaker
from data_collector.venues.binance.speaker import SPEAKER
from tests.integration.simulator.client import START_MS, Start


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts simulators whose clock stands still unless told otherwise, and stops them afterwards."""
    running: list[Simulator] = []

    async def start_one(*, speakers: Sequence[Speaker] = (SPEAKER,), **changes: object) -> Simulator:
        defaults: dict[str, object] = {"start_ms": START_MS, "driven": True, "symbols": ("BTCUSDT", "ETHUSDT")}
        simulator = Simulator(SimulatorSettings(**(defaults | changes)), speakers)  # type: ignore[arg-type]
        await simulator.start()
        running.append(simulator)
        return simulator

    yield start_one
    for simulator in running:
        await simulator.stop()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client
