"""A store that is behind: brought up from the spool, from the exchange, or told why not."""

from __future__ import annotations

import pytest

from data_collector.model.errors import VenueUnreachable
from data_collector.model.sink import TradeRun
from data_collector.model.venue import TradePage, TradesRefused
from data_collector.pipeline.gaps.attempts import GAP_DEADLINE_S
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.repair.refill import QUEUED_MAX, READ_TRADES, Reach
from tests.market import NOON_MS, SYMBOL, trade
from tests.retaining import ONE_RUN, in_memory
from tests.unit.pipeline.intake_scene import gaps, runs
from tests.unit.pipeline.repair_scene import AN_HOUR, AWAY, NEVER, Answer, RepairScene


def behind(scene: RepairScene, due_id: int | None) -> None:
    scene.outlet.fall_behind(SYMBOL, due_id)


def further(scene: RepairScene, last_id: int) -> None:
    """The feed goes on, and the store takes it."""
    scene.send(*(trade(number) for number in range(scene.sequence.next_id, last_id + 1)))
    scene.take()


def forgetful(*answers: Answer, until: int, reach: Reach = AN_HOUR) -> RepairScene:
    """Up to `until` nothing is in the spool."""
    scene = RepairScene(*answers, reach=reach)
    scene.skip_to(until + 1)
    return scene


def test_what_the_store_lost_is_brought_from_the_spool() -> None:
    scene = RepairScene([])
    further(scene, 14)
    behind(scene, 12)
    scene.send(trade(15))

    scene.look()

    assert runs(scene.take()) == [(12, 4)]
    assert scene.outlet.debts.get(SYMBOL) is None
    assert scene.rest.asked == []
    assert scene.closed() == []


def test_feed_goes_on_where_the_refill_ended() -> None:
    scene = RepairScene([])
    further(scene, 14)
    behind(scene, 12)
    scene.look()
    scene.send(trade(15))

    assert runs(scene.take()) == [(12, 3), (15, 1)]


def test_what_was_explained_is_explained_again() -> None:
    scene = RepairScene([])
    scene.intake.trades.pass_over(scene.sequence, 12, "absent")
    further(scene, 13)
    behind(scene, 12)

    scene.look()

    batch = scene.take()
    assert gaps(batch) == [(12, 12, "absent")]
    assert runs(batch) == [(13, 1)]


def test_what_the_spool_lacks_is_asked_of_the_exchange() -> None:
    scene = forgetful([9, 10, 11, 12, 13], until=12)
    scene.rest.first_id = 1
    scene.send(trade(13))
    behind(scene, 10)

    scene.look()

    batch = scene.take()
    assert [number for first, count in runs(batch) for number in range(first, first + count)] == [10, 11, 12, 13]
    assert scene.rest.asked == [10]


def test_hole_of_the_spool_is_filled_and_what_was_brought_is_kept() -> None:
    scene = forgetful([10, 11, 12, 13, 14], until=13)
    scene.rest.first_id = 1
    behind(scene, 11)

    scene.look()

    batch = scene.take()
    assert runs(batch) == [(11, 3)]
    assert str(batch.trades[0].entries[0]).endswith(" rest")
    assert scene.kept.end_id(SYMBOL, 11) == 14
    assert scene.rest.asked == [10]
    assert scene.rest.urgent == [False]


def test_what_the_exchange_gives_the_store_is_judged_counted_and_audited_as_the_feed() -> None:
    """After a downtime the trades of it come so: one without a price among them."""
    bad = trade(11, price="0", received_ns=0)
    scene = forgetful([trade(10), bad, trade(12, received_ns=0)], until=12)
    scene.rest.first_id = 1
    behind(scene, 11)
    known = len(scene.notebook.others)

    scene.look()

    noted = scene.notebook.others[known:]
    assert [(note[0], note[2], note[3]) for note in noted] == [
        (bad, False, False), (trade(12, received_ns=0), True, True)
    ]  # fmt: skip
    refused = scene.counters.value("data_collector_records_refused_total", channel="trade", rule="price_positive")
    assert refused == 1


def test_refused_trade_at_the_end_is_explained_without_a_trade() -> None:
    scene = forgetful([trade(10), trade(11, price="0", received_ns=0)], until=11)
    scene.rest.first_id = 1
    behind(scene, 11)

    scene.look()

    batch = scene.take()
    assert gaps(batch) == [(11, 11, "refused")]
    assert runs(batch) == [(12, 0)]
    assert scene.outlet.debts.get(SYMBOL) is None


def test_older_part_of_what_is_asked_for_is_skipped() -> None:
    scene = forgetful([13, 14, 15, 16], until=15, reach=Reach(60, 1_000))
    scene.rest.first_id = 14
    behind(scene, 11)

    scene.look()

    batch = scene.take()
    assert gaps(batch) == [(11, 13, "skipped")]
    assert runs(batch) == [(14, 2)]
    assert scene.rest.since_ms == [NOON_MS - 60_000]
    assert scene.closed() == [(11, 13, {}, {"skipped": 3})]


def test_no_more_is_asked_for_than_the_store_keeps() -> None:
    scene = forgetful([13, 14, 15], until=15, reach=Reach(60, 2))
    scene.rest.first_id = 1
    behind(scene, 11)

    scene.look()

    assert gaps(scene.take()) == [(11, 13, "skipped")]


def test_everything_is_skipped_where_no_catching_up_is_wanted() -> None:
    scene = forgetful([], until=15, reach=Reach(0, 1_000))
    behind(scene, 11)

    scene.look()

    batch = scene.take()
    assert gaps(batch) == [(11, 15, "skipped")]
    assert runs(batch) == [(16, 0)]
    assert scene.rest.asked == []


def test_exchange_that_is_away_is_asked_again_no_sooner_than_it_wants() -> None:
    scene = forgetful(AWAY, [10, 11, 12], until=11)
    scene.rest.first_id = 1
    behind(scene, 11)
    scene.look()
    scene.look(6.0)
    assert len(scene.rest.asked) == 1

    scene.look(1.5)

    assert runs(scene.take()) == [(11, 1)]


def test_what_the_exchange_will_never_give_is_lost_at_once() -> None:
    scene = forgetful(NEVER, until=13)
    scene.rest.first_id = 1
    behind(scene, 11)

    scene.look()

    assert gaps(scene.take()) == [(11, 13, "lost")]


def test_store_gets_what_the_exchange_gives_a_part_of() -> None:
    part = [trade(one, received_ns=0) for one in (12, 13, 14)]
    scene = forgetful(TradesRefused(NEVER, TradePage(part, reaches_head=True)), part, until=13)
    scene.rest.first_id = 1
    behind(scene, 11)

    scene.look()

    batch = scene.take()
    assert gaps(batch) == [(11, 11, "lost")]
    assert runs(batch) == [(12, 2)]


@pytest.mark.parametrize("answer", [AWAY, []])
def test_what_nobody_gives_until_the_deadline_is_lost(answer: Answer) -> None:
    scene = forgetful(answer, until=13)
    scene.rest.first_id = 1
    behind(scene, 11)
    scene.look()
    scene.look(GAP_DEADLINE_S - 1)
    assert scene.take().trades == []

    scene.look(8)

    batch = scene.take()
    assert gaps(batch) == [(11, 13, "lost")]
    assert scene.outlet.debts.get(SYMBOL) is None
    assert scene.closed() == [(11, 13, {}, {"lost": 3})]


def test_only_what_nobody_has_is_lost() -> None:
    scene = forgetful([14, 15, 16], until=15)
    scene.rest.first_id = 1
    behind(scene, 11)
    scene.look(GAP_DEADLINE_S)
    scene.look(GAP_DEADLINE_S)

    batch = scene.take()
    assert gaps(batch) == [(11, 13, "lost")]
    assert runs(batch) == [(14, 2)]


def test_hole_between_what_the_spool_keeps_takes_nothing_after_it_along() -> None:
    """The spool has 10 and from 13 on, the store wants 11, and the exchange will not give it."""
    scene = forgetful(NEVER, until=12)
    scene.rest.first_id = 1
    further(scene, 15)
    behind(scene, 11)

    scene.look()

    batch = scene.take()
    assert gaps(batch) == [(11, 12, "lost")]
    assert runs(batch) == [(13, 3)]


def test_store_does_not_wait_for_an_exchange_that_banned_us() -> None:
    scene = forgetful(VenueUnreachable("Banned.", retry_after_s=3_600.0), until=12)
    scene.outlet.keep_only([TradeRun(SYMBOL, 13 + n, [1, "{}"], "1", "", 1, 1) for n in range(2 * READ_TRADES)])
    scene.skip_to(13 + 2 * READ_TRADES)
    behind(scene, 11)
    brought = 0
    for _ in range(5):
        scene.look(1.0)
        brought += sum(count for _, count in runs(scene.take()))
    assert brought == 2 * READ_TRADES


def test_wiped_store_begins_with_what_catching_up_reaches() -> None:
    scene = RepairScene([])
    further(scene, 15)
    scene.rest.first_id = 13
    behind(scene, None)

    scene.look()

    batch = scene.take()
    assert runs(batch) == [(13, 3)]
    assert batch.trades[0].begins
    assert gaps(batch) == []


def test_wiped_store_gets_nothing_from_before_its_old_beginning() -> None:
    scene = RepairScene([])
    further(scene, 12)
    scene.rest.first_id = 1
    behind(scene, None)

    scene.look()

    assert runs(scene.take()) == [(10, 3)]
    assert scene.rest.asked == []


def test_wiped_store_is_filled_from_memory_while_the_exchange_is_away() -> None:
    scene = RepairScene([])
    further(scene, 12)
    scene.rest.clock_error = AWAY
    behind(scene, None)

    scene.look()

    batch = scene.take()
    assert runs(batch) == [(10, 3)]
    assert batch.trades[0].begins


def test_stream_never_begins_with_a_run_that_has_no_trades() -> None:
    scene = forgetful([trade(10), trade(11, price="0", received_ns=0)], until=11)
    scene.queue.origin_id = 11
    scene.rest.first_id = 11
    behind(scene, None)

    scene.look()

    assert scene.take().trades == []
    scene.send(trade(12))
    (run,) = scene.take().trades
    assert (run.first_id, run.begins) == (12, True)


def test_no_more_is_brought_than_may_wait() -> None:
    scene = RepairScene([])
    for number in range(11, 11 + 2 * QUEUED_MAX):
        scene.outlet.keep_only([TradeRun(SYMBOL, number, [1, '{"trade_id":1}'], "1", "", 1, 1)])
        scene.skip_to(number + 1)
    behind(scene, 11)
    scene.outlet.end_runs()

    scene.look()
    assert len(scene.queue.runs) >= QUEUED_MAX
    taken = 0
    while scene.outlet.debts.get(SYMBOL) is not None or scene.outlet.waiting.is_set():
        taken += sum(run.count for run in scene.take().trades)
        scene.look()

    assert taken == 2 * QUEUED_MAX
    assert scene.outlet.records == 0


def test_nothing_is_brought_while_memory_is_full() -> None:
    scene = RepairScene([])
    further(scene, 14)
    outlet: Outlet = scene.outlet
    outlet.records_max = 0
    behind(scene, 11)

    scene.look()
    assert scene.queue.runs == []

    outlet.records_max = 100
    scene.look()
    assert runs(scene.take()) == [(11, 4)]


def test_store_that_falls_back_again_meanwhile_is_brought_from_there() -> None:
    scene = RepairScene([])
    further(scene, 14)
    behind(scene, 13)
    scene.look()
    behind(scene, 11)

    scene.look()

    assert runs(scene.take()) == [(11, 4)]


def test_wiped_store_waits_for_the_exchange_when_nothing_from_before_is_retained() -> None:
    scene = RepairScene([10, 11, 12, 13, 14, 15], kept=in_memory(SYMBOL, limits=ONE_RUN))
    further(scene, 14)
    scene.outlet.end_runs()
    scene.rest.clock_error = AWAY
    behind(scene, None)
    scene.look()
    scene.send(trade(15))
    scene.look()
    assert not scene.take()

    scene.rest.clock_error, scene.rest.first_id = None, 12
    scene.look(AWAY.retry_after_s or 0.0)

    assert runs(scene.take()) == [(12, 4)]


def test_wiped_store_begins_with_what_came_since_when_the_exchange_stays_away() -> None:
    scene = RepairScene([], kept=in_memory(SYMBOL, limits=ONE_RUN))
    scene.outlet.end_runs()
    scene.rest.clock_error = AWAY
    behind(scene, None)
    scene.send(trade(11))

    scene.look(GAP_DEADLINE_S)

    assert runs(scene.take()) == [(11, 1)]
