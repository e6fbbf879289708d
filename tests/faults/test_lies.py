"""Row 17: what the exchange tells in its own form, and is not so."""

from __future__ import annotations

import pytest

from data_collector.simulator import Lie
from tests.faults.exact import assert_alive_and_exact
from tests.faults.test_feed import TRADES
from tests.integration.scene import Scene


@pytest.mark.parametrize(("ids", "count"), [(60, 1), (300, 1), (300, 3)])
@pytest.mark.parametrize("beside", [True, False], ids=["beside", "in place"])
async def test_row_17_trade_told_some_ids_ahead_is_not_stored_when_its_turn_comes(
    scene: Scene, ids: int, count: int, *, beside: bool
) -> None:
    """The honest ones come up to its id in order, and it would be let through before the true one."""
    scene.simulator.faults.add(Lie(stream=TRADES, ids=ids, count=count, beside=beside))
    for _ in range(10):
        scene.simulator.advance(500)
        await scene.simulator.burst("BTCUSDT", ids // 5)
    await scene.settled()

    await assert_alive_and_exact(scene)
    assert scene.counted("epochs_begun_total") == 0
