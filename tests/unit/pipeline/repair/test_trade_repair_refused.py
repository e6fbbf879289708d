"""What the exchange will never give of trades is final at once; what proves nothing is not believed."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.sink import TradeRun
from data_collector.model.venue import TradePage, TradesRefused
from data_collector.pipeline.gaps.attempts import BLOCK_S, GAP_DEADLINE_S
from data_collector.pipeline.repair.refill import AHEAD_MS
from data_collector.pipeline.repair.told_refusals import REFUSED_TOLD_S
from tests.market import NOON_MS, SYMBOL, trade
from tests.unit.pipeline.intake_scene import gaps, runs
from tests.unit.pipeline.repair_scene import AWAY, NEVER, RepairScene


def refused_before(*ids: int) -> TradesRefused:
    return TradesRefused(NEVER, TradePage([trade(one, received_ns=0) for one in ids], reaches_head=True))


def test_what_the_exchange_will_never_give_is_lost_at_once_and_told() -> None:
    scene = RepairScene(NEVER)
    scene.send(trade(13), trade(14))

    scene.look()

    batch = scene.take()
    assert gaps(batch) == [(11, 12, "lost")]
    assert runs(batch) == [(13, 2)]
    assert scene.repair.refusals == {str(NEVER)}
    scene.now_s += REFUSED_TOLD_S
    assert scene.repair.refusals == set()


@pytest.mark.parametrize("endpoint_wide", [True, False])
def test_refusal_is_told_no_longer_than_it_is_true_of_other_symbols(*, endpoint_wide: bool) -> None:
    """A key was wanted for whatever trades were asked for, or one symbol was refused; then others are given."""
    refusal = VenueRefused("The exchange does not serve that.", endpoint_wide=endpoint_wide)
    scene = RepairScene(refusal, [1, 2, 3])
    scene.send(trade(13), trade(14))
    scene.look()
    assert scene.repair.refusals == {str(refusal)}

    asyncio.run(scene.refill.trades("ETHUSDT", 1))

    assert scene.repair.refusals == (set() if endpoint_wide else {str(refusal)})


def test_what_is_refused_of_the_store_is_told_until_it_is_given() -> None:
    """The store lacks 11 and 12, which nobody here has; later it lacks 14."""
    scene = RepairScene(NEVER, [13, 14, 15])
    scene.rest.first_id = 10
    scene.skip_to(13)
    scene.outlet.fall_behind(SYMBOL, 11)
    scene.look()
    assert scene.repair.refusals == {str(NEVER)}
    scene.take()

    scene.skip_to(15)
    scene.outlet.fall_behind(SYMBOL, 14)
    scene.look()

    assert scene.repair.refusals == set()


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


def test_what_the_spool_keeps_does_not_wait_for_an_exchange_that_banned_us() -> None:
    """The exchange asks for an hour, 11 and 12 are nowhere, and from 13 on the spool has all."""
    scene = RepairScene(VenueUnreachable("This address is banned.", retry_after_s=3_600.0))
    scene.outlet.keep_only([TradeRun(SYMBOL, 13, [1, '{"trade_id":1}'] * 3, "1", "", 3, 1)])
    scene.send(trade(16), trade(17))

    scene.look()
    scene.look(1.0)

    batch = scene.take()
    assert gaps(batch) == [(11, 12, "lost")]
    assert [run for run in runs(batch) if run[1]] == [(13, 3), (16, 2)]


def test_part_that_the_exchange_gives_is_taken_and_only_the_rest_is_lost() -> None:
    scene = RepairScene(refused_before(13, 14, 15))
    scene.send(trade(15), trade(16))

    scene.look()

    batch = scene.take()
    assert gaps(batch) == [(11, 12, "lost")]
    assert runs(batch) == [(13, 4)]


def test_page_that_cannot_be_true_makes_nothing_lost_although_the_rest_is_refused() -> None:
    """The newest trades come from the future; the next answer is right, and holds all."""
    future = [trade(one, time_ms=NOON_MS + 2 * AHEAD_MS, received_ns=0) for one in (13, 14)]
    scene = RepairScene(TradesRefused(NEVER, TradePage(future, reaches_head=True)), [10, 11, 12, 13])
    scene.send(trade(13), trade(14))
    scene.look()
    assert scene.take().trades == []
    assert scene.counters.value("data_collector_rest_bad_pages_total") == 1

    scene.look(1.0)

    batch = scene.take()
    assert gaps(batch) == []
    assert sum(count for _, count in runs(batch)) == 4


def test_what_a_refusal_shows_to_be_absent_is_not_lost() -> None:
    """The newest trades hold both sides of 11 and 12, and nothing between."""
    scene = RepairScene(refused_before(10, 13, 14))
    scene.send(trade(14), trade(15))

    scene.look()

    batch = scene.take()
    assert gaps(batch) == [(11, 12, "absent")]
    assert runs(batch) == [(13, 3)]


def test_exchange_that_asks_for_a_wait_beyond_the_deadline_is_not_waited_for() -> None:
    scene = RepairScene(VenueUnreachable("This address is banned.", retry_after_s=3_600.0))
    scene.send(trade(13), trade(14))

    scene.look()

    assert gaps(scene.take()) == [(11, 12, "lost")]


def test_lockout_of_a_quarter_of_an_hour_is_outlasted() -> None:
    """It is longer than the deadline, and the exchange tells when it ends: what was missed can be had then."""
    scene = RepairScene(VenueUnreachable("Temporary lockout.", retry_after_s=BLOCK_S), [10, 11, 12, 13])
    scene.send(trade(13), trade(14))
    scene.look()
    scene.look(GAP_DEADLINE_S + 60)
    assert scene.take().trades == []

    scene.look(BLOCK_S - GAP_DEADLINE_S)

    batch = scene.take()
    assert gaps(batch) == []
    assert runs(batch) == [(11, 4)]


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


def test_exchange_that_never_tells_how_old_trades_are_is_asked_by_id_for_the_store() -> None:
    """The store wants 11 and 12 of an exchange, or of a proxy in between, that has no aggregate trades."""
    scene = RepairScene([10, 11, 12])
    scene.skip_to(13)
    scene.rest.clock_error = NEVER
    scene.outlet.fall_behind(SYMBOL, 11)

    scene.look()

    batch = scene.take()
    assert gaps(batch) == []
    assert runs(batch) == [(11, 2)]
