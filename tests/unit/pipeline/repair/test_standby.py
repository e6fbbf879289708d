"""Standing by while another collector writes, and taking over when it stops."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from data_collector.model.errors import SinkUnavailable
from data_collector.model.sink import Batch, Behind, TradeTail
from data_collector.observe.counters import Counters
from data_collector.pipeline.outlet.debts import Debt
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.outlet.pump import Question
from data_collector.pipeline.repair.standby import STILL_S, STILL_SPREAD_S, Standby
from tests.market import SYMBOL
from tests.retaining import in_memory
from tests.unit.pipeline.outlet_scene import put

LONG_S = STILL_S + STILL_SPREAD_S + 0.01


class OthersStore:
    """What somebody else writes to."""

    def __init__(self) -> None:
        self.tail: TradeTail | None = TradeTail(1, 9)
        self.away = False
        self.overtaken: set[str] = set()

    async def tails(self, symbols: Sequence[str]) -> dict[str, TradeTail | None]:
        if self.away:
            raise SinkUnavailable("The store is away.")
        return {} if self.tail is None else dict.fromkeys(symbols, self.tail)

    async def write(self, batch: Batch) -> list[Behind]:
        raise AssertionError("the pump writes")


class Scene:
    """One symbol whose next trade is 10."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.store = OthersStore()
        self.outlet = Outlet([SYMBOL], in_memory(SYMBOL), clock=lambda: self.now_s)
        self.outlet.resume(SYMBOL, 10)
        self.counters = Counters()
        self.adopted: list[tuple[int, int]] = []
        self.standby = Standby(self.outlet, self.store, self, self._ask, self.counters, lambda: self.now_s)
        self.standby.begin()

    @property
    def debt(self) -> Debt | None:
        return self.outlet.debts.get(SYMBOL)

    def adopt_epoch(self, symbol: str, epoch: int, next_id: int) -> None:
        self.adopted.append((epoch, next_id))
        self.outlet.adopt_epoch(symbol, epoch, next_id)

    def stands_by(self) -> bool:
        return self.debt is not None and self.debt.stands_by

    def collect(self, *ids: int) -> None:
        put(self.outlet, *ids)
        self.outlet.end_runs()

    async def look(self, after_s: float = 0.0) -> None:
        self.now_s += after_s
        await self.standby.look()

    async def _ask(self, question: Question) -> None:
        await question()


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_nothing_is_written_while_another_does(scene: Scene) -> None:
    for trade_id in range(10, 20):
        scene.collect(trade_id)
        scene.store.tail = TradeTail(1, trade_id - 1)
        await scene.look(LONG_S / 2)

    assert scene.stands_by()
    assert not scene.outlet.take().trades
    assert scene.outlet.records == 0
    assert not scene.outlet.debts.due.is_set()


async def test_tail_that_stands_still_while_there_is_more_is_taken_over(scene: Scene) -> None:
    await scene.look()
    scene.collect(10, 11)
    await scene.look()
    await scene.look(STILL_S - 0.01)
    assert scene.stands_by()

    await scene.look(STILL_SPREAD_S + 0.02)

    assert not scene.stands_by()
    assert scene.outlet.debts.due.is_set()
    assert scene.debt is not None
    assert (scene.debt.due_id, scene.debt.wiped) == (10, False)
    assert scene.counters.value("data_collector_takeovers_total") == 1


async def test_market_that_rests_is_not_taken_over(scene: Scene) -> None:
    await scene.look()
    await scene.look(60.0)

    assert scene.stands_by()


async def test_store_that_was_away_gives_the_other_its_time_again(scene: Scene) -> None:
    await scene.look()
    scene.collect(10)
    scene.store.away = True
    await scene.look(60.0)
    scene.store.away = False

    await scene.look()

    assert scene.stands_by()


async def test_symbol_that_another_writes_again_is_left_to_it(scene: Scene) -> None:
    await scene.look()
    scene.collect(10)
    await scene.look(LONG_S)
    assert not scene.stands_by()
    scene.outlet.catch_up(SYMBOL)
    scene.collect(11)

    scene.store.overtaken.add(SYMBOL)
    scene.store.tail = TradeTail(1, 11)
    await scene.look()

    assert scene.stands_by()
    assert not scene.store.overtaken
    assert not scene.outlet.take().trades


async def test_store_that_nobody_has_begun_is_begun(scene: Scene) -> None:
    scene.store.tail = None
    scene.collect(10)

    await scene.look()
    await scene.look(LONG_S)

    assert scene.debt is not None
    assert (scene.stands_by(), scene.debt.wiped, scene.debt.due_id) == (False, True, 11)


async def test_epoch_that_the_writer_has_begun_is_adopted(scene: Scene) -> None:
    scene.collect(10, 11)
    scene.store.tail = TradeTail(0, 4, epoch=1)

    await scene.look()

    assert scene.adopted == [(1, 5)]
    assert scene.stands_by()


async def test_epoch_that_we_have_begun_and_nobody_writes_is_taken_over(scene: Scene) -> None:
    scene.store.tail = TradeTail(5, 9)
    await scene.look()
    scene.outlet.begin_epoch(SYMBOL, 1, 0)
    scene.collect(0, 1)

    await scene.look(after_s=1.0)

    assert scene.debt is not None
    assert not scene.stands_by()
    assert (scene.debt.epoch, scene.debt.due_id) == (0, 10)
