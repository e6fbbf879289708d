"""Who decides that a market's next life begins, and what comes to the store then."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from data_collector.model.records import Ticker
from data_collector.model.sink import TradeTail
from data_collector.pipeline.repair.refill import Reach
from data_collector.pipeline.repair.resuming import resume
from data_collector.pipeline.sequence.new_life import NEW_IDS
from data_collector.pipeline.sequence.trade_sequence import ARBITRATION_S
from tests.market import NOON_MS, SYMBOL, ticker, trade
from tests.unit.pipeline.life_scene import OLD_TAIL, LifeScene, places
from tests.unit.pipeline.repair_scene import AWAY, NEVER, RepairScene
from tests.unit.pipeline.sequence.test_new_life import is_suspended, new_trade, new_trades

OTHER = "ETHUSDT"


def test_epoch_begins_when_the_exchange_has_the_new_ids_too() -> None:
    scene = LifeScene([new_trade(0)])
    scene.decide()

    assert not is_suspended(scene)
    assert (scene.register.known, scene.sequence.epoch) == ({SYMBOL: 1}, 1)
    assert scene.counters.value("data_collector_epochs_begun_total") == 1


def test_ids_go_on_when_the_exchange_has_the_old_ones() -> None:
    scene = LifeScene([], last_id=9_000_000)
    scene.decide()

    assert not is_suspended(scene)
    assert (scene.sequence.epoch, scene.sequence.next_id) == (0, OLD_TAIL + 1)


def test_ids_go_on_when_the_exchange_has_another_trade_under_the_first_of_them() -> None:
    scene = LifeScene([trade(0)])
    for _ in range(100):
        scene.decide()

    assert not is_suspended(scene)
    assert scene.sequence.epoch == 0


def test_exchange_that_does_not_answer_is_asked_again() -> None:
    scene = LifeScene(AWAY, [new_trade(0)])
    scene.decide()
    assert is_suspended(scene)

    for _ in range(10):
        scene.decide()
    assert scene.sequence.epoch == 1


def test_market_of_which_the_exchange_does_not_tell_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = LifeScene([msgspec.structs.replace(new_trade(0), symbol=OTHER)])
    scene.send(ticker(NOON_MS, last_id=1000, symbol=OTHER))
    scene.send(*(msgspec.structs.replace(trade(1000 + number), symbol=OTHER) for number in range(2)))
    scene.wait(ARBITRATION_S)
    scene.send(*(msgspec.structs.replace(each, symbol=OTHER) for each in new_trades(0)))
    assert list(scene.intake.trades.lives.suspended) == [SYMBOL, OTHER]

    async def tickers(symbols: Sequence[str]) -> list[Ticker]:
        return [] if symbols == [SYMBOL] else [ticker(NOON_MS, last_id=NEW_IDS, symbol=OTHER)]

    monkeypatch.setattr(scene.rest, "tickers", tickers)
    scene.decide()

    assert scene.register.known == {OTHER: 1}
    assert is_suspended(scene)


def test_exchange_that_refuses_the_first_id_is_asked_for_the_last() -> None:
    """Without a key the newest trades alone can be had."""
    scene = LifeScene(NEVER, new_trades(150))
    scene.send(*new_trades(NEW_IDS, 150))
    scene.decide()

    assert scene.rest.asked == [0, 150]
    assert scene.sequence.epoch == 1


def test_exchange_that_will_never_tell_is_asked_no_more_and_an_order_is_waited_for() -> None:
    scene = LifeScene(NEVER)
    for _ in range(100):
        scene.decide()
    assert len(scene.rest.asked) == 2
    assert is_suspended(scene)
    assert scene.sequence.new_life.refusal == str(NEVER)

    scene.register.orders = {SYMBOL: 0}
    scene.decide()
    assert scene.sequence.epoch == 1


def test_operator_who_wants_to_decide_is_waited_for() -> None:
    scene = LifeScene([new_trade(0)], is_automatic=False)
    scene.decide()
    assert is_suspended(scene)
    assert scene.sequence.new_life.is_proven

    scene.register.orders = {SYMBOL: 0}
    scene.decide()
    assert scene.sequence.epoch == 1
    scene.decide()
    assert (scene.sequence.new_life.is_proven, scene.sequence.epoch) == (False, 1)


def test_ids_that_the_exchange_knows_never_end_the_suspension_by_themselves() -> None:
    """A reconnect has left out more of them than may be missing, and they grow past the old ones."""
    scene = LifeScene([new_trade(0)], is_automatic=False)
    scene.decide()

    scene.send(*new_trades(3 * NEW_IDS))

    assert is_suspended(scene)
    assert scene.sequence.new_life.is_proven


def test_ids_that_grow_past_the_old_ones_while_the_exchange_is_away_do_not_join_them() -> None:
    """Two of them are missing since a reconnect."""
    scene = LifeScene(AWAY)
    scene.decide()

    scene.send(*new_trades(NEW_IDS, 10), *new_trades(NEW_IDS + 12, 150))

    assert is_suspended(scene)
    assert scene.take().trades == []


def test_store_gets_the_end_of_the_old_life_then_the_new_one_from_its_beginning() -> None:
    """Killed, or kept waiting, in between: what the spool has of the old epoch comes first."""
    scene = LifeScene([new_trade(0)], [new_trade(number) for number in range(NEW_IDS + 2)])
    scene.outlet.end_runs()
    scene.outlet.fall_behind(SYMBOL, 140)
    scene.begin_new_life()

    runs = scene.bring()

    assert places(runs) == [(0, 140, 11), (1, 0, NEW_IDS + 2)]
    assert [(run.begins, run.after_id) for run in runs] == [(False, -1), (True, OLD_TAIL)]
    assert scene.outlet.debts.get(SYMBOL) is None


def test_new_epoch_is_stored_from_its_first_trade_on_where_nothing_is_caught_up() -> None:
    """CATCH_UP_SECONDS=0: the hundred trades that showed it were received."""
    scene = LifeScene([new_trade(0)], reach=Reach(0, 1_000_000))
    scene.decide()
    scene.send(*new_trades(NEW_IDS, 2))
    scene.wait(ARBITRATION_S)

    runs = scene.bring()
    scene.send(*new_trades(NEW_IDS + 2, 2))
    runs += scene.take().trades

    assert places(runs) == [(1, 0, NEW_IDS + 2), (1, NEW_IDS + 2, 2)]
    assert [(run.begins, run.after_id) for run in runs] == [(True, OLD_TAIL), (False, -1)]


def test_store_that_was_emptied_gets_the_old_life_too_as_far_as_the_spool_has_it() -> None:
    scene = LifeScene([new_trade(0)], [new_trade(number) for number in range(NEW_IDS + 2)])
    scene.begin_new_life()
    scene.bring()

    scene.outlet.fall_behind(SYMBOL, None)
    runs = scene.bring()
    assert places(runs) == [(0, 10, OLD_TAIL - 9), (1, 0, NEW_IDS + 2)]
    assert [(run.begins, run.after_id) for run in runs] == [(True, -1), (True, OLD_TAIL)]
    assert scene.outlet.debts.get(SYMBOL) is None


def test_store_that_lost_a_stream_and_knows_its_epoch_is_filled_from_that_on() -> None:
    """It refuses what is of an older one, as if it had been emptied again."""
    scene = LifeScene([new_trade(0)], [new_trade(number) for number in range(NEW_IDS + 2)])
    scene.begin_new_life()
    scene.bring()

    scene.outlet.fall_behind(SYMBOL, None)
    scene.look()
    scene.outlet.fall_behind(SYMBOL, None)

    assert places(scene.bring()) == [(1, 0, NEW_IDS + 2)]


def test_what_was_held_of_the_old_life_is_stored_and_its_hole_is_lost() -> None:
    scene = LifeScene([new_trade(0)], [new_trade(number) for number in range(NEW_IDS + 2)])
    scene.intake.trades.lives.go_on(SYMBOL)
    scene.send(trade(OLD_TAIL + 3))
    scene.send(*new_trades(0))
    scene.begin_new_life()

    runs = scene.bring()

    assert places(runs) == [(0, OLD_TAIL + 3, 1), (1, 0, NEW_IDS + 2)]
    assert [(gap.first, gap.last, gap.reason) for gap in runs[0].gaps] == [(OLD_TAIL + 1, OLD_TAIL + 2, "lost")]
    assert runs[1].after_id == OLD_TAIL + 3
    assert [life.epoch for life in scene.ledger.status().closed] == [0]


def test_start_goes_on_in_the_epoch_that_was_written_down() -> None:
    """The store has lost everything, and the spool too."""
    scene = RepairScene([])
    sequence = scene.sequence
    sequence.next_id = -1
    resume([sequence], scene.outlet, scene.kept, {}, was_filled=True, epochs={SYMBOL: 3})

    assert (sequence.epoch, scene.queue.epoch, sequence.next_id) == (3, 3, -1)


def test_start_after_a_kill_before_the_first_append_brings_both_epochs() -> None:
    scene = LifeScene([new_trade(0)], [new_trade(number) for number in range(NEW_IDS + 2)])
    scene.begin_new_life()
    scene.outlet.end_runs()
    scene.sequence.next_id = -1

    resume([scene.sequence], scene.outlet, scene.kept, {SYMBOL: TradeTail(10, 145)})

    assert (scene.sequence.epoch, scene.sequence.next_id) == (1, NEW_IDS + 2)
    assert places(scene.bring()) == [(0, 146, 5), (1, 0, NEW_IDS + 2)]


def test_trades_of_a_new_life_that_there_was_no_room_for_are_declared_where_nothing_is_caught_up() -> None:
    """CATCH_UP_SECONDS=0, and the exchange does not answer for long."""
    scene = LifeScene([new_trade(0)], reach=Reach(0, 1_000_000))
    room = len(scene.sequence.recent)
    scene.send(*new_trades(NEW_IDS, room))
    scene.decide()
    scene.send(*new_trades(NEW_IDS + room, 2))
    scene.wait(ARBITRATION_S)

    runs = scene.bring()

    assert places(runs) == [(1, 0, 200), *places(runs)[1:-1], (1, NEW_IDS + room, 2)]
    assert [(gap.first, gap.last, gap.reason) for run in runs for gap in run.gaps] == [
        (room, NEW_IDS + room - 1, "skipped")
    ]
    assert sum(run.count for run in runs) == room + 2


def test_start_after_a_kill_stores_what_was_spilled_behind_a_hole_of_the_new_life() -> None:
    """CATCH_UP_SECONDS=0: the hole is passed over, and not what was received."""
    scene = LifeScene([new_trade(0)], reach=Reach(0, 1_000_000))
    scene.decide()
    scene.send(*new_trades(NEW_IDS + 10, 5))
    scene.intake.trades.spill(scene.sequence)
    scene.outlet.end_runs()

    scene.restart()
    scene.send(*new_trades(NEW_IDS + 20, 2))
    scene.wait(ARBITRATION_S)
    runs = scene.bring()

    stored = [run for run in runs if run.count]
    assert places(stored) == [(1, 0, NEW_IDS), (1, NEW_IDS + 10, 5), (1, NEW_IDS + 20, 2)]
    assert [(gap.first, gap.last, gap.reason) for run in runs for gap in run.gaps] == [
        (NEW_IDS, NEW_IDS + 9, "skipped"), (NEW_IDS + 15, NEW_IDS + 19, "skipped"),
    ]  # fmt: skip
