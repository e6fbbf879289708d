"""One exchange's side of the market: its prices, its delay, its two ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

from aiohttp import web

from data_collector.model.venue import Addresses
from data_collector.simulator.control.faults import Faults
from data_collector.simulator.control.operation import Operation
from data_collector.simulator.market.market import Market
from data_collector.simulator.rest.rest import RestSide
from data_collector.simulator.settings import SimulatorSettings
from data_collector.simulator.speaker import Speaker
from data_collector.simulator.streams.feed import Feed
from data_collector.simulator.streams.streams import StreamSide
from data_collector.time_limit import time_limit

STOP_TIMEOUT_S = 2.0


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
        self._settings = settings
        self._server: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None
        self._ports = settings.ws_port, settings.rest_port

    @property
    def addresses(self) -> Addresses:
        """Base URLs, once it has started."""
        # Certificates are usually made out for names.
        tls, host = self._settings.tls is not None, self._settings.host
        host = "localhost" if tls and host == "127.0.0.1" else host
        ws_port, rest_port = self._ports
        return Addresses(
            f"{'wss' if tls else 'ws'}://{host}:{ws_port}", f"{'https' if tls else 'http'}://{host}:{rest_port}"
        )

    def move_on(self, now_ms: int) -> None:
        """Let time pass here too, and send what is due."""
        self.market.now_ms = max(self.market.now_ms, now_ms - self.delay_ms)
        self.feed.send_due()

    async def start(self, operation: Operation, ws_port: int, rest_port: int) -> None:
        """Listen on both ports. Raises `OSError` when one is taken."""
        application = web.Application()
        application.add_routes(operation.routes())
        application.router.add_get("/{path:.*}", self.rest.answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_TIMEOUT_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._settings.host, rest_port, ssl_context=self._settings.tls).start()
        self._server = await self.streams.listen(ws_port)
        sockets = [socket.getsockname() for socket in self._server.sockets]
        self._ports = _port_of(sockets), _port_of(self._runner.addresses)

    async def stop(self) -> None:
        """Close both ports, when the connections, which are closing, are gone."""
        if self._server is not None:
            self._server.close()
        try:
            async with time_limit(STOP_TIMEOUT_S):
                await self.feed.hub.deserted.wait()
        except TimeoutError:
            for connection in tuple(self.feed.hub.connections.values()):
                connection.cut_off()
        self.rest.stop()
        if self._runner is not None:
            await self._runner.cleanup()


def _port_of(addresses: Iterable[object]) -> int:
    for address in addresses:
        if isinstance(address, tuple):
            port = address[1]
            assert isinstance(port, int), "the second part of an Internet address"
            return port
    raise OSError("nothing is listening")
