"""One exchange's side of the market: its prices, its delay, its two ports."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from data_collector.model.venue import Addresses
from data_collector.simulator.control.faults import Faults
from data_collector.simulator.control.operation import Operation
from data_collector.simulator.doors import Doors
from data_collector.simulator.market.market import Market
from data_collector.simulator.rest.rest import RestSide
from data_collector.simulator.settings import SimulatorSettings
from data_collector.simulator.speaker import Speaker
from data_collector.simulator.streams.feed import Feed
from data_collector.simulator.streams.streams import StreamSide


class Side:
    """Streams and REST, as one speaker speaks them."""

    def __init__(
        self,
        speaker: Speaker,
        settings: SimulatorSettings,
        start_ms: int,
        delay_ms: int,
        faults: Faults,
        numbers: Iterator[int],
        refresh: Callable[[], None],
    ) -> None:
        self.speaker = speaker
        self.market = market = Market(settings, start_ms, speaker.name)
        self.delay_ms = delay_ms
        """How much later than it happens everything is told here."""
        self.spoken = speaker.open_streams(market, settings)
        self.feed = Feed(market, self.spoken, faults)
        self.streams = StreamSide(self.spoken, settings, faults, self.feed.hub, numbers)
        self.rest = RestSide(speaker.open_rest(market, settings), faults, refresh)
        self._doors = Doors(settings, self.streams, self.feed.hub)

    @property
    def addresses(self) -> Addresses:
        """Base URLs, once it has started."""
        return self._doors.addresses

    def move_on(self, now_ms: int) -> None:
        """Let time pass here too, and send what is due."""
        self.market.now_ms = max(self.market.now_ms, now_ms - self.delay_ms)
        self.feed.send_due()

    async def start(self, operation: Operation, ws_port: int, rest_port: int) -> None:
        """Listen on both ports. Raises `OSError` when one is taken."""
        await self._doors.open(operation.routes(), self.rest.answer, ws_port, rest_port)

    async def stop(self) -> None:
        """Close both ports, when the connections, which are closing, are gone."""
        await self._doors.close_streams()
        self.rest.stop()
        await self._doors.close_rest()
