"""Questions that are under way while a market's next epoch begins."""

from __future__ import annotations

import pytest

from data_collector.model.sink import TradeTail
from data_collector.pipeline.repair.resuming import resume
from tests.market import SYMBOL, trade
from tests.unit.pipeline.intake_scene import gaps, runs
from tests.unit.pipeline.repair_scene import AWAY, NEVER, Answer, RepairScene
from tests.unit.pipeline.sequence.test_new_life import new_trades

TAIL = 5_000_000


def scene_with_gap(answer: Answer) -> RepairScene:
    scene = RepairScene(answer)
    scene.skip_to(TAIL)
    scene.send(trade(TAIL + 100), trade(TAIL + 101))
    return scene


def assert_new_epoch_is_whole(scene: RepairScene) -> None:
    """It was adopted with 150 due."""
    scene.look()
    scene.send(*new_trades(150, 5))
    batch = scene.take()
    assert gaps(batch) == []
    assert runs(batch)[-1] == (150, 5)
    assert scene.sequence.next_id == 155


@pytest.mark.parametrize("answer", [AWAY, NEVER])
def test_question_under_way_while_an_epoch_begins_loses_none_of_its_ids(answer: Answer) -> None:
    """The gap of the old epoch is over its deadline when the answer comes."""
    scene = scene_with_gap(answer)

    def begin_epoch() -> None:
        scene.now_s += 700.0
        scene.intake.trades.lives.adopt_epoch(SYMBOL, 1, 150)

    scene.rest.meanwhile = begin_epoch
    scene.look()

    assert scene.sequence.next_id == 150
    assert_new_epoch_is_whole(scene)


def test_start_whose_age_is_asked_while_an_epoch_begins_skips_none_of_its_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_with_gap(AWAY)
    scene.sequence.resumed_id = TAIL

    async def oldest_wanted(symbol: str, until_id: int) -> int:
        scene.intake.trades.lives.adopt_epoch(symbol, 1, 150)
        return until_id

    monkeypatch.setattr(scene.refill, "oldest_wanted", oldest_wanted)
    scene.look()

    assert (scene.sequence.next_id, scene.sequence.resumed_id) == (150, 150)
    assert_new_epoch_is_whole(scene)


def test_gap_after_a_start_in_a_later_epoch_is_told_of_that() -> None:
    scene = RepairScene(AWAY)
    scene.sequence.next_id = -1
    resume([scene.sequence], scene.outlet, scene.kept, {SYMBOL: TradeTail(0, TAIL, epoch=2)})
    scene.send(trade(TAIL + 3), trade(TAIL + 4))
    scene.look()

    assert [(life.id, life.epoch) for life in scene.ledger.status().open] == [(f"{SYMBOL}-trade-{TAIL + 1}-epoch-2", 2)]
