"""Who decides that a market's next life begins, and what comes to the store then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from data_collector.model.sink import TradeRun, TradeTail
from data_collector.pipeline.repair.new_lives import NewLives
from data_collector.pipeline.repair.refill import Reach, resume
from data_collector.pipeline.sequence.new_life import NEW_IDS
from data_collector.pipeline.sequence.trade_sequence import ARBITRATION_S
from tests.market import NOON_MS, SYMBOL, ticker, trade
from tests.unit.pipeline.repair_scene import AN_HOUR, AWAY, Answer, RepairScene
from tests.unit.pipeline.sequence.test_new_life import is_suspended, new_trade, new_trades

OLD_TAIL = 150


class Register:
    """The numbers of epochs, and what was ordered."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.orders: dict[str, int] = {}

    async def remember(self, symbol: str, epoch: int) -> None:
        self.known[symbol] = epoch

    async def ordered(self, symbols: Sequence[str]) -> dict[str, int]:
        return self.orders


class LifeScene(RepairScene):
    """The ids of the symbol have begun anew at 0, behind 150; what was stored was taken."""

    def __init__(
        self, *answers: Answer, last_id: int = NEW_IDS, is_automatic: bool = True, reach: Reach = AN_HOUR
    ) -> None:
        super().__init__(*answers, reach=reach)
        self.register = Register()
        self.rest.told = [ticker(NOON_MS, last_id=last_id)]
        trades = self.intake.trades
        self.lives = NewLives(trades, self.rest, self.register, self.counters, is_automatic=is_automatic)
        self.send(*(trade(trade_id) for trade_id in range(11, OLD_TAIL + 1)))
        self.take()
        self.send(*new_trades(0))
        assert is_suspended(self)

    def decide(self) -> None:
        asyncio.run(self.lives.look())

    def bring(self) -> list[TradeRun]:
        """What the store gets when the refill has done what is due."""
        found: list[TradeRun] = []
        for _ in range(4):
            self.look()
            found += self.take().trades
        return found


def places(runs: Sequence[TradeRun]) -> list[tuple[int, int, int]]:
    return [(run.epoch, run.first_id, run.count) for run in runs]


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


def test_operator_who_wants_to_decide_is_waited_for() -> None:
    scene = LifeScene([new_trade(0)], is_automatic=False)
    scene.decide()
    assert is_suspended(scene)
    assert scene.lives.proven == {SYMBOL}

    scene.register.orders = {SYMBOL: 0}
    scene.decide()
    assert scene.sequence.epoch == 1
    scene.decide()
    assert (scene.lives.proven, scene.sequence.epoch) == (set(), 1)


def test_store_gets_the_end_of_the_old_life_then_the_new_one_from_its_beginning() -> None:
    """Killed, or kept waiting, in between: what the spool has of the old epoch comes first."""
    scene = LifeScene([new_trade(0)], [new_trade(number) for number in range(NEW_IDS + 2)])
    scene.outlet.end_runs()
    scene.outlet.fall_behind(SYMBOL, 140)
    scene.decide()
    scene.rest.first_id = 0
    scene.send(*new_trades(NEW_IDS, 2))
    scene.wait(ARBITRATION_S)

    runs = scene.bring()

    assert places(runs) == [(0, 140, 11), (1, 0, NEW_IDS + 2)]
    assert [(run.begins, run.after_id) for run in runs] == [(False, -1), (True, OLD_TAIL)]
    assert scene.outlet.debts.get(SYMBOL) is None


def test_new_epoch_is_stored_where_nothing_is_caught_up() -> None:
    """CATCH_UP_SECONDS=0."""
    scene = LifeScene([new_trade(0)], reach=Reach(0, 1_000_000))
    scene.decide()
    scene.send(*new_trades(NEW_IDS, 2))
    scene.wait(ARBITRATION_S)

    runs = scene.bring()
    scene.send(*new_trades(NEW_IDS + 2, 2))
    runs += scene.take().trades

    assert places(runs) == [(1, NEW_IDS, 2), (1, NEW_IDS + 2, 2)]
    assert [(run.begins, run.after_id) for run in runs] == [(True, OLD_TAIL), (False, -1)]


def test_what_was_held_of_the_old_life_is_stored_and_its_hole_is_lost() -> None:
    scene = LifeScene([new_trade(0)], [new_trade(number) for number in range(NEW_IDS + 2)])
    scene.intake.trades.go_on(SYMBOL)
    scene.send(trade(OLD_TAIL + 3))
    scene.send(*new_trades(0))
    scene.decide()
    scene.rest.first_id = 0
    scene.send(*new_trades(NEW_IDS, 2))
    scene.wait(ARBITRATION_S)

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
    scene.decide()
    scene.rest.first_id = 0
    scene.send(*new_trades(NEW_IDS, 2))
    scene.wait(ARBITRATION_S)
    scene.outlet.end_runs()
    scene.sequence.next_id = -1

    resume([scene.sequence], scene.outlet, scene.kept, {SYMBOL: TradeTail(10, 145)})

    assert (scene.sequence.epoch, scene.sequence.next_id) == (1, NEW_IDS + 2)
    assert places(scene.bring()) == [(0, 146, 5), (1, 0, NEW_IDS + 2)]
