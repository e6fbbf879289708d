"""What is built and what is absent: where REST answers it decides, so that live and history tell one truth."""

from __future__ import annotations

from data_collector.model.calendar import HOUR_MS
from data_collector.model.gaps import Gap
from data_collector.pipeline.repair.due_kline import ASK_AGAIN_S
from data_collector.pipeline.repair.kline_repair import GRACE_S, IDS_DECIDE_S
from tests.market import NOON_MS, kline
from tests.unit.pipeline.repair.test_kline_repair import RepairScene, at, begun, clock


async def test_hole_of_hours_in_the_exchange_is_absent_although_ids_follow_each_other() -> None:
    """As on 2020-06-28: three hours without a candle, and the next trade has the next id."""
    scene = RepairScene()
    scene.send(kline(0, interval="1h"))
    scene.market.has(0, interval="1h")
    await scene.repair.look()
    scene.take()
    later = kline(4 * 60, interval="1h", first_trade_id=1334, last_trade_id=2567)
    scene.market.rows["1h", later.open_ms] = later
    scene.market.now_ms = later.close_ms + 10_000
    scene.send(kline(4 * 60, interval="1h", first_trade_id=1334, last_trade_id=1400, closed=False))
    scene.send(later)

    for _ in range(4):
        await scene.pass_s(ASK_AGAIN_S)

    updates = [each for updates in scene.take().klines for each in updates if each.kline.is_closed]
    hole = Gap(NOON_MS + HOUR_MS, NOON_MS + 3 * HOUR_MS, 3, "absent")
    assert [(each.source, each.kline.open_ms, each.gaps) for each in updates] == [("ws", later.open_ms, [hole])]


async def test_minute_that_rest_left_out_is_not_built_a_moment_later() -> None:
    scene = RepairScene()
    await begun(scene)
    clock(scene, 2)
    await scene.pass_s(GRACE_S)
    scene.send(kline(2, closed=False, first_trade_id=1334, last_trade_id=1400))

    assert scene.stored() == []


async def test_minute_is_built_where_rest_stays_away() -> None:
    scene = RepairScene()
    await begun(scene)
    scene.market.away = True
    clock(scene, 9)
    scene.send(kline(8, closed=False, first_trade_id=1334, last_trade_id=1400))
    await scene.pass_s(GRACE_S)
    assert scene.stored() == []

    for _ in range(4):
        await scene.pass_s(IDS_DECIDE_S / 2)

    assert scene.stored()[:7] == [(minute, "built") for minute in range(1, 8)]
    assert scene.gaps() == []
    assert at(1) > NOON_MS


async def test_failure_of_an_hour_ago_does_not_let_the_next_one_build_klines() -> None:
    """The exchange stood still for three hours, trade ids go on, and REST fails for the first time since long."""
    scene = RepairScene()
    await begun(scene)
    scene.market.away = True
    clock(scene, 2)
    await scene.pass_s(GRACE_S)
    scene.market.away = False
    for minute in range(1, 62):
        scene.now_s += 60
        clock(scene, minute + 1)
        scene.send(kline(minute))
        await scene.repair.look()
    scene.stored()
    scene.market.away = True
    scene.now_s += 180 * 60
    clock(scene, 242)
    next_id = kline(61).last_trade_id + 1
    scene.send(kline(241, closed=False, first_trade_id=next_id, last_trade_id=next_id + 49))
    await scene.pass_s(GRACE_S)

    assert scene.stored() == []
