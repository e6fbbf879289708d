"""Trades that come ahead and are not true: what must speak for a hole before its ids are declared lost."""

from __future__ import annotations

from data_collector.model.records import Trade
from data_collector.pipeline.gaps.attempts import GAP_DEADLINE_S
from data_collector.pipeline.sequence.new_life import NEW_IDS
from tests.market import NOON_MS, ticker, trade
from tests.unit.pipeline.intake_scene import gaps, rules, runs
from tests.unit.pipeline.repair_scene import AWAY, NEVER, RepairScene

FAR = 1_000_000


def pass_time(scene: RepairScene, seconds: float) -> None:
    until_s = scene.now_s + seconds
    while scene.now_s < until_s:
        scene.look(1.0)


def ids_passed_over(scene: RepairScene) -> list[tuple[int, int, str]]:
    scene.outlet.end_runs()
    return gaps(scene.take())


def test_neighbours_that_the_exchange_does_not_know_are_refused_and_the_real_ones_go_on() -> None:
    """Two neighbouring trades a million ids ahead on a quiet symbol, whose real trades come every three seconds."""
    scene = RepairScene([10])
    scene.send(trade(FAR), trade(FAR + 1))
    for trade_id in range(11, 20):
        scene.rest.answers = [[trade_id - 1]]
        pass_time(scene, 3.0)
        scene.send(trade(trade_id))

    assert scene.sequence.gap is None
    assert scene.ledger.status().open_count == 0
    batch = scene.take()
    assert (runs(batch), gaps(batch)) == ([(11, 9)], [])
    assert [rules(entry) for entry in batch.side] == [["trade_id_jump"]] * 2
    assert scene.counters.value("data_collector_records_late_total", channel="trade") == 0


def test_neighbours_that_have_become_old_are_refused_too() -> None:
    """The exchange gives no answer until its trades are minutes newer than those that came ahead."""
    scene = RepairScene(AWAY)
    scene.send(trade(FAR), trade(FAR + 1))
    scene.look()
    later_ms = NOON_MS + 120_000
    scene.send(trade(11, time_ms=later_ms, event_ms=later_ms))
    scene.rest.answers = [[trade(11, time_ms=later_ms, received_ns=0)]]
    pass_time(scene, 60.0)

    assert scene.sequence.gap is None
    assert [rules(entry) for entry in scene.take_side()] == [["trade_id_jump"]] * 2


def test_many_neighbours_are_refused_as_well_where_the_stream_brings_what_is_due() -> None:
    scene = RepairScene([10])
    scene.send(*(trade(number) for number in range(500, 1_100)), trade(11))
    scene.rest.answers = [[11]]
    scene.look()
    scene.send(trade(12))
    scene.rest.answers = [[12]]
    pass_time(scene, 20.0)

    assert scene.sequence.gap is None
    assert len(scene.take_side()) == 600


def test_exchange_that_has_fallen_behind_its_own_stream_is_waited_for_and_not_for_ever() -> None:
    """More trades came behind the hole than it misses, and its REST side knows none of them."""
    scene = RepairScene([10])
    scene.send(*(trade(number) for number in range(13, 13 + NEW_IDS)))
    pass_time(scene, GAP_DEADLINE_S - 10.0)
    assert scene.take_side() == []

    pass_time(scene, 20.0)

    batch = scene.take()
    assert gaps(batch) == [(11, 12, "lost")]
    assert runs(batch) == [(13, NEW_IDS)]


def test_nothing_is_lost_on_two_neighbours_while_the_exchange_is_away() -> None:
    scene = RepairScene(AWAY)
    scene.send(trade(FAR), trade(FAR + 1))
    pass_time(scene, 2 * GAP_DEADLINE_S)
    assert ids_passed_over(scene) == []
    (doubt,) = scene.repair.doubts
    assert doubt.startswith("2 trades of BTCUSDT came 999,989 ids ahead and wait")

    scene.rest.answers = [[10]]
    pass_time(scene, 120.0)

    assert scene.sequence.gap is None
    assert scene.repair.doubts == []
    scene.send(trade(11))
    assert runs(scene.take()) == [(11, 1)]


def test_nothing_is_lost_on_two_neighbours_where_the_exchange_refuses_to_tell() -> None:
    scene = RepairScene(NEVER)
    scene.send(trade(15), trade(16))
    pass_time(scene, 2 * GAP_DEADLINE_S)
    assert ids_passed_over(scene) == []

    scene.send(trade(17), trade(18))
    pass_time(scene, 60.0)

    assert ids_passed_over(scene) == [(11, 14, "lost")]


def test_nothing_is_lost_on_the_word_of_a_ticker_while_the_exchange_is_away() -> None:
    scene = RepairScene(AWAY)
    scene.send(ticker(first_id=1, last_id=FAR))
    for _ in range(700):
        scene.intake.trades.look_at_heads()
        scene.look(2.0)

    assert ids_passed_over(scene) == []


def test_ticker_and_trade_that_agree_are_believed_when_the_exchange_never_answers() -> None:
    scene = RepairScene(AWAY)
    scene.send(trade(15), ticker(first_id=1, last_id=15))
    pass_time(scene, GAP_DEADLINE_S + 40.0)

    assert ids_passed_over(scene) == [(11, 14, "lost")]


def test_trades_that_the_stream_brings_in_order_are_progress() -> None:
    """The exchange's REST side is away: the hole shrinks all the same, and nothing of it is given up."""
    scene = RepairScene(AWAY)
    scene.send(*(trade(number) for number in range(1_000, 1_000 + NEW_IDS)))
    for trade_id in range(11, 51):
        pass_time(scene, 60.0)
        scene.send(trade(trade_id))

    assert ids_passed_over(scene) == []
    assert scene.sequence.next_id == 51


def test_empty_answer_disproves_nothing() -> None:
    scene = RepairScene([])
    scene.send(trade(500))
    pass_time(scene, 60.0)

    assert scene.take_side() == []
    assert scene.sequence.gap is not None


def later(trade_id: int, seconds: float = 5.0, **changes: object) -> Trade:
    """One that happened so much later than those that came ahead."""
    time_ms = NOON_MS + round(seconds * 1000)
    return trade(trade_id, time_ms=time_ms, event_ms=time_ms, **changes)


def test_what_came_ahead_is_not_let_through_when_the_market_has_reached_its_ids() -> None:
    """Two neighbours 40 ids ahead, before REST has denied them; the real ones come in order, with later times."""
    scene = RepairScene(AWAY)
    scene.send(trade(50, price="1.00"), trade(51, price="1.00"))
    scene.look()
    scene.send(*(later(number) for number in range(11, 50)))
    assert scene.sequence.next_id == 50

    scene.send(later(50), later(51), later(52))
    scene.look()

    batch = scene.take()
    assert (runs(batch), gaps(batch)) == ([(11, 42)], [])
    assert [rules(entry) for entry in batch.side] == [["trade_id_jump"]] * 2
    assert scene.counters.value("data_collector_trade_conflicts_total") == 0


def test_what_came_ahead_and_does_not_come_again_is_asked_for() -> None:
    scene = RepairScene(AWAY)
    scene.send(trade(13))
    scene.look()
    scene.send(later(11), later(12), later(14))
    scene.rest.answers = [[12, 13, 14]]

    scene.look(60.0)

    assert runs(scene.take()) == [(11, 4)]


def test_of_two_contents_of_an_id_ahead_neither_is_believed() -> None:
    scene = RepairScene([10, 11, 12, 13])
    scene.send(trade(12, price="1.00"), trade(12))
    scene.send(trade(11), trade(13))
    scene.look()

    batch = scene.take()
    assert runs(batch) == [(11, 3)]
    assert sorted(rules(entry) for entry in batch.side) == [["trade_id_conflict"]] * 2
