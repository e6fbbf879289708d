"""What a collector holds of an epoch that another one has closed in the store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from data_collector.model.records import Trade
from data_collector.model.sink import Batch, EpochEnd
from data_collector.model.store_url import StoreAddress
from data_collector.pipeline.outlet.pump import Pump, Question
from data_collector.pipeline.repair.closed_epochs import ClosedEpochs
from data_collector.pipeline.repair.resuming import resume
from data_collector.sinks.redis.sink import RedisSink
from tests.contract.stores import Reader, opened, redis_sink, run_of
from tests.contract.test_functions_epochs import ids_and_epochs, new_run
from tests.market import NOON_MS, SYMBOL, trade
from tests.unit.pipeline.intake_scene import Scene

LATER_MS = NOON_MS + 60_000
LATE = f"late:{SYMBOL}"


class SecondCollector(Scene):
    """Has let trades through up to 12, of which the store has 10; 14 is held behind a hole."""

    def __init__(self, sink: RedisSink) -> None:
        super().__init__()
        self.sink = sink
        lives = self.intake.trades.lives
        self.pump = Pump(self.outlet, sink, lives, self.counters, flush_s=0.0, go_back=lambda _: None)
        self.closed = ClosedEpochs(self.outlet, self.kept, sink, self._ask, self.counters)

    async def write(self) -> None:
        await self.pump.drain()

    async def look(self) -> None:
        for _ in range(3):
            await self.closed.look()
        await self.pump.drain()

    async def _ask(self, question: Question) -> None:
        await question()


@pytest.fixture
async def second(store_address: StoreAddress, sink: RedisSink) -> AsyncIterator[SecondCollector]:
    """Beside `sink`, which another collector writes by."""
    async with opened(redis_sink(store_address, writer="writer2")) as other:
        scene = SecondCollector(other)
        scene.begin(10)
        await scene.write()
        scene.send(trade(11), trade(12), trade(14))
        yield scene


def new(trade_id: int) -> Trade:
    return trade(trade_id, time_ms=LATER_MS, event_ms=LATER_MS)


def late(reader: Reader) -> list[tuple[str | None, str, str]]:
    """Epoch, reason and id."""
    return [
        (fields.get("epoch"), fields["why"], fields["data"].partition('"trade_id":')[2].partition(",")[0])
        for _, fields in reader.entries(LATE)
    ]


async def begin(sink: RedisSink, first_id: int, *, after: int) -> None:
    """The other collector begins epoch 1."""
    run = new_run(first_id, first_id + 2, begins_after=after, time_ms=LATER_MS)
    assert await sink.write(Batch(trades=[run])) == []


async def test_trades_of_a_closed_epoch_that_waited_go_to_late_and_are_told(
    second: SecondCollector, sink: RedisSink, reader: Reader
) -> None:
    await begin(sink, 0, after=10)

    await second.write()
    await second.look()

    assert late(reader) == [(None, "epoch_over", "11"), (None, "epoch_over", "12"), (None, "epoch_over", "14")]
    assert second.closed.came_late[SYMBOL][:2] == (0, 3)
    assert second.counters.value("data_collector_records_late_total", channel="trade") == 3
    await second.look()
    assert len(late(reader)) == 3
    second.send(new(3))
    await second.write()
    assert ids_and_epochs(reader) == [(10, None), (0, "1"), (1, "1"), (2, "1"), (3, "1")]


async def test_what_the_other_collector_has_written_of_it_does_not_come_again(
    second: SecondCollector, sink: RedisSink, reader: Reader
) -> None:
    await sink.write(Batch(trades=[run_of([trade(11)])]))
    await begin(sink, 0, after=11)

    await second.write()
    await second.look()

    assert [number for _, _, number in late(reader)] == ["12", "14"]


async def test_what_is_held_and_happened_in_the_new_epoch_is_stored_there(
    second: SecondCollector, sink: RedisSink, reader: Reader
) -> None:
    """Its ids ran past ours while our line was away."""
    second.send(new(17))
    await begin(sink, 14, after=10)

    await second.write()
    await second.look()
    assert [number for _, _, number in late(reader)] == ["11", "12", "14"]

    found = await second.kept.read(second.queue.place, 17, trades_max=10)
    assert [(run.first_id, run.count, run.epoch) for run in found] == [(17, 1, 1)]


async def test_two_collectors_that_begin_the_same_epoch_lose_nothing_of_the_one_before(
    second: SecondCollector, sink: RedisSink, reader: Reader
) -> None:
    """Ours has begun it too, and the end of the former one was still to be written."""
    second.outlet.fall_behind(SYMBOL, 11)
    second.sequence.new_life.recognise(new(0), 5, 13)
    second.intake.trades.lives.begin_epoch(SYMBOL)
    second.send(new(5))
    await begin(sink, 0, after=10)
    await second.pump.verify_tails()
    second.outlet.fall_behind(SYMBOL, 3, 1)

    await second.look()

    assert [number for _, _, number in late(reader)] == ["11", "12", "14"]


async def test_collector_that_starts_after_the_epoch_was_closed_puts_aside_what_its_spool_has(
    second: SecondCollector, sink: RedisSink, reader: Reader
) -> None:
    await begin(sink, 0, after=10)
    second.intake.trades.spill(second.sequence)
    second.outlet.end_runs()
    again = SecondCollector(second.sink)
    again.kept.append(await second.kept.read(SYMBOL, 11, trades_max=2))
    again.kept.append(await second.kept.read(SYMBOL, 14, trades_max=1))

    resume([again.sequence], again.outlet, again.kept, await sink.tails([SYMBOL]))
    await again.look()
    assert [number for _, _, number in late(reader)] == ["11", "12", "14"]

    third = SecondCollector(second.sink)
    third.kept.append(await second.kept.read(SYMBOL, 11, trades_max=2))
    resume([third.sequence], third.outlet, third.kept, await sink.tails([SYMBOL]))
    await third.look()
    assert len(late(reader)) == 3


async def test_end_of_an_epoch_is_found_among_many(sink: RedisSink, reader: Reader) -> None:
    for epoch, after in ((0, -1), (1, 29), (2, 29), (4, 29)):
        run = new_run(0, 29, epoch=epoch, begins_after=after, time_ms=NOON_MS + epoch * 60_000)
        assert await sink.write(Batch(trades=[run])) == []

    found = [await sink.end_of_epoch(SYMBOL, epoch) for epoch in range(5)]

    assert found == [
        EpochEnd(29, 1, NOON_MS + 60_000, frozenset()),
        EpochEnd(29, 2, NOON_MS + 120_000, frozenset()),
        EpochEnd(29, 4, NOON_MS + 240_000, frozenset()),
        EpochEnd(None, 4, NOON_MS + 240_000, frozenset()),
        EpochEnd(29, 4, None, frozenset()),
    ]
    assert await sink.end_of_epoch("ETHUSDT", 0) == EpochEnd(None, 0, None, frozenset())
