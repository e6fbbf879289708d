"""Old ids from strangers where the exchange refuses to tell: nothing is advised, and a good trade ends the doubt."""

from __future__ import annotations

import asyncio

from data_collector.pipeline.repair.new_lives import NewLives
from tests.market import NOON_MS, SYMBOL, ticker
from tests.unit.pipeline.intake_scene import runs
from tests.unit.pipeline.life_scene import LifeScene, Register
from tests.unit.pipeline.repair_scene import NEVER, RepairScene
from tests.unit.pipeline.sequence.test_new_life import LATER_MS, TAIL, is_suspended, new_trade, new_trades

STRANGERS = 120


class RefusingScene(RepairScene):
    """The tail is far above the ids of strangers, and the exchange refuses trades by their ids."""

    def __init__(self) -> None:
        super().__init__(NEVER)
        self.rest.told = [ticker(NOON_MS, last_id=STRANGERS)]
        self.skip_to(TAIL)
        self.send(new_trade(TAIL, time_ms=NOON_MS + 500))
        self.take()
        self.lives = NewLives(self.intake.trades, self.rest, Register(), self.counters, is_automatic=True)

    def decide(self) -> None:
        asyncio.run(self.lives.look())


def test_good_trade_ends_the_doubt_that_strangers_have_sown() -> None:
    scene = RefusingScene()
    scene.send(*new_trades(0, STRANGERS))
    scene.decide()
    assert is_suspended(scene)

    scene.send(new_trade(TAIL + 1, time_ms=LATER_MS + 1), new_trade(TAIL + 2, time_ms=LATER_MS + 2))

    assert not is_suspended(scene)
    assert runs(scene.take()) == [(TAIL + 1, 2)]


def test_good_trades_that_came_meanwhile_end_it_as_soon_as_the_exchange_refuses() -> None:
    scene = RefusingScene()
    scene.send(*new_trades(0, STRANGERS), new_trade(TAIL + 1, time_ms=LATER_MS + 1))
    assert is_suspended(scene)

    scene.decide()

    assert not is_suspended(scene)
    assert scene.sequence.new_life.refusal is None
    assert runs(scene.take()) == [(TAIL + 1, 1)]


def test_good_trades_are_not_kept_from_the_store_by_an_exchange_that_knows_nothing_newer() -> None:
    """Its newest id is ours: it may be behind the stream, and is asked three times where no due trade has come."""
    scene = RefusingScene()
    scene.rest.told = [ticker(NOON_MS, last_id=TAIL)]
    scene.send(*new_trades(0, STRANGERS), new_trade(TAIL + 1, time_ms=LATER_MS + 1))

    scene.decide()

    assert not is_suspended(scene)
    assert runs(scene.take()) == [(TAIL + 1, 1)]


def test_id_that_was_jumped_to_ends_no_doubt() -> None:
    """Of a new life whose ids jumped while a line was away, too."""
    scene = RefusingScene()
    scene.send(*new_trades(0, STRANGERS))
    scene.decide()

    scene.send(new_trade(TAIL + 3, time_ms=LATER_MS + 1))

    assert is_suspended(scene)


def test_ids_that_may_have_grown_to_the_due_one_end_no_doubt() -> None:
    scene = LifeScene(NEVER)
    scene.decide()

    scene.send(new_trade(scene.sequence.next_id))

    assert is_suspended(scene)
    assert SYMBOL in scene.intake.trades.lives.suspended
