"""One exchange of a recording: its ports, its clients, and what it says to them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

from aiohttp import web
from msgspec import structs

from data_collector.model.venue import Addresses, Codec
from data_collector.recording.lines import Head, Line, Opened, content_of
from data_collector.recording.reading import Contents, ExchangeRecording
from data_collector.simulator.control.faults import Faults
from data_collector.simulator.doors import Doors
from data_collector.simulator.listing import listing_of
from data_collector.simulator.market.market import Market
from data_collector.simulator.playback.answers import RecordedAnswers
from data_collector.simulator.playback.connections import Client, Then
from data_collector.simulator.settings import SimulatorSettings
from data_collector.simulator.speaker import Speaker
from data_collector.simulator.streams.connection import Hub
from data_collector.simulator.streams.streams import StreamSide

LOOK_S = 0.01
"""How often is looked whether a client has come."""

SHARED_AFTER_S = 2.0
"""A connection that was made beside another one (a roll-over) has no client of its own now."""

UNHEARD_AFTER_S = 60.0
"""A client that was cut off comes again sooner. Before the first one of all came, it is waited for without end."""

GOING_AWAY = 1001


class PlayedExchange:
    """Speaks when it is told to."""

    def __init__(
        self, recording: ExchangeRecording, contents: Contents, speaker: Speaker, codec: Codec,
        settings: SimulatorSettings, numbers: Iterator[int], heard: set[str],
    ) -> None:  # fmt: skip
        """`heard` is shared: the exchanges that a client has listened to."""
        self.recording = recording
        self.contents = contents
        self.name = speaker.name
        self.position_ns = contents.first_ns
        self.frames_sent = 0
        self.unheard = 0
        """Frames that nobody was there for."""
        self._codec = codec
        self._spoken = speaker.open_streams(_market(contents, speaker, settings), settings)
        self._hub = Hub(lambda stream: None)
        self._answers = RecordedAnswers(contents.answers)
        streams = StreamSide(self._spoken, settings, Faults(settings.seed), self._hub, numbers, connection=Client)
        self._doors = Doors(settings, streams, self._hub)
        self._run = contents.head.run
        self._then: dict[int, Then] = {}
        self._heard = heard
        self.is_waiting = False
        """For a client."""

    @property
    def addresses(self) -> Addresses:
        """Base URLs, once it has started."""
        return self._doors.addresses

    def state(self) -> dict[str, object]:
        """How far it is."""
        return {
            "frames": self.contents.frames, "frames_sent": self.frames_sent, "unheard": self.unheard,
            "answers_given": self._answers.given, "answers_unknown": dict(self._answers.unknown),
            "is_waiting": self.is_waiting, "missing_lines": self.contents.left_out,
        }  # fmt: skip

    def lines(self) -> Iterator[tuple[PlayedExchange, Line]]:
        """All that is in the recording, with who is to say it."""
        return ((self, line) for line in self.recording.lines())

    async def start(self, routes: list[web.RouteDef], ws_port: int, rest_port: int) -> None:
        """Listen. Raises `OSError` when a port is taken."""
        await self._doors.open(routes, self._answer, ws_port, rest_port)

    async def stop(self) -> None:
        """Close every connection and both ports."""
        for connection in tuple(self._hub.connections.values()):
            connection.close(GOING_AWAY, "")
            connection.hang_up()
        await self._doors.close_streams()
        await self._doors.close_rest()

    async def say(self, line: Line) -> None:
        """Do what the exchange did then; waits for who is to hear it."""
        self.position_ns = max(self.position_ns, line.ns)
        match line.kind:
            case "head":
                head = content_of(line, Head)
                if head is not None and head.run != self._run:
                    # The collector began anew: all its connections are gone.
                    self._run = head.run
                    self._then.clear()
            case "open":
                if (opened := content_of(line, Opened)) is not None:
                    self._spoken.greet(opened.path.encode(), self._connection(line.number))
            case "sent":
                self._connection(line.number).hear(line.content)
            case "in":
                then = self._connection(line.number)
                if then.is_told(line.content, line.ns):
                    await self._send(then, line.content)
            case "end":
                self._end(line)

    def _connection(self, number: int) -> Then:
        if number not in self._then:
            self._then[number] = Then(self._spoken, self._codec)
        return self._then[number]

    async def _send(self, then: Then, frame: bytes) -> None:
        client = then.client
        if client is None or not (client.number in self._hub.connections and then.is_served_by(client)):
            client = then.client = await self._client_of(then)
        if client is None:
            self.unheard += 1
            return
        client.frames_sent += 1
        client.send_text(frame)
        self.frames_sent += 1
        if not client.writable.is_set():
            await client.until_writable()

    async def _client_of(self, then: Then) -> Client | None:
        waited_s = 0.0
        then.client = None
        try:
            while True:
                taken = [each.client for each in self._then.values() if each.client is not None]
                shares = waited_s >= SHARED_AFTER_S
                client = then.choose(self._hub.connections.values(), taken, shares=shares)
                if client is not None:
                    self._heard.add(self.name)
                    return client
                if then.is_unheard or (self._heard and waited_s >= UNHEARD_AFTER_S):
                    then.is_unheard = True
                    return None
                self.is_waiting = True
                await asyncio.sleep(LOOK_S)
                waited_s += LOOK_S
        finally:
            self.is_waiting = False

    def _end(self, line: Line) -> None:
        then = self._then.pop(line.number, None)
        if then is not None and then.client is not None:
            then.client.lose(content_of(line, str) or "")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        return self._answers.respond(request, self.position_ns)


def _market(contents: Contents, speaker: Speaker, settings: SimulatorSettings) -> Market:
    """What its speaker takes symbols from: those that were collected. Nothing is traded there."""
    market = Market(structs.replace(settings, symbols=()), 0, speaker.name)
    for name in contents.symbols:
        listing = listing_of(speaker.market_symbol(name), settings.seed)
        base, _, quote = re.sub("[-_]", "/", name).partition("/")
        if quote:
            listing = structs.replace(listing, base=base, quote=quote)
        market.listings[listing.symbol] = listing
    return market
