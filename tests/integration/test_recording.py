"""What the exchanges said is kept, and said again: the collector makes the same of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from data_collector.facade import DataCollector
from data_collector.model.venue import Addresses, Venue
from data_collector.recording.reading import find_recordings
from data_collector.simulator import Simulator, SimulatorSettings
from data_collector.simulator.control.actions import Reset
from data_collector.simulator.playback.playback import Playback, Recorded
from data_collector.venues.discovery import find_speaker, find_venue, venue_names
from tests.conformance.worlds import symbol_at
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

VENUES = [find_venue(name) for name in venue_names()]
MARKETS = ("BTCUSDT", "ETHUSDT")
MARKET = SimulatorSettings(symbols=MARKETS, trades_per_s=20.0, history_trades=2_000, enforce_limits=False)
TRADES = 30
"""Of each symbol."""


@asynccontextmanager
async def collecting(
    addresses: Mapping[str, Addresses], store: Store, folder: Path, **settings: str
) -> AsyncIterator[dict[str, DataCollector]]:
    """A collector for each exchange; all write to one store."""
    async with AsyncExitStack() as stack:
        running = {}
        for venue in VENUES:
            running[venue.name] = collector = _kind(venue)(
                symbols=symbols_of(venue), intervals=["1m"], redis_url=store.url, var_dir=folder / venue.name,
                ws_url=addresses[venue.name].ws_url, rest_url=addresses[venue.name].rest_url, gx_audit="0", **settings,
            )  # fmt: skip
            await collector.start()
            stack.push_async_callback(collector.stop)
        yield running


def _kind(venue: Venue) -> type[DataCollector]:
    class Collector(DataCollector):
        """Of one exchange."""

    Collector.exchange = venue
    return Collector


def symbols_of(venue: Venue) -> list[str]:
    return [symbol_at(venue, market) for market in MARKETS]


def streams() -> list[str]:
    return [f"{venue.key_prefix}trades:{symbol}" for venue in VENUES for symbol in symbols_of(venue)]


def newest(store: Store, stream: str) -> int:
    """Its newest id; 0 where there is none."""
    found = store.ask("XREVRANGE", stream, "+", "-", "COUNT", 1)
    assert isinstance(found, list)
    return int(found[0][0].partition("-")[2]) if found else 0


@pytest.mark.parametrize("lines", ["1", "2"])
async def test_three_exchanges_played_again_fill_a_fresh_store_with_the_same(
    store: Store, tmp_path: Path, lines: str
) -> None:
    """With connections that broke, after which trades may have come by REST; `lines` for each stream."""
    simulator = Simulator(MARKET, [find_speaker(venue.name) for venue in VENUES])
    await simulator.start()
    recorded = tmp_path / "recording"
    try:
        async with collecting(
            simulator.addresses, store, tmp_path / "first", lines_per_stream=lines, record=str(recorded)
        ):
            await until_async(lambda: all(newest(store, each) for each in streams()), "trades of all")
            await simulator.perform(Reset())
            counts = {each: store.length(each) for each in streams()}
            await until_async(
                lambda: all(store.length(each) >= counts[each] + TRADES for each in streams()),
                "more trades of all",
            )
    finally:
        await simulator.stop()
    first = {each: store.entries(each) for each in streams()}
    newest_ids = {each: newest(store, each) for each in streams()}
    store.ask("FLUSHALL")

    found = {each.head().exchange: each for each in find_recordings(recorded)}
    playback = Playback(
        SimulatorSettings(speed=5.0, enforce_limits=False),
        [Recorded(found[venue.name], find_speaker(venue.name), venue.codec) for venue in VENUES],
    )
    await playback.start()
    try:
        async with collecting(playback.addresses, store, tmp_path / "second", lines_per_stream=lines):
            await until_async(lambda: playback.is_over, "the end of the recording")
            await until_async(
                lambda: all(newest(store, each) >= trade_id for each, trade_id in newest_ids.items()), "all trades"
            )
    finally:
        await playback.stop()
    assert {each: store.entries(each) for each in streams()} == first
    assert [each.unheard for each in playback.exchanges] == [0, 0, 0]
