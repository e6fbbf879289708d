"""Klines that the exchange will never tell, and what it tells that is no whole kline."""

from __future__ import annotations

import json

import pytest
from msgspec import structs

from data_collector.model.errors import VenueRefused
from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.records import Kline
from data_collector.pipeline.gaps.attempts import BLOCK_S
from data_collector.pipeline.repair.due_kline import ASK_AGAIN_S
from data_collector.pipeline.repair.kline_repair import GRACE_S
from data_collector.pipeline.repair.told_refusals import REFUSED_TOLD_S
from tests.market import SYMBOL, kline
from tests.unit.pipeline.intake_scene import fields, rules
from tests.unit.pipeline.repair.test_kline_repair import NEVER, RepairScene, at, begun, clock


async def test_klines_of_rest_that_are_not_whole_are_refused_once_and_the_rest_goes_on() -> None:
    """Before a standstill of the exchange one ends early, after it another opens off the grid."""
    scene = RepairScene()
    await begun(scene)
    scene.market.has(1, 2, 5)
    short, shifted = scene.market.rows["1m", at(1)], scene.market.rows.pop(("1m", at(2)))
    scene.market.rows["1m", at(1)] = structs.replace(short, close_ms=short.open_ms + 28_788)
    shifted = structs.replace(shifted, open_ms=at(3) + 13_000, close_ms=at(4) + 12_999, event_ms=at(5))
    scene.market.rows["1m", shifted.open_ms] = shifted
    clock(scene, 6)

    for _ in range(4):
        await scene.pass_s(ASK_AGAIN_S)
    taken = scene.take()

    assert [gap for updates in taken.klines for each in updates for gap in each.gaps] == [
        Gap(at(1), at(1), 1, "refused", ("close_time_fits",)),
        Gap(at(2), at(4), 3, "absent"),
    ]
    assert [(rules(entry), json.loads(fields(entry)["columns"])["open_ms"]) for entry in taken.side] == [
        (["close_time_fits"], at(1)),
        (["open_time_grid"], at(3) + 13_000),
    ]


def week(number: int, *, day: int = 0, closed: bool = True) -> Kline:
    """Of Monday, 1 January, or so many weeks and days later."""
    return kline((number * 7 + day) * 1_440 - 720, interval="1w", closed=closed)


async def weeks_begun(*, until_day: int) -> RepairScene:
    """The first week has closed, and it is so many days later."""
    scene = RepairScene()
    scene.intake.klines.add(Key("kline", SYMBOL, "1w"))
    for half_day in range(2 * until_day):
        if half_day == 14:
            scene.send(week(0))
        clock(scene, half_day * 720 - 720)
        scene.take()
    await scene.repair.look()
    return scene


async def test_weeks_that_open_on_another_day_are_refused_in_the_place_of_their_monday_once() -> None:
    """Of the second week REST tells one from Wednesday to Wednesday alone, and again whenever it is asked."""
    scene = await weeks_begun(until_day=21)
    odd = week(1, day=2)
    scene.market.rows["1w", odd.open_ms] = odd
    scene.send(week(2))
    _, _, errors = scene.counts

    for _ in range(4):
        await scene.pass_s(ASK_AGAIN_S)
    taken = scene.take()

    monday_ms = week(1).open_ms
    assert [rules(entry) for entry in taken.side] == [["open_time_off_grid"]]
    assert scene.counts[2] == errors + 1
    assert [(each.kline.open_ms, each.gaps) for updates in taken.klines for each in updates] == [
        (week(2).open_ms, [Gap(monday_ms, monday_ms, 1, "refused", ("open_time_off_grid",))])
    ]


async def test_open_week_of_another_day_is_refused_and_does_not_hold_up_the_right_one() -> None:
    """After the first week an update of one that opens on Wednesday, and then of the one that opens on Monday."""
    scene = await weeks_begun(until_day=13)

    scene.send(week(1, day=2, closed=False), week(1, closed=False))
    taken = scene.take()

    assert [rules(entry) for entry in taken.side] == [["open_time_off_grid"]]
    assert [each.kline.open_ms for updates in taken.klines for each in updates] == [week(1).open_ms]


async def test_correction_that_may_not_pass_is_no_revision() -> None:
    """What we have contradicts our trades, and what REST tells instead has its low above its high."""
    scene = RepairScene()
    await begun(scene)
    scene.intake.klines.compare(kline(0))
    scene.market.has(0, high="98", low="102")
    _, _, errors = scene.counts

    await scene.repair.look()

    taken = scene.take()
    assert taken.revisions == []
    assert [rules(entry)[0] for entry in taken.side] == ["high_not_below_low"]
    assert scene.counts[2] == errors + 1


async def test_kline_that_the_exchange_will_never_tell_holds_up_none_that_came() -> None:
    scene = RepairScene()
    await begun(scene)
    scene.market.refused["1m"] = NEVER
    clock(scene, 4)
    scene.send(kline(3))

    await scene.pass_s(GRACE_S)

    assert scene.gaps() == [Gap(at(1), at(2), 2, "lost")]
    assert len(scene.repair.refusals) == 1


async def test_refusal_is_told_as_long_as_something_is_missing_and_not_for_ever() -> None:
    scene = RepairScene()
    await begun(scene)
    scene.market.refused["1m"] = NEVER
    clock(scene, 2)
    for _ in range(int(REFUSED_TOLD_S / 30)):
        await scene.pass_s(30)
        assert len(scene.repair.refusals) == 1
    scene.send(kline(1))
    for minute in range(2, 40):
        scene.send(kline(minute))
        scene.now_s += 60
        await scene.repair.look()

    assert scene.repair.refusals == set()


@pytest.mark.parametrize("endpoint_wide", [True, False])
async def test_refusal_is_told_no_longer_than_it_is_true_of_other_series(*, endpoint_wide: bool) -> None:
    """A proxy refused whatever klines were asked for, or the exchange one series; then another one is given."""
    scene = RepairScene()
    await begun(scene)
    scene.market.refused["1m"] = VenueRefused("The exchange does not tell that.", endpoint_wide=endpoint_wide)
    clock(scene, 2)
    await scene.pass_s(GRACE_S)
    assert len(scene.repair.refusals) == 1

    scene.market.refused.clear()
    scene.send(kline(1), kline(-60, interval="1h"))
    await scene.repair.look()

    assert scene.asked[-1][0] == "1h"
    assert len(scene.repair.refusals) == (0 if endpoint_wide else 1)


async def test_refused_past_for_charts_is_told() -> None:
    scene = RepairScene()
    scene.market.refused["1m"] = NEVER
    scene.send(kline(0))

    await scene.repair.look()

    assert scene.repair.refusals == {str(NEVER)}


async def test_klines_of_rest_are_counted_and_audited_as_those_of_the_stream() -> None:
    scene = RepairScene()
    await begun(scene)
    scene.market.has(1, 2, 3)
    scene.market.has(2, low="-1")
    clock(scene, 4)
    judged, validated, errors = scene.counts
    scene.notebook.others.clear()

    await scene.pass_s(GRACE_S)

    assert scene.counts == (judged + 3, validated + 2, errors + 1)
    noted = [(record.open_ms, ok) for record, _, ok, _ in scene.notebook.others if isinstance(record, Kline)]
    assert noted == [(at(1), True), (at(2), False), (at(3), True)]


async def test_klines_for_which_there_is_no_room_are_counted_when_it_is_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """REST leaves out the due one again and again, and tells more behind it than may wait, as the stream does."""
    monkeypatch.setattr("data_collector.pipeline.sequence.series.HELD_MAX", 3)
    scene = RepairScene()
    await begun(scene)
    scene.market.has(2, 3, 4, 5)
    scene.market.has(3, 6, low="-1")
    clock(scene, 7)
    judged, validated, errors = scene.counts
    scene.notebook.others.clear()

    scene.send(kline(6))
    for _ in range(5):
        await scene.pass_s(ASK_AGAIN_S)
    scene.send(kline(7))

    assert [gap for updates in scene.take().klines for each in updates for gap in each.gaps] == [
        Gap(at(1), at(1), 1, "absent"),
        Gap(at(3), at(3), 1, "refused", ("price_not_negative",)),
    ]
    assert scene.counts == (judged + 7, validated + 5, errors + 2)
    noted = [record.open_ms for record, *_ in scene.notebook.others if isinstance(record, Kline)]
    assert sorted(noted) == [at(minute) for minute in (2, 3, 4, 5, 6, 6, 7)]


async def test_lockout_that_is_longer_than_the_deadline_costs_nothing() -> None:
    """The exchange tells when it ends."""
    scene = RepairScene()
    await begun(scene)
    clock(scene, 2)
    scene.market.away, scene.market.wait_s = True, BLOCK_S
    for _ in range(int(BLOCK_S / 10)):
        await scene.pass_s(10)
    assert len(scene.asked) == 1
    scene.market.away = False
    scene.market.has(1)
    await scene.pass_s(10)

    assert (scene.stored(), scene.gaps()) == ([(1, "rest")], [])
