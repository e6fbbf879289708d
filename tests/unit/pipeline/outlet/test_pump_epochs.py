"""What the pump does where the store is in another epoch than we are."""

from __future__ import annotations

from data_collector.model.keys import Key
from data_collector.model.sink import Behind, TradeTail
from tests.market import SYMBOL
from tests.unit.pipeline.outlet.test_pump import (
    Scene,
    written,
)


async def test_epoch_that_another_collector_has_begun_is_adopted() -> None:
    scene = await written(10, 11)
    scene.sink.tail = {SYMBOL: TradeTail(0, 3, epoch=1)}

    await scene.pump.verify_tails()

    assert scene.feed.adopted == [(1, 4)]
    assert scene.due is None


async def test_epoch_of_a_store_that_has_only_its_number_is_entered_and_filled_from_the_first_trade_on() -> None:
    """`trades:` was deleted, `collector:epoch:` was not, and the collector knows no epoch."""
    scene = Scene()
    scene.put(10, 11)
    scene.sink.lacks = [Behind(Key("trade", SYMBOL), None, epoch=1)]
    await scene.pump.drain()

    queue = scene.outlet.queues[SYMBOL]
    assert scene.feed.adopted == [(1, -1)]
    assert (queue.next_id, scene.due) == (-1, None)
    assert scene.counters.value("data_collector_store_wipes_total") == 1
    scene.outlet.begin(SYMBOL, 12)
    assert scene.debt is not None
    assert scene.debt.wiped


async def test_store_that_rolled_back_over_the_beginning_of_an_epoch_is_brought_the_end_of_the_one_before() -> None:
    scene = await written(10, 11)
    scene.outlet.queues[SYMBOL].begin_epoch(1, 0)
    scene.put(0)
    await scene.pump.drain()
    scene.sink.tail = {SYMBOL: TradeTail(10, 10)}

    await scene.pump.verify_tails()

    assert scene.debt is not None
    assert (scene.debt.epoch, scene.debt.due_id) == (0, 11)
