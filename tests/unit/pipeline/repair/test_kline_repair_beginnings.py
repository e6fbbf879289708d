"""Where a series begins: a new one with what is told first, and one that the store lost no later than it had begun."""

from __future__ import annotations

import pytest

from data_collector.model.keys import Key
from data_collector.model.sink import Behind
from data_collector.pipeline.repair.due_kline import ASK_AGAIN_MAX_S
from data_collector.pipeline.repair.kline_repair import FIRST_S, GRACE_S
from tests.market import NOON_MS, SYMBOL, kline
from tests.unit.pipeline.repair.test_kline_building import BuiltScene
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


async def test_beginning_that_was_waited_for_in_vain_is_no_open_gap() -> None:
    """Of the first hour trades are missing, and REST tells nothing: the series begins with the next one."""
    scene = BuiltScene()
    scene.beat(-5)
    scene.market.away = True
    scene.trade(5)
    scene.trade(3_605)
    scene.beat(3_606)
    await scene.pass_s(GRACE_S + 1)
    assert scene.ledger.status().open == []

    await scene.pass_s(FIRST_S)

    assert scene.stored("1h") == [(0, "built")]
    assert [life.key.interval for life in scene.ledger.status().open] == ["1m"]


async def test_lost_series_waits_for_rest_that_is_away(scene: RepairScene) -> None:
    scene.market.away = True
    scene.intake.klines.go_back(Behind(MINUTES, None))
    for _ in range(4):
        await scene.pass_s(FIRST_S)
    assert scene.stored() == []

    scene.market.away = False
    scene.market.has(*range(7))
    await scene.pass_s(ASK_AGAIN_MAX_S)

    assert scene.stored() == [(3, "rest"), (4, "rest"), (5, "ws"), (6, "ws")]


async def test_lost_series_begins_with_what_rest_has(scene: RepairScene) -> None:
    """It was asked for, and has nothing from before: what the market had then were no klines."""
    scene.market.has(4, 5, 6)
    scene.market.oldest_ms = at(4)
    scene.intake.klines.go_back(Behind(MINUTES, None))
    await scene.repair.look()
    assert scene.stored() == []

    await scene.pass_s(FIRST_S)

    assert scene.stored() == [(4, "rest"), (5, "ws"), (6, "ws")]
    assert scene.gaps() == []
    assert scene.ledger.status().open == []


async def test_gap_that_is_passed_again_after_the_store_fell_behind_is_not_open(scene: RepairScene) -> None:
    """It was given up before, and the store was told of it; what it lost goes there again, and the gap with it."""
    series = scene.intake.klines.series[MINUTES]
    series.pass_over(at(9), "lost")
    scene.send(kline(9))
    scene.take()
    scene.market.now_ms = at(10)
    scene.intake.klines.go_back(Behind(MINUTES, at(6)))
    scene.ledger.opened(MINUTES, at(7), at(8))
    scene.send(kline(10))

    updates = [each for updates in scene.take().klines for each in updates if each.kline.is_closed]

    assert [(each.kline.open_ms - NOON_MS) // 60_000 for each in updates][-1] == 10
    assert scene.ledger.status().open == []
