"""What the exchange will never give of trades is final at once; what proves nothing is not believed."""

from __future__ import annotations

from msgspec import structs

from data_collector.model.errors import VenueUnreachable
from data_collector.model.sink import TradeRun
from data_collector.model.venue import TradesRefused
from data_collector.pipeline.gaps.attempts import GAP_DEADLINE_S
from tests.market import NOON_MS, SYMBOL, trade
from tests.unit.pipeline.intake_scene import gaps, runs
from tests.unit.pipeline.repair_scene import AWAY, NEVER, RepairScene


def test_what_the_exchange_will_never_give_is_lost_at_once_and_told() -> None:
    scene = RepairScene(NEVER)
    scene.send(trade(13), trade(14))

    scene.look()

    batch = scene.take()
    assert gaps(batch) == [(11, 12, "lost")]
    assert runs(batch) == [(13, 2)]
    assert scene.repair.refusals == {str(NEVER)}


def test_what_the_spool_keeps_after_what_is_refused_is_not_lost() -> None:
    """After a restart the spool has from 13 on, the stream goes on at 16, and 11 and 12 are refused."""
    scene = RepairScene(NEVER)
    scene.outlet.keep_only([TradeRun(SYMBOL, 13, [1, '{"trade_id":1}'] * 3, "1", "", 3, 1)])
    scene.send(trade(16), trade(17))

    for _ in range(3):
        scene.look()

    batch = scene.take()
    assert gaps(batch) == [(11, 12, "lost")]
    assert [run for run in runs(batch) if run[1]] == [(13, 3), (16, 2)]
    assert scene.rest.asked == [10]


def test_part_that_the_exchange_gives_is_taken_and_only_the_rest_is_lost() -> None:
    scene = RepairScene(TradesRefused(NEVER, [trade(one, received_ns=0) for one in (13, 14, 15)]))
    scene.send(trade(15), trade(16))

    scene.look()

    batch = scene.take()
    assert gaps(batch) == [(11, 12, "lost")]
    assert runs(batch) == [(13, 4)]


def test_exchange_that_asks_for_a_wait_beyond_the_deadline_is_not_waited_for() -> None:
    scene = RepairScene(VenueUnreachable("This address is banned.", retry_after_s=3_600.0))
    scene.send(trade(13), trade(14))

    scene.look()

    assert gaps(scene.take()) == [(11, 12, "lost")]


def test_what_the_exchange_keeps_no_more_is_lost_after_some_answers() -> None:
    scene = RepairScene([13, 14])
    scene.send(trade(13), trade(14))
    for _ in range(5):
        scene.look(1.0)
    assert scene.take().trades == []
    for _ in range(8):
        scene.look(1.0)

    assert gaps(scene.take()) == [(11, 12, "lost")]


def test_empty_answer_after_a_start_does_not_make_young_trades_old() -> None:
    """What was traded a minute ago, while the exchange answers that nothing was since an hour."""
    scene = RepairScene([16], [10, 11, 12, 13, 14, 15, 16])
    scene.sequence.resumed_id = 11
    scene.rest.first_id = None
    scene.send(trade(17))

    scene.look()

    batch = scene.take()
    assert gaps(batch) == []
    assert runs(batch) == [(11, 7)]


def test_empty_answer_is_believed_where_the_trade_before_is_that_old() -> None:
    scene = RepairScene([structs.replace(trade(16), time_ms=NOON_MS - 7_200_000)])
    scene.sequence.resumed_id = 11
    scene.rest.first_id = None
    scene.send(trade(17))

    scene.look()

    assert gaps(scene.take()) == [(11, 16, "skipped")]


def test_start_waits_no_longer_than_the_deadline_for_an_exchange_that_is_away() -> None:
    scene = RepairScene([])
    scene.sequence.resumed_id = 11
    scene.rest.clock_error = AWAY
    scene.send(trade(13), trade(14))
    scene.look(1.0)
    assert scene.take().trades == []

    scene.look(GAP_DEADLINE_S)

    assert gaps(scene.take()) == [(11, 12, "lost")]
