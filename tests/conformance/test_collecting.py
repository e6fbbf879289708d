"""From the market to the store: a venue's collector stores what the market says, whatever happens on the way."""

from __future__ import annotations

from pathlib import Path

from data_collector.model.venue import Venue
from data_collector.simulator import EqualTimes, FrameFault, RestFault
from data_collector.simulator.control.actions import Close, SetStatus
from tests.conformance.worlds import (
    MINUTE_MS,
    assert_klines_exact,
    assert_trades_exact,
    collecting,
    klines_settled,
    market_of,
    stream,
    symbols_of,
)
from tests.integration.store_reader import Store


async def test_all_that_closes_with_a_month_is_the_markets(store: Store, folder: Path, venue: Venue) -> None:
    """Every interval, over the end of a month, which is the end of a week, of a day and of all hours."""
    intervals = [interval for interval in venue.intervals if interval != "3d"]
    async with collecting(venue, store, folder, market_of(venue), intervals=intervals) as scene:
        await scene.subscribed()
        for _ in range(5):
            await scene.trade(MINUTE_MS)
        await klines_settled(scene, venue, intervals)

        assert_trades_exact(scene)
        assert_klines_exact(scene, venue, intervals)
        scene.assert_counts_add_up()
        assert scene.status.validation_errors == 0


async def test_disturbed_streams_are_stored_exactly(store: Store, folder: Path, venue: Venue) -> None:
    """Frames twice, out of order, left out and cut off; quiet minutes; REST away for a while."""
    first = symbols_of(venue)[0]
    async with collecting(venue, store, folder, market_of(venue, early_every=11)) as scene:
        await scene.subscribed()
        await scene.trade(MINUTE_MS)
        faults = scene.simulator.faults
        trades = stream(venue, "trade", first)
        faults.add(FrameFault(kind="duplicate", stream=trades, rate=0.2))
        faults.add(FrameFault(kind="reorder", stream=trades, rate=0.2, span=3))
        faults.add(FrameFault(kind="drop", stream=trades, rate=0.05))
        faults.add(EqualTimes(rate=0.9))
        await scene.trade(2 * MINUTE_MS)
        faults.clear()
        faults.add(RestFault(status=500))
        faults.add(FrameFault(kind="drop", stream=trades, count=5))
        scene.simulator.advance(MINUTE_MS)
        faults.clear()
        await scene.settled()
        attempts = scene.attempts()
        await scene.simulator.perform(Close(code=1001))
        scene.simulator.advance(20_000)
        await scene.subscribed(after_attempts=attempts)
        await scene.trade()
        await scene.simulator.perform(SetStatus(symbol=first, status="BREAK"))
        scene.simulator.advance(3 * MINUTE_MS)
        await scene.simulator.perform(SetStatus(symbol=first, status="TRADING"))
        await scene.trade(MINUTE_MS)
        await klines_settled(scene, venue)

        assert_trades_exact(scene)
        assert_klines_exact(scene, venue)
        scene.assert_counts_add_up()
