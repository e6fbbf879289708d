"""What answers leave out when a store that is behind is brought up: absent only if two of them do."""

from __future__ import annotations

from data_collector.pipeline.gaps.left_out import CONFIRMED_S
from tests.market import trade
from tests.unit.pipeline.intake_scene import gaps, runs
from tests.unit.pipeline.repair.test_refill import behind, forgetful
from tests.unit.pipeline.repair_scene import Answer


def test_absent_and_refused_trades_of_the_exchange_are_explained() -> None:
    bad = trade(13, price="0", received_ns=0)
    answer: Answer = [trade(10), trade(12, received_ns=0), bad, trade(15, received_ns=0)]
    scene = forgetful(answer, answer, until=15)
    scene.rest.first_id = 1
    behind(scene, 11)

    scene.look()
    scene.look(CONFIRMED_S)

    batch = scene.take()
    assert gaps(batch) == [(11, 11, "absent"), (13, 13, "refused"), (14, 14, "absent")]
    assert runs(batch) == [(12, 1), (15, 1)]
    assert [number for run in batch.trades for number in run.refused] == [13]


def test_what_one_answer_alone_leaves_out_is_brought_to_the_store() -> None:
    """A replica that lags, or a cache, may have left it out."""
    scene = forgetful([10, 12, 13], [10, 11, 12, 13], until=13)
    scene.rest.first_id = 1
    behind(scene, 11)

    scene.look()
    scene.look(CONFIRMED_S)

    batch = scene.take()
    assert (runs(batch), gaps(batch)) == ([(11, 3)], [])
