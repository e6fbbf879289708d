"""The repair of klines where the exchange leaves quiet ones out: its trades tell which ones had none."""

from __future__ import annotations

import pytest

from data_collector.model.records import Trade
from data_collector.pipeline.repair.due_kline import ASK_AGAIN_S
from data_collector.pipeline.repair.kline_repair import GRACE_S
from tests.market import MINUTE_MS, NOON_MS, SYMBOL
from tests.unit.pipeline.repair.test_kline_repair import RepairScene, at, begun, clock


@pytest.fixture
def scene() -> RepairScene:
    """The kline of noon has closed."""
    return RepairScene()


def traded(*places: tuple[int, float]) -> list[Trade]:
    """Ids, and minutes from noon."""
    return [Trade(SYMBOL, number, "7.5", "1", at(minute), at(minute), False) for number, minute in places]


async def test_quiet_klines_that_the_exchange_leaves_out_are_told_by_its_trades(scene: RepairScene) -> None:
    """Of the two minutes none was traded in; the first trade after them follows the last one before."""
    await begun(scene)
    scene.market.has(3)
    scene.market.tape = traded((40, 0.5), (41, 3.2))
    clock(scene, 4)

    await scene.pass_s(GRACE_S)

    updates = [each for series in scene.take().klines for each in series if each.kline.is_closed]
    assert [((each.kline.open_ms - NOON_MS) // MINUTE_MS, each.kline.trades, each.source) for each in updates] == [
        (1, 0, "rest"), (2, 0, "rest"), (3, updates[-1].kline.trades, "rest"),
    ]  # fmt: skip
    assert (updates[0].kline.open, updates[0].kline.close, updates[0].kline.volume) == ("7.5", "7.5", "0")
    assert not [gap for each in updates for gap in each.gaps]


@pytest.mark.parametrize("places", [((40, 0.5), (41, 1.2), (42, 3.2)), ((40, 0.5), (42, 3.2)), ((40, 0.5),)])
async def test_kline_that_is_left_out_and_not_proven_quiet_is_not_made(
    scene: RepairScene, places: tuple[tuple[int, float], ...]
) -> None:
    """It had a trade; or the trade before is not known; or none is known after."""
    await begun(scene)
    scene.market.has(3)
    scene.market.tape = traded(*places)
    clock(scene, 4)

    for _ in range(4):
        await scene.pass_s(ASK_AGAIN_S)

    assert scene.stored() == []
