"""Row 35: a symbol that is no longer traded."""

from __future__ import annotations

import pytest

from data_collector.simulator.control.actions import SetStatus
from tests.faults.exact import assert_alive_and_exact
from tests.integration.scene import Scene
from tests.integration.waiting import until_async


@pytest.fixture(autouse=True)
def curious(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange's list of symbols is asked for every ten minutes."""
    monkeypatch.setattr("data_collector.service.watches.statistics.LIST_S", 0.2)
    monkeypatch.setattr("data_collector.service.watches.statistics.POLL_S", 0.1)


async def test_row_35_symbol_that_stops_trading_stops_alone_and_goes_on_when_it_trades_again(scene: Scene) -> None:
    await scene.simulator.perform(SetStatus(symbol="ETHUSDT", status="BREAK"))
    before = scene.store.tail_id("ETHUSDT")
    await until_async(lambda: any("ETHUSDT (BREAK)" in each for each in scene.status.reasons), "the break told")
    await scene.simulator.burst("BTCUSDT", 1_000)
    await scene.settled()
    assert scene.store.tail_id("ETHUSDT") == before

    await scene.simulator.perform(SetStatus(symbol="ETHUSDT", status="TRADING"))

    await assert_alive_and_exact(scene)
    assert scene.store.tail_id("ETHUSDT") > before
    assert scene.filled() == 0
