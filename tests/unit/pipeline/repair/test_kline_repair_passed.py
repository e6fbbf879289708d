"""Gaps of klines that nobody awaits any more: a series that was lost, or passes a gap again, leaves none open."""

from __future__ import annotations

import pytest

from data_collector.model.keys import Key
from data_collector.model.sink import Behind
from data_collector.pipeline.repair.due_kline import ASK_AGAIN_MAX_S
from data_collector.pipeline.repair.kline_repair import FIRST_S
from tests.market import SYMBOL, kline
from tests.unit.pipeline.repair.test_kline_repair import RepairScene, at

MINUTES = Key("kline", SYMBOL, "1m")


@pytest.fixture
def scene() -> RepairScene:
    """Two klines have closed; a start, and a store that lost all, fill four minutes."""
    scene = RepairScene(catch_up_s=240)
    scene.market.now_ms = at(7)
    scene.send(kline(5), kline(6))
    scene.take()
    return scene


async def test_lost_series_waits_for_rest_that_is_away(scene: RepairScene) -> None:
    """What the store had is not passed over because REST does not answer for a while."""
    scene.market.away = True
    scene.intake.klines.go_back(Behind(MINUTES, None))
    for _ in range(4):
        await scene.pass_s(FIRST_S)
    assert scene.stored() == []

    scene.market.away = False
    scene.market.has(*range(7))
    await scene.pass_s(ASK_AGAIN_MAX_S)

    assert scene.stored() == [(3, "rest"), (4, "rest"), (5, "ws"), (6, "ws")]


def test_gap_that_is_passed_again_after_the_store_fell_behind_is_not_open(scene: RepairScene) -> None:
    """It was given up before, and the store was told of it; what it lost goes there again, and the gap with it."""
    series = scene.intake.klines.series[MINUTES]
    series.pass_over(at(9), "lost")
    scene.send(kline(9))
    scene.take()
    scene.intake.klines.go_back(Behind(MINUTES, at(6)))
    scene.ledger.opened(MINUTES, at(7), at(8))

    scene.send(kline(10))

    assert scene.stored()[-1] == (10, "ws")
    assert scene.ledger.status().open == []
