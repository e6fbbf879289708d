"""A recording, played: what the exchanges said is said again, in the same order, at the same pace or another one."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Iterator, Sequence
from itertools import count

from aiohttp import web
from msgspec import Struct

from data_collector.model.venue import Addresses, Codec
from data_collector.recording.lines import Line
from data_collector.recording.reading import ExchangeRecording
from data_collector.simulator.playback.side import PlayedExchange
from data_collector.simulator.settings import SimulatorSettings
from data_collector.simulator.speaker import Speaker

EARLY_S = 0.002
"""What is due within so long is said at once."""

GIVE_WAY_S = 0.01
"""For so long frames may follow each other before clients and questions have their turn."""


class Recorded(Struct, frozen=True):
    """A recording, and who speaks for its exchange."""

    recording: ExchangeRecording
    speaker: Speaker
    codec: Codec


class Playback:
    """`await start()`, use it, `await stop()`. It waits for its first client, and for one that comes again."""

    def __init__(self, settings: SimulatorSettings, recorded: Sequence[Recorded]) -> None:
        """Reads all of it once. Raises `Misconfigured` where that is not possible."""
        self.settings = settings
        numbers, heard = count(1), set[str]()
        self.exchanges = [
            PlayedExchange(
                each.recording, each.recording.contents(), each.speaker, each.codec, settings, numbers, heard
            ) for each in recorded
        ]  # fmt: skip
        self.is_over = False
        self._playing: asyncio.Task[None] | None = None

    @property
    def addresses(self) -> dict[str, Addresses]:
        """Base URLs of each exchange, by its name."""
        return {each.name: each.addresses for each in self.exchanges}

    @property
    def ws_url(self) -> str:
        """Base URL of the first exchange's stream side."""
        return self.exchanges[0].addresses.ws_url

    @property
    def rest_url(self) -> str:
        """Base URL of the first exchange's REST side."""
        return self.exchanges[0].addresses.rest_url

    async def start(self) -> None:
        """Listen on all ports, and begin when somebody listens. Raises `OSError` when a port is taken."""
        routes = [web.get("/simulator/state", self._get_state)]
        ports = self.settings.ws_port, self.settings.rest_port
        try:
            for exchange in self.exchanges:
                await exchange.start(routes, *ports)
                ports = 0, 0
        except OSError:
            await self.stop()
            raise
        self._playing = asyncio.create_task(self._play(), name="playback")

    async def stop(self) -> None:
        """Close every connection and all ports."""
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.gather(self._playing, return_exceptions=True)
        for exchange in self.exchanges:
            await exchange.stop()

    async def wait(self) -> None:
        """Return when all has been said. Raises what went wrong."""
        if self._playing is not None:
            await self._playing

    def state(self) -> dict[str, object]:
        """How far it is, for GET /simulator/state."""
        return {"is_over": self.is_over, "exchanges": {each.name: each.state() for each in self.exchanges}}

    async def _play(self) -> None:
        begun_s, first_ns, gave_way_s = time.monotonic(), min(each.contents.first_ns for each in self.exchanges), 0.0
        for exchange, line in self._lines():
            due_s = begun_s + (line.ns - first_ns) / 1e9 / self.settings.speed
            now = time.monotonic()
            if due_s - now > EARLY_S:
                await asyncio.sleep(due_s - now)
            elif now - gave_way_s > GIVE_WAY_S:
                gave_way_s = now
                await asyncio.sleep(0)
            asked_s = time.monotonic()
            await exchange.say(line)
            # While nobody listens, the time of then stands still.
            begun_s += time.monotonic() - asked_s
        self.is_over = True

    def _lines(self) -> Iterator[tuple[PlayedExchange, Line]]:
        """Of all exchanges, in the order in which they came."""
        return heapq.merge(*(each.lines() for each in self.exchanges), key=lambda pair: pair[1].ns)

    async def _get_state(self, request: web.Request) -> web.Response:
        return web.json_response(self.state())
