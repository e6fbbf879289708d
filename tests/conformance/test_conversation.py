"""What every venue says to its exchange, heard by the folder's own speaker: all streams come, whatever is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from msgspec import structs

from data_collector.model.channels import key_of
from data_collector.model.keys import Key
from data_collector.model.records import Record
from data_collector.model.subscriptions import Subscriptions
from data_collector.model.venue import Venue
from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.governor import Governor
from data_collector.pipeline.connections.line import Line, LineContext
from data_collector.pipeline.connections.transport import Address, Resolver
from data_collector.pipeline.connections.websocket import Received
from data_collector.simulator import RefuseStreams, Simulator, SimulatorSettings
from data_collector.venues.discovery import find_speaker, find_venue, venue_names
from tests.integration.waiting import until_async

KEEPALIVE_S = 0.25
SILENCE_S = 1.0
"""What takes a minute there takes a second here."""

VENUES = [pytest.param(find_venue(name), id=name) for name in venue_names()]


class Talk:
    """A line of a venue, and the exchange that it talks to."""

    def __init__(self, venue: Venue, simulator: Simulator) -> None:
        self.simulator = simulator
        self.counters = Counters()
        self.heard: dict[Key, int] = {}
        """Records of each stream."""
        self.keys = list(_subscriptions(venue).every_key())
        limits = venue.limits
        if limits.keepalive_s is not None:
            limits = structs.replace(limits, keepalive_s=KEEPALIVE_S)
        context = LineContext(
            Address(simulator.ws_url + venue.stream_path), venue.codec, limits, self._receive, lambda _: -1,
            Governor(100, 1.0), Resolver(self.counters).connect, self.counters,
        )  # fmt: skip
        self.line = Line("1", self.keys, context)

    def _receive(self, received: Received) -> None:
        for record in received if isinstance(received, list) else [received]:
            if isinstance(record, Record):
                self.heard[key_of(record)] = self.heard.get(key_of(record), 0) + 1

    async def speaks(self, symbol: str) -> None:
        """Every stream of the symbol brings something from now on."""
        self.heard.clear()
        wanted = [key for key in self.keys if key.symbol == symbol]

        def all_heard() -> bool:
            self.simulator.advance(500)
            return all(self.heard.get(key) for key in wanted)

        await until_async(all_heard, f"a word of each of {wanted}")


def _subscriptions(venue: Venue) -> Subscriptions:
    channels = [channel for channel in venue.channels if channel != "kline" or venue.klines == "streamed"]
    return Subscriptions(venue.default_symbols[:2], venue.intervals[:2], tuple(channels))


@asynccontextmanager
async def talking(venue: Venue, *faults: RefuseStreams) -> AsyncIterator[Talk]:
    simulator = Simulator(SimulatorSettings(driven=True, silence_s=SILENCE_S), [find_speaker(venue.name)])
    for fault in faults:
        simulator.faults.add(fault)
    await simulator.start()
    talk = Talk(venue, simulator)
    running = asyncio.create_task(talk.line.run())
    try:
        await asyncio.wait((running, asyncio.create_task(talk.line.complete.wait())), return_when="FIRST_COMPLETED")
        assert not running.done(), running.exception()
        yield talk
    finally:
        running.cancel()
        await asyncio.wait((running,))
        await simulator.stop()


def refusals(venue: Venue, symbol: str) -> Iterator[RefuseStreams]:
    for key in _subscriptions(venue).every_key():
        if key.symbol == symbol:
            yield RefuseStreams(stream=venue.codec.stream_name(key))


@pytest.mark.parametrize("venue", VENUES)
async def test_every_stream_is_acknowledged_and_speaks(venue: Venue) -> None:
    async with talking(venue) as talk:
        assert not talk.line.refused
        for symbol in venue.default_symbols[:2]:
            await talk.speaks(symbol)


@pytest.mark.parametrize("venue", VENUES)
async def test_refused_symbol_is_known_and_the_others_speak(venue: Venue) -> None:
    bad, good = venue.default_symbols[:2]
    async with talking(venue, *refusals(venue, bad)) as talk:
        await talk.speaks(good)

        assert {key.symbol for key in talk.line.refused} == {bad}
        assert len(talk.line.refused) == sum(key.symbol == bad for key in talk.keys)
        assert all(each.words for each in talk.line.refused.values())
        assert talk.line.status.reconnects == 0


@pytest.mark.parametrize("venue", VENUES)
async def test_connection_on_which_little_is_said_lives_on(venue: Venue) -> None:
    async with talking(venue) as talk:
        [connection] = talk.simulator.connections()
        loop, began_s = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        await until_async(lambda: loop.time() - began_s > 3 * SILENCE_S, "a long silence")

        assert talk.simulator.connections() == [connection]
        assert talk.line.status.reconnects == 0


@pytest.mark.parametrize("venue", VENUES)
async def test_streams_that_are_given_up_are_acknowledged_too(venue: Venue) -> None:
    given_up, kept = venue.default_symbols[:2]
    async with talking(venue) as talk:
        await talk.line.carry([key for key in talk.keys if key.symbol == kept])
        await talk.speaks(kept)

        assert {key.symbol for key in talk.heard} == {kept}
        assert talk.line.complete.is_set()
        await talk.line.carry(talk.keys)
        await talk.speaks(given_up)
        assert talk.line.status.reconnects == 0
