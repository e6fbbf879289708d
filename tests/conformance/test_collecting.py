"""From the market to the store: a venue's collector stores what the market says, whatever happens on the way."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from data_collector.model.records import Quote
from data_collector.model.venue import Venue
from data_collector.simulator import EqualTimes, FrameFault, RestFault
from data_collector.simulator.control.actions import Close
from data_collector.venues.discovery import find_speaker
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
from tests.integration.scene import Scene
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

pytestmark = pytest.mark.usefixtures("hurried")


async def test_all_that_closes_with_a_month_is_the_markets(store: Store, folder: Path, venue: Venue) -> None:
    """Over the end of a month, which is the end of a day and of all hours; weeks end on a day of the exchange's own."""
    intervals = [one for one in venue.intervals if one not in {"1s", "3d", "1w"}]
    async with collecting(venue, store, folder, market_of(venue), intervals=intervals) as scene:
        await scene.subscribed()
        # Minutes that pass before anything has closed are past where candles begin.
        await scene.klines_closed()
        for _ in range(4):
            await scene.trade(MINUTE_MS)
        await klines_settled(scene, venue, intervals)

        assert_trades_exact(scene)
        assert_klines_exact(scene, venue, intervals)
        scene.assert_counts_add_up()
        assert scene.status.validation_errors == 0
        assert all(key.startswith(venue.key_prefix) for key in store.keys("*"))


async def test_disturbed_streams_are_stored_exactly(store: Store, folder: Path, venue: Venue) -> None:
    """Frames twice, out of order, left out and cut off; minutes without trades; REST away for a while."""
    first = symbols_of(venue)[0]
    trades = stream(venue, "trade", first)
    async with collecting(venue, store, folder, market_of(venue, trades_per_s=0.03)) as scene:
        faults = scene.simulator.faults
        await scene.subscribed()
        await minute(scene, first, 100)
        faults.add(FrameFault(kind="duplicate", stream=trades, rate=0.2))
        faults.add(FrameFault(kind="reorder", stream=trades, rate=0.2, span=3))
        faults.add(FrameFault(kind="drop", stream=trades, rate=0.05))
        faults.add(EqualTimes(rate=0.9))
        await minute(scene, first, 300)
        faults.clear()
        await settled(scene)
        faults.add(RestFault(status=500))
        faults.add(FrameFault(kind="drop", stream=trades, count=5))
        await minute(scene, first, 30)
        faults.clear()
        await settled(scene)
        attempts = scene.attempts()
        await scene.simulator.perform(Close(code=1001))
        await minute(scene, first, 20)
        await scene.subscribed(after_attempts=attempts)
        await settled(scene)
        scene.simulator.advance(5 * MINUTE_MS)
        await settled(scene)
        await klines_settled(scene, venue)

        assert_trades_exact(scene)
        assert_klines_exact(scene, venue)
        scene.assert_counts_add_up()


async def minute(scene: Scene, symbol: str, trades: int) -> None:
    """With so many trades."""
    for _ in range(4):
        await scene.simulator.burst(symbol, trades // 4)
        scene.simulator.advance(MINUTE_MS // 4)


async def settled(scene: Scene) -> None:
    """After one more trade of each, by which any hole is seen."""
    for symbol in scene.symbols:
        await scene.simulator.burst(symbol, 1)
    await scene.settled()


TOLD = ("bid", "bid_quantity", "ask", "ask_quantity")

MAYBE_UNTOLD = ("prev_close_price", "last_qty", "open_price", "quote_volume", "open_time", "first_id", "last_id")


def _is_quoted(store: Store, symbol: str, best: Quote) -> bool:
    told = store.hash(f"quote:{symbol}")
    return bool(told) and all(Decimal(told[name]) == Decimal(getattr(best, name)) for name in TOLD)


async def test_newest_of_ticker_and_quote_are_the_markets(store: Store, folder: Path, venue: Venue) -> None:
    """What the exchange does not tell is not there, and never zero; another connection tells quotes as well."""
    symbol = symbols_of(venue)[0]
    async with collecting(venue, store, folder, market_of(venue), channels=",".join(venue.channels)) as scene:
        await scene.subscribed()
        for _ in range(2):
            attempts = scene.attempts()
            await scene.trade(20_000)
            if "quote" in venue.channels:
                best = scene.simulator.market.listed(find_speaker(venue.name).market_symbol(symbol)).book().quote()
                await until_async(partial(_is_quoted, store, symbol, best), f"the quote {best}")
            await scene.simulator.perform(Close(code=1001))
            await scene.subscribed(after_attempts=attempts)

        latest = store.hash(f"latest:{symbol}")
        assert Decimal(latest["price"]) == Decimal(scene.simulator.tape(symbol)[-1].price)
        assert all(Decimal(latest[name]) != 0 for name in MAYBE_UNTOLD if name in latest)
        assert scene.status.validation_errors == 0
