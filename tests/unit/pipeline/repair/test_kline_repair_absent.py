"""Which answers prove that the exchange has no kline, and which only lag behind the stream."""

from __future__ import annotations

from data_collector.model.gaps import Gap
from data_collector.pipeline.gaps.attempts import GAP_DEADLINE_S
from data_collector.pipeline.repair.due_kline import ASK_AGAIN_S
from data_collector.pipeline.repair.kline_repair import GRACE_S
from tests.market import kline
from tests.unit.pipeline.repair.test_kline_repair import RepairScene, at, begun, clock


async def test_answer_that_lags_behind_the_stream_proves_nothing_absent() -> None:
    """Minutes 1 to 3 got lost, the frame of minute 4 came, and REST has none of them for 20 s."""
    scene = RepairScene()
    await begun(scene)
    clock(scene, 5.2)
    scene.send(kline(4, first_trade_id=99_999, last_trade_id=100_010))

    for _ in range(4):
        await scene.pass_s(ASK_AGAIN_S)
    assert 3 <= len(scene.asked) <= 5
    assert scene.gaps() == []

    scene.market.has(1, 2, 3, 4)
    await scene.pass_s(ASK_AGAIN_S)
    assert scene.stored() == [(1, "rest"), (2, "rest"), (3, "rest"), (4, "ws")]


async def test_rest_is_asked_as_far_as_the_stream_has_come() -> None:
    """Without the kline that came, an answer could not show that there is none before it."""
    scene = RepairScene()
    await begun(scene)
    clock(scene, 2)
    await scene.pass_s(GRACE_S)
    assert scene.asked == [("1m", 0, 1)]
    clock(scene, 5.01)
    scene.market.has(4)
    scene.send(kline(4, first_trade_id=99_999, last_trade_id=100_010))

    for _ in range(3):
        await scene.pass_s(ASK_AGAIN_S)

    assert scene.asked[0] == ("1m", 0, 4)
    assert scene.gaps() == [Gap(at(1), at(3), 3, "absent")]


async def test_exchange_that_serves_its_newest_klines_alone_proves_nothing_of_those_before() -> None:
    """Minutes 1 to 5 were missed, and REST begins at minute 4: 1 to 3 are lost, and not absent."""
    scene = RepairScene()
    await begun(scene)
    scene.market.has(1, 2, 3, 4, 5)
    scene.market.oldest_ms = at(4)
    clock(scene, 6)
    scene.send(kline(5, first_trade_id=99_999, last_trade_id=100_010))

    for _ in range(4):
        await scene.pass_s(ASK_AGAIN_S)
    assert scene.gaps() == []
    for _ in range(int(GAP_DEADLINE_S / ASK_AGAIN_S) + 2):
        await scene.pass_s(ASK_AGAIN_S)

    gaps = scene.gaps()
    assert {gap.reason for gap in gaps} == {"lost"}
    assert (gaps[0].first, gaps[-1].last) == (at(1), at(3))


async def test_kline_before_the_hole_that_does_not_exist_either_leaves_the_hole_provable() -> None:
    """The one before was built, and REST has none: a later question begins further back."""
    scene = RepairScene()
    await begun(scene)
    del scene.market.rows["1m", at(0)]
    scene.market.has(-9, 4)
    clock(scene, 5.2)
    scene.send(kline(4, first_trade_id=99_999, last_trade_id=100_010))

    for _ in range(4):
        await scene.pass_s(ASK_AGAIN_S)

    assert scene.gaps() == [Gap(at(1), at(3), 3, "absent")]


async def test_answers_that_never_reach_the_stream_cost_what_is_older_than_the_deadline() -> None:
    scene = RepairScene()
    await begun(scene)
    clock(scene, 3)
    scene.send(kline(2, first_trade_id=99_999, last_trade_id=100_010))

    for _ in range(int(GAP_DEADLINE_S / ASK_AGAIN_S) + 2):
        await scene.pass_s(ASK_AGAIN_S)

    assert scene.gaps() == [Gap(at(1), at(1), 1, "lost")]
    assert len(scene.asked) < GAP_DEADLINE_S / ASK_AGAIN_S + 10


async def test_more_than_one_answer_holds_is_asked_for_in_several() -> None:
    """Six minutes were missed, and the exchange tells two at a time: a full answer leaves the rest open."""
    scene = RepairScene(rows_max=2)
    await begun(scene)
    scene.market.has(1, 2, 3, 4, 5, 6, 7)
    clock(scene, 8)
    scene.send(kline(7, first_trade_id=99_999, last_trade_id=100_010))

    for _ in range(8):
        await scene.pass_s(ASK_AGAIN_S)

    assert scene.stored() == [*((minute, "rest") for minute in range(1, 7)), (7, "ws")]
