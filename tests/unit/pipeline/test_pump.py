"""The pump against sinks of the test's own: order, retries, draining, passing over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from data_collector.model.batch import Batch, Behind, Refusal
from data_collector.model.errors import SinkUnavailable
from data_collector.observe.counters import Counters
from data_collector.pipeline import pump as pump_module
from data_collector.pipeline.outlet import Outlet
from data_collector.pipeline.pump import Pump
from tests.market import SYMBOL, trade

REFUSAL = Refusal("{}", "[]", "2024-01-01T12:00:00.000+00:00", "{}", ("price_positive",))
DEADLINE_S = 5.0


class MemorySink:
    """Keeps batches; refuses the first `failures` writes."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.offered: list[Batch] = []
        self.stored: list[Batch] = []
        self.wrote = asyncio.Event()

    async def write(self, batch: Batch) -> list[Behind]:
        self.offered.append(batch)
        if self.failures:
            self.failures -= 1
            raise SinkUnavailable("The store is away.")
        self.stored.append(batch)
        self.wrote.set()
        return []


class Scene:
    def __init__(self, failures: int = 0) -> None:
        self.outlet = Outlet([SYMBOL])
        self.sink = MemorySink(failures)
        self.counters = Counters()
        self.pump = Pump(self.outlet, self.sink, self.counters, flush_s=0.0)

    def put(self, *ids: int) -> None:
        lane = self.outlet.lanes[SYMBOL]
        for trade_id in ids:
            lane.next_id = trade_id + 1
            self.outlet.put_trade(lane, trade(trade_id))

    def refuse(self, trade_id: int) -> None:
        self.outlet.put_refused(self.outlet.lanes[SYMBOL], trade_id, REFUSAL)

    def stored_ids(self) -> list[int]:
        return [
            run.first_id + offset for batch in self.sink.stored for run in batch.trades for offset in range(run.count)
        ]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "RETRY_FIRST_S", 0.0)
    monkeypatch.setattr(pump_module, "RETRY_CAP_S", 0.0)
    monkeypatch.setattr(pump_module, "PASS_OVER_S", 0.0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)


async def run_until_written(scene: Scene) -> None:
    task = asyncio.create_task(scene.pump.run())
    try:
        async with asyncio.timeout(DEADLINE_S):
            await scene.sink.wrote.wait()
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_what_waits_is_written_and_the_flush_is_timed() -> None:
    scene = Scene()
    scene.put(10, 11)

    await run_until_written(scene)

    assert scene.stored_ids() == [10, 11]
    (histogram,) = scene.counters.histograms()
    assert histogram.name == "data_collector_store_flush_seconds"


async def test_batch_that_the_sink_did_not_take_is_written_again_the_same() -> None:
    scene = Scene(failures=3)
    scene.put(10)

    await run_until_written(scene)

    assert len(scene.sink.offered) == 4
    assert all(batch is scene.sink.offered[0] for batch in scene.sink.offered)
    assert scene.stored_ids() == [10]


async def test_reason_is_shown_while_the_sink_is_down_and_gone_afterwards() -> None:
    scene = Scene(failures=10**9)
    scene.put(10)
    task = asyncio.create_task(scene.pump.run())
    await until(lambda: scene.pump.down_reason == "The store is away.")

    scene.sink.failures = 0
    await until(lambda: scene.pump.down_reason is None)
    task.cancel()
    await asyncio.wait((task,))

    assert scene.stored_ids() == [10]


async def test_what_comes_while_the_sink_is_down_follows_in_order() -> None:
    scene = Scene(failures=2)
    scene.put(10)
    task = asyncio.create_task(scene.pump.run())
    await until(lambda: bool(scene.sink.offered))
    scene.put(11, 12)
    await until(lambda: len(scene.stored_ids()) == 3)
    task.cancel()
    await asyncio.wait((task,))

    assert scene.stored_ids() == [10, 11, 12]


async def test_drain_writes_what_is_left() -> None:
    scene = Scene()
    scene.put(10, 11)

    await scene.pump.drain()

    assert scene.stored_ids() == [10, 11]
    assert not scene.outlet.waiting.is_set()


async def test_drain_writes_the_batch_that_a_cancelled_run_left_first() -> None:
    scene = Scene(failures=10**9)
    scene.put(10)
    task = asyncio.create_task(scene.pump.run())
    await until(lambda: bool(scene.sink.offered))
    task.cancel()
    await asyncio.wait((task,))
    scene.sink.failures = 0
    scene.put(11)

    await scene.pump.drain()

    assert scene.stored_ids() == [10, 11]


async def test_drain_of_nothing_returns() -> None:
    scene = Scene()

    await scene.pump.drain()

    assert scene.sink.offered == []


async def test_refused_trade_that_nothing_follows_is_passed_over() -> None:
    scene = Scene()
    scene.put(10)
    scene.refuse(11)

    await run_until_written(scene)

    runs = [run for batch in scene.sink.stored for run in batch.trades]
    assert [(run.first_id, run.count, sorted(run.refused)) for run in runs] == [(10, 1, []), (12, 0, [11])]


async def test_drain_keeps_refused_trades_that_wait_for_a_follower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "PASS_OVER_S", 60.0)
    scene = Scene()
    scene.put(10)
    scene.refuse(11)

    await scene.pump.drain()

    assert [sorted(run.refused) for batch in scene.sink.stored for run in batch.trades] == [[], [11]]
