"""The whole of each answer is used: what it has beyond the gap that it was asked for fills later ones."""

from __future__ import annotations

from data_collector.model.records import Trade
from data_collector.model.venue import TradePage, TradePlace
from data_collector.pipeline.gaps.left_out import CONFIRMED_S
from tests.market import NOON_MS, trade
from tests.unit.pipeline.intake_scene import COPIES, gaps, rules, runs
from tests.unit.pipeline.repair_scene import RepairScene, ScriptedRest

EVERY = 7
"""Which ids the stream leaves out."""


class TapeRest(ScriptedRest):
    """Has every trade up to the head."""

    head = 10
    limit_max = 1_000

    def __init__(self) -> None:
        super().__init__([])

    async def trades(
        self, symbol: str, from_id: int, *, near: TradePlace | None = None, limit: int = 1000, urgent: bool = False
    ) -> TradePage:
        self.asked.append(from_id)
        last = min(self.head, from_id + min(limit, self.limit_max) - 1)
        trades = [trade(one, received_ns=0) for one in range(from_id, last + 1)]
        return TradePage(trades, reaches_head=last == self.head)


def stream(scene: RepairScene, last_id: int) -> list[Trade]:
    """What a stream sends that leaves out every seventh id; REST has them all."""
    sent = [trade(one) for one in range(scene.sequence.next_id, last_id + 1) if one % EVERY]
    scene.send(*sent)
    return sent


def test_stream_that_leaves_out_every_seventh_id_costs_one_question_for_many_gaps() -> None:
    """Ids 11 to 711, of which 101 never come; REST answers 1,000 a time."""
    rest = TapeRest()
    scene = RepairScene(rest=rest)
    rest.head = 711
    stream(scene, 711)

    scene.look()

    assert rest.asked == [13]
    assert scene.sequence.next_id == 712
    batch = scene.take()
    assert sum(run.count for run in batch.trades) == 701
    assert gaps(batch) == []
    ids = [entry for run in runs(batch) for entry in range(run[0], run[0] + run[1])]
    assert ids == list(range(11, 712))
    assert len(scene.closed()) == 100
    assert all(healed == {"rest": 1} for _, _, healed, _ in scene.closed())
    assert scene.ledger.status().open_count == 0


def test_answer_that_ends_early_is_used_as_far_as_it_goes() -> None:
    rest = TapeRest()
    rest.limit_max = 20
    scene = RepairScene(rest=rest)
    rest.head = 60
    stream(scene, 60)

    scene.look()
    behind = scene.sequence.next_id
    while scene.sequence.gap is not None:
        scene.look()

    assert behind == 35
    assert rest.asked == [13, 34, 55]
    assert scene.sequence.next_id == 61


def test_what_the_stream_has_not_reached_is_left_to_it() -> None:
    """REST is ahead of the stream: its trades are let through as the stream brings them, with their times."""
    rest = TapeRest()
    scene = RepairScene(rest=rest)
    rest.head = 30
    scene.send(trade(12))

    scene.look()
    assert scene.sequence.next_id == 13
    scene.send(trade(13), trade(14))

    assert runs(scene.take()) == [(11, 4)]
    assert scene.counters.value(COPIES, channel="trade") == 0


def test_what_the_rest_of_an_answer_leaves_out_is_asked_for_itself() -> None:
    """It may have been given before that was missed: it proves nothing of a gap that it was not asked for."""
    scene = RepairScene([10, 11, 12, 13, 15], [13, 15])
    scene.send(trade(12), trade(13), trade(15))

    scene.look()
    assert scene.sequence.next_id == 14
    assert gaps(scene.take()) == []
    scene.look()
    scene.look(CONFIRMED_S)

    assert scene.rest.asked == [10, 13, 0]
    assert gaps(scene.take()) == [(14, 14, "absent")]


def test_rest_of_an_answer_is_judged() -> None:
    bad = trade(13, price="0", received_ns=0)
    scene = RepairScene([trade(10), trade(11, received_ns=0), trade(12), bad, trade(14)])
    scene.send(trade(12), trade(14))

    scene.look()

    batch = scene.take()
    assert gaps(batch) == [(13, 13, "refused")]
    assert [run for run in runs(batch) if run[1]] == [(11, 2), (14, 1)]
    assert scene.sequence.next_id == 15


def test_rest_of_an_answer_that_is_newer_than_what_follows_it_is_not_believed() -> None:
    late = trade(13, time_ms=NOON_MS + 1_800_000, received_ns=0)
    scene = RepairScene([trade(10), trade(11, received_ns=0), trade(12), late], [12, 13, 14])
    scene.send(trade(12), trade(14))

    scene.look()
    assert scene.sequence.next_id == 13
    scene.look()

    assert scene.sequence.next_id == 15
    assert [rules(entry) for entry in scene.take_side()] == []


def test_refused_id_behind_the_gap_keeps_its_time_for_a_good_copy() -> None:
    """The stream brings 13 broken: the twin line's copy is waited for, the answer's is not taken instead."""
    scene = RepairScene([10, 11, 12, 13, 14])
    scene.send(trade(12), trade(14))
    scene.now_s += 0.14
    scene.send(trade(13, price="0"))

    scene.look(0.05)
    assert scene.sequence.next_id == 13
    scene.send(trade(13))

    assert runs(scene.take()) == [(11, 4)]
