"""The pump against sinks of the test's own: order, retries, draining, what the store lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from data_collector.model.errors import SinkUnavailable
from data_collector.model.keys import Key
from data_collector.model.sink import Batch, Behind, TradeTail
from data_collector.observe.counters import Counters
from data_collector.pipeline.outlet import pump as pump_module
from data_collector.pipeline.outlet.debts import Debt
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.outlet.pump import Pump
from tests.integration.waiting import until_async
from tests.market import NOON_MS, SYMBOL, trade
from tests.retaining import in_memory

DEADLINE_S = 60.0


class MemorySink:
    """Keeps batches; refuses the first `failures` writes."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.offered: list[Batch] = []
        self.stored: list[Batch] = []
        self.wrote = asyncio.Event()
        self.lacks: list[Behind] = []
        """What the next write answers."""
        self.tail: dict[str, TradeTail | None] = {}
        self.away = False

    async def tails(self, symbols: Sequence[str]) -> dict[str, TradeTail | None]:
        if self.away:
            raise SinkUnavailable("The store is away.")
        return {symbol: tail for symbol, tail in self.tail.items() if symbol in symbols}

    async def write(self, batch: Batch) -> list[Behind]:
        self.offered.append(batch)
        if self.failures:
            self.failures -= 1
            raise SinkUnavailable("The store is away.")
        self.stored.append(batch)
        self.wrote.set()
        lacks, self.lacks = self.lacks, []
        return lacks


class AdoptingFeed:
    """Notes the epochs that somebody else has begun."""

    def __init__(self) -> None:
        self.adopted: list[tuple[int, int]] = []

    def adopt_epoch(self, symbol: str, epoch: int, next_id: int) -> None:
        self.adopted.append((epoch, next_id))


class Scene:
    def __init__(self, failures: int = 0) -> None:
        self.outlet = Outlet([SYMBOL], in_memory(SYMBOL))
        self.sink = MemorySink(failures)
        self.counters = Counters()
        self.gone_back: list[Behind] = []
        self.feed = AdoptingFeed()
        self.pump = Pump(self.outlet, self.sink, self.feed, self.counters, flush_s=0.0, go_back=self.gone_back.append)

    def put(self, *ids: int) -> None:
        for trade_id in ids:
            self.outlet.put_trade(trade(trade_id))

    @property
    def debt(self) -> Debt | None:
        return self.outlet.debts.get(SYMBOL)

    @property
    def due(self) -> int | None:
        """What the store is to get next, while it is behind."""
        return None if self.debt is None else self.debt.due_id

    def stored_ids(self) -> list[int]:
        return [
            run.first_id + offset for batch in self.sink.stored for run in batch.trades for offset in range(run.count)
        ]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "RETRY_FIRST_S", 0.0)
    monkeypatch.setattr(pump_module, "RETRY_CAP_S", 0.0)


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
    assert "data_collector_store_flush_seconds" in {each.name for each in scene.counters.histograms()}


async def test_way_of_one_trade_of_a_batch_is_measured() -> None:
    scene = Scene()
    arrived_ms = NOON_MS + 250
    for trade_id in (10, 11):
        record = trade(trade_id, time_ms=NOON_MS, received_ns=arrived_ms * 1_000_000)
        scene.outlet.put_trade(record)

    await run_until_written(scene)

    (way,) = [each for each in scene.counters.histograms() if each.name == "data_collector_traded_to_received_seconds"]
    assert sum(way.counts) == 1
    assert way.total == pytest.approx(0.25)


async def test_trade_of_the_repair_says_nothing_of_the_way() -> None:
    scene = Scene()
    scene.outlet.put_trade(trade(10, received_ns=0))

    await run_until_written(scene)

    assert "data_collector_traded_to_received_seconds" not in {each.name for each in scene.counters.histograms()}


async def test_what_the_sink_does_not_take_is_as_old_as_its_oldest_trade() -> None:
    scene = Scene(failures=1_000_000)
    scene.outlet.put_trade(trade(10, received_ns=7))
    scene.outlet.put_trade(trade(11, received_ns=9))
    assert (scene.outlet.oldest_ns(), scene.pump.oldest_ns) == (7, 0)

    task = asyncio.create_task(scene.pump.run())
    await until_async(lambda: scene.sink.offered, "a batch")
    scene.outlet.put_trade(trade(12, received_ns=20))

    assert (scene.outlet.oldest_ns(), scene.pump.oldest_ns) == (20, 7)
    task.cancel()
    await asyncio.wait((task,))


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


async def test_bug_of_a_question_is_raised_where_it_was_asked_and_the_pump_goes_on() -> None:
    scene = Scene()

    async def broken() -> None:
        raise ZeroDivisionError

    asked = asyncio.create_task(scene.pump.ask(broken))
    await asyncio.sleep(0)
    scene.put(10)
    await run_until_written(scene)

    with pytest.raises(ZeroDivisionError):
        await asked
    assert scene.stored_ids() == [10]


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


@pytest.mark.parametrize(
    ("due", "counted"),
    [(7, "data_collector_store_rollbacks_total"), (None, "data_collector_store_wipes_total")],
)
async def test_store_that_lacks_something_makes_a_debt(due: int | None, counted: str) -> None:
    scene = Scene()
    scene.put(10, 11)
    scene.sink.lacks = [Behind(Key("trade", SYMBOL), due)]

    await run_until_written(scene)
    await until(lambda: scene.debt is not None)

    assert scene.due == (12 if due is None else due)
    assert scene.debt is not None
    assert scene.debt.wiped == (due is None)
    assert scene.counters.value(counted) == 1


async def written(*ids: int) -> Scene:
    scene = Scene()
    scene.put(*ids)
    await scene.pump.drain()
    return scene


async def test_store_that_lost_the_end_of_a_quiet_symbol_is_found_out() -> None:
    scene = await written(10, 11)
    scene.sink.tail = {SYMBOL: TradeTail(10, 10)}

    await scene.pump.verify_tails()

    assert scene.due == 11


async def test_store_that_was_wiped_is_found_out_without_a_trade() -> None:
    scene = await written(10, 11)

    await scene.pump.verify_tails()

    assert scene.debt is not None
    assert scene.debt.wiped


@pytest.mark.parametrize("tail", [TradeTail(10, 11), TradeTail(10, 15), None])
async def test_store_that_has_everything_or_cannot_tell_is_left_alone(tail: TradeTail | None) -> None:
    scene = await written(10, 11)
    scene.sink.tail = {SYMBOL: tail}

    await scene.pump.verify_tails()

    assert scene.due is None


async def test_symbol_of_which_something_waits_is_not_asked_about() -> None:
    scene = await written(10, 11)
    scene.put(12)

    await scene.pump.verify_tails()

    assert scene.due is None


async def test_store_that_does_not_tell_is_asked_another_time() -> None:
    scene = await written(10, 11)
    scene.sink.away = True

    await scene.pump.verify_tails()

    assert scene.due is None


async def test_store_is_asked_between_batches_also_when_nothing_comes() -> None:
    scene = await written(10, 11)
    task = asyncio.create_task(scene.pump.run())
    await until(lambda: scene.debt is not None)
    task.cancel()
    await asyncio.wait((task,))

    assert scene.stored_ids() == [10, 11]


async def test_symbol_whose_batch_the_store_has_not_taken_is_not_asked_about() -> None:
    scene = Scene(failures=10**9)
    scene.put(10)
    task = asyncio.create_task(scene.pump.run())
    await until(lambda: bool(scene.sink.offered))
    task.cancel()
    await asyncio.wait((task,))

    await scene.pump.verify_tails()

    assert scene.debt is None


async def test_klines_that_the_store_lacks_are_told_to_their_intake() -> None:
    scene = Scene()
    scene.sink.lacks = [Behind(Key("kline", SYMBOL, "1m"), 5)]
    scene.put(10)

    await run_until_written(scene)

    assert scene.gone_back == [Behind(Key("kline", SYMBOL, "1m"), 5)]
    assert scene.debt is None


async def test_question_is_asked_between_two_batches_and_its_failure_reaches_who_asked() -> None:
    sink = MemorySink()
    outlet = Outlet([SYMBOL], in_memory(SYMBOL))
    pump = Pump(outlet, sink, AdoptingFeed(), Counters(), flush_s=0.001, go_back=lambda _: None)
    answers: list[str] = []

    async def question() -> None:
        answers.append("asked")

    async def failing() -> None:
        raise SinkUnavailable("The store is away.")

    running = asyncio.create_task(pump.run())
    try:
        async with asyncio.timeout(DEADLINE_S):
            await pump.ask(question)
            with pytest.raises(SinkUnavailable):
                await pump.ask(failing)
            await pump.ask(question)
    finally:
        running.cancel()

    assert answers == ["asked", "asked"]
