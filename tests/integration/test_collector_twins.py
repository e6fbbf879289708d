"""Two lines for every stream: what one of them loses the other brings, and the worse one is replaced."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.simulator import FrameFault, SimulatorSettings
from data_collector.simulator.control.actions import Reset, Shutdown, Stall
from tests.integration.scene import NO_HOLES, START_MS, SYMBOLS, Scene, playing, venue
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

LIVE = SimulatorSettings(start_ms=START_MS, symbols=SYMBOLS, trades_per_s=50.0)
"""A market that runs by itself: lines are compared by what they bring at the same time."""


@pytest.fixture
async def scene(store: Store, folder: Path) -> AsyncIterator[Scene]:
    """A running market, collected over two lines."""
    async with playing(store, folder, LIVE, lines_per_stream="2") as scene:
        await scene.subscribed()
        await until_async(lambda: scene.counted("messages_copies_total", channel="trade") > 5, "copies of trades")
        await until_async(lambda: scene.status.ready, "readiness")
        yield scene


async def at_rest(scene: Scene) -> None:
    """Stop the market and wait for its last trade."""
    scene.simulator.clock.pause()
    await scene.settled()


def reconnects(scene: Scene) -> dict[str, int]:
    return {line.line: line.reconnects for line in scene.status.connections}


async def test_every_stream_comes_over_two_lines_and_is_stored_once(scene: Scene) -> None:
    await at_rest(scene)

    assert [line.line for line in scene.status.connections] == ["1A", "1B"]
    assert [len(each.streams) for each in scene.simulator.connections()] == [8, 8]
    assert scene.assert_trades_exact() == NO_HOLES
    scene.assert_counts_add_up()


async def test_death_of_one_line_costs_nothing(scene: Scene) -> None:
    attempts = scene.attempts()

    await scene.simulator.perform(Reset(connection=1))
    await until_async(lambda: reconnects(scene)["1A"] == 1, "the loss of the first line")
    assert scene.status.ready
    await scene.subscribed(after_attempts=attempts)
    await at_rest(scene)

    assert scene.assert_trades_exact() == NO_HOLES
    assert reconnects(scene)["1B"] == 0


async def test_lagging_line_is_replaced_while_its_twin_carries_on(scene: Scene) -> None:
    scene.simulator.faults.add(FrameFault(kind="delay", connection=2, delay_s=0.5))

    await until_async(lambda: scene.counted("disconnects_total", reason="lagging") == 1, "the end of the laggard")
    scene.simulator.faults.clear()
    await scene.subscribed(after_attempts=2)
    await at_rest(scene)

    assert scene.assert_trades_exact() == NO_HOLES
    assert reconnects(scene) == {"1A": 0, "1B": 1}


async def test_line_that_brings_nothing_is_replaced_before_it_counts_as_silent(scene: Scene) -> None:
    await scene.simulator.perform(Stall(connection=1))

    await until_async(lambda: scene.counted("disconnects_total", reason="lagging") == 1, "the end of the stalled line")
    await scene.subscribed(after_attempts=2)
    await at_rest(scene)

    assert scene.assert_trades_exact() == NO_HOLES
    assert reconnects(scene) == {"1A": 1, "1B": 0}
    assert scene.counted("watchdogs_total") == 0


async def test_twins_are_rolled_over_one_after_the_other(scene: Scene) -> None:
    most = 0
    await scene.simulator.perform(Shutdown(close_after_s=20.0))

    def rolled() -> bool:
        nonlocal most
        most = max(most, len(scene.simulator.connections()))
        return scene.counted("rollovers_total", result="overlap") == 2

    await until_async(rolled, "both roll-overs")
    await until_async(lambda: len(scene.simulator.connections()) == 2, "the end of the old connections")
    await at_rest(scene)

    assert most == 3
    assert scene.assert_trades_exact() == NO_HOLES
    assert reconnects(scene) == {"1A": 0, "1B": 0}


@pytest.mark.slow
async def test_ages_of_twins_end_without_a_hole(store: Store, folder: Path) -> None:
    settings = structs.replace(LIVE, max_age_s=4.0)
    exchange = venue(max_age_s=4.0)
    async with playing(store, folder, settings, exchange=exchange, lines_per_stream="2") as scene:
        await scene.subscribed()
        await until_async(lambda: scene.counted("rollovers_total") >= 8, "eight roll-overs", deadline_s=60.0)
        await at_rest(scene)

        assert scene.assert_trades_exact() == NO_HOLES
        assert reconnects(scene) == {"1A": 0, "1B": 0}
