"""The two ports of an exchange: streams and REST."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from aiohttp import web

from data_collector.model.venue import Addresses
from data_collector.simulator.settings import SimulatorSettings
from data_collector.simulator.streams.connection import Hub
from data_collector.simulator.streams.streams import StreamSide
from data_collector.time_limit import time_limit

STOP_TIMEOUT_S = 2.0


class Doors:
    """`await open(…)`, and at the end `await close()`."""

    def __init__(self, settings: SimulatorSettings, streams: StreamSide, hub: Hub) -> None:
        self._settings = settings
        self._streams = streams
        self._hub = hub
        self._server: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None
        self._ports = settings.ws_port, settings.rest_port

    @property
    def addresses(self) -> Addresses:
        """Base URLs, once they are open."""
        # Certificates are usually made out for names.
        tls, host = self._settings.tls is not None, self._settings.host
        host = "localhost" if tls and host == "127.0.0.1" else host
        ws_port, rest_port = self._ports
        return Addresses(
            f"{'wss' if tls else 'ws'}://{host}:{ws_port}", f"{'https' if tls else 'http'}://{host}:{rest_port}"
        )

    async def open(
        self, routes: Sequence[web.RouteDef], answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
        ws_port: int, rest_port: int,
    ) -> None:  # fmt: skip
        """Listen on both; `answer` gets each GET that is for none of the routes. Raises `OSError` for a taken port."""
        application = web.Application()
        application.add_routes(routes)
        application.router.add_get("/{path:.*}", answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_TIMEOUT_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._settings.host, rest_port, ssl_context=self._settings.tls).start()
        self._server = await self._streams.listen(ws_port)
        sockets = [socket.getsockname() for socket in self._server.sockets]
        self._ports = _port_of(sockets), _port_of(self._runner.addresses)

    async def close_streams(self) -> None:
        """Let nobody in any more, and wait for the connections, which are closing."""
        if self._server is not None:
            self._server.close()
        try:
            async with time_limit(STOP_TIMEOUT_S):
                await self._hub.deserted.wait()
        except TimeoutError:
            for connection in tuple(self._hub.connections.values()):
                connection.cut_off()

    async def close_rest(self) -> None:
        """Close the other one."""
        if self._runner is not None:
            await self._runner.cleanup()


def _port_of(addresses: Iterable[object]) -> int:
    for address in addresses:
        if isinstance(address, tuple):
            port = address[1]
            assert isinstance(port, int), "the second part of an Internet address"
            return port
    raise OSError("nothing is listening")
