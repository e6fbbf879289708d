"""What REST tells of closed klines is asked again where it may be old, remembered, and told."""

from __future__ import annotations

from data_collector.model.keys import Key
from data_collector.model.sink import Behind
from data_collector.pipeline.repair.kline_repair import GRACE_S
from data_collector.pipeline.sequence.kline_doubts import APART_TOLD, BEHIND_S
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline, trade
from tests.unit.pipeline.intake_scene import fields, rules
from tests.unit.pipeline.repair.test_kline_building import BuiltScene
from tests.unit.pipeline.repair.test_kline_repair import RepairScene, begun, clock

MINUTES = Key("kline", SYMBOL, "1m")


async def look_until(scene: RepairScene, minute: float) -> None:
    """The exchange's clock stands there, and all that is worth asking is asked."""
    clock(scene, minute)
    for _ in range(10):
        scene.now_s += GRACE_S
        await scene.repair.look()


async def test_kline_that_an_old_answer_told_is_asked_for_again_and_revised() -> None:
    """A cache has the state of some seconds before the end."""
    scene = RepairScene()
    await begun(scene)
    scene.market.has(1, trades=1000)
    await look_until(scene, 2.2)
    assert scene.stored() == [(1, "rest")]

    scene.market.has(1)
    await look_until(scene, 2.9)
    assert scene.take().revisions == []
    await look_until(scene, 3.1)

    assert [one.record.trades for one in scene.take().revisions] == [1234]


async def test_decided_kline_is_given_again_to_a_store_that_lost_it() -> None:
    """Else a false frame is stored once more."""
    scene = RepairScene()
    await begun(scene)
    scene.send(kline(1, trades=1000))
    scene.intake.klines.compare(kline(1, trades=1000))
    scene.market.has(1)
    await look_until(scene, 2.5)
    scene.take()

    scene.intake.klines.go_back(Behind(MINUTES, NOON_MS + MINUTE_MS))
    scene.send(kline(1, trades=1000))

    assert [each.kline.trades for each in scene.take().klines[0] if each.kline.is_closed] == [1234]


async def test_frames_that_contradict_each_other_are_decided_by_rest() -> None:
    scene = RepairScene()
    await begun(scene)
    scene.send(kline(1, close="45199"), kline(1), kline(1))
    scene.market.has(1)
    await look_until(scene, 2.5)

    taken = scene.take()
    assert [rules(entry) for entry in taken.side if entry.kind == "quarantine"] == [["kline_conflict"]] * 2
    assert [one.record.close for one in taken.revisions] == [kline(1).close]


async def test_trades_that_frame_and_rest_contradict_are_suspected() -> None:
    scene = RepairScene()
    scene.begin(100)
    await begun(scene)
    scene.send(trade(101, quantity="1", time_ms=NOON_MS + MINUTE_MS))
    scene.send(trade(102, quantity="1", time_ms=NOON_MS + 2 * MINUTE_MS))
    scene.send(kline(1, trades=2, first_trade_id=101, last_trade_id=101))
    scene.market.has(1, trades=2)
    await look_until(scene, 2.5)

    assert [each.open_ms for each in scene.intake.trades.contradictions.minutes] == [NOON_MS + MINUTE_MS]
    assert scene.take().revisions == []


async def test_built_klines_around_one_that_rest_tells_otherwise_are_compared_until_one_agrees() -> None:
    scene = BuiltScene()
    for minute in range(8):
        scene.market.has(minute, trades=7)
        scene.trade(60 * minute + 5)
        scene.beat(60 * minute + 2)
    await look_until(scene, 9)

    why = [fields(entry)["why"] for entry in scene.take_side() if entry.kind == "late"]
    assert why == ["revision"] * 7
    assert [sentence[:17] for sentence in scene.repair.doubts if "compared" in sentence] == ["the last 7 klines"]
    assert APART_TOLD < 7


async def test_trades_that_klines_tell_of_and_nobody_brings_are_told() -> None:
    """The stream of trades and REST stand still, and that of klines goes on."""
    scene = RepairScene()
    scene.begin(100)
    await begun(scene)
    scene.send(kline(1, closed=False, last_trade_id=103))
    await scene.repair.look()
    scene.now_s += BEHIND_S - 1
    await scene.repair.look()
    assert scene.repair.doubts == []
    scene.now_s += 1
    (told,) = scene.repair.doubts
    assert told.startswith(f"no trade of {SYMBOL} has come for 10 s, and its klines tell of 3 trades since")

    scene.send(trade(101))
    await scene.repair.look()
    assert scene.repair.doubts == []


async def test_minute_without_trades_in_which_many_came_is_compared() -> None:
    """A gateway whose clock stands still gives all trades the time of the one before."""
    scene = BuiltScene()
    scene.trade(5)
    for second in range(10, 190, 5):
        scene.trade(6)
        scene.beat(second)
    scene.built.prove(SYMBOL, scene.next_id - 1, NOON_MS + 185_000)
    built = [minute for second in (190, 195) for minute, _ in scene.beat(second)]

    compared = [each.kline for each in scene.intake.klines.doubts.waiting if each.origin == "built"]
    assert 1 in built
    assert [(each.open_ms - NOON_MS) // MINUTE_MS for each in compared if not each.trades] == [1, 2]
