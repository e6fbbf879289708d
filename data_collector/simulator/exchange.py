"""The simulated exchange: one market, a stream side and a REST side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import msgspec
from aiohttp import web

from data_collector.model.records import Kline, Trade
from data_collector.model.venue import Codec
from data_collector.simulator.control import actions
from data_collector.simulator.control.faults import Faults
from data_collector.simulator.control.operation import Operation
from data_collector.simulator.market.market import Market
from data_collector.simulator.rest.rest import RestSide
from data_collector.simulator.settings import SimulatorSettings
from data_collector.simulator.streams.connection import StreamConnection
from data_collector.simulator.streams.delivery import PING, frame, text_frame, wrapped
from data_collector.simulator.streams.feed import Feed, Prepared
from data_collector.simulator.streams.streams import StreamSide
from data_collector.time_limit import time_limit

TICK_S = 0.01
"""How often the market is moved on: the longest that a trade waits before it is sent."""

STOP_TIMEOUT_S = 2.0

GOING_AWAY = 1001


class Simulator:
    """`await start()`, use it, `await stop()`. Everything happens on the event loop that started it."""

    def __init__(self, settings: SimulatorSettings, codec: Codec) -> None:
        start_ms = int(time.time() * 1000) if settings.start_ms is None else settings.start_ms
        self.settings = settings
        self.clock = MarketClock(start_ms, speed=settings.speed, running=not settings.driven)
        self.faults = Faults(settings.seed)
        self.market = Market(settings, start_ms)
        self._feed = Feed(self.market, codec, settings)
        self._streams = StreamSide(settings, self.faults, self._feed.hub)
        self._rest: RestSide | None = None
        self._server: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None
        self._pulse: asyncio.Task[None] | None = None
        self._ws_port = settings.ws_port
        self._rest_port = settings.rest_port

    @property
    def ws_url(self) -> str:
        """Base URL of the stream side, for BINANCE_WS_URL."""
        return f"{'ws' if self.settings.tls is None else 'wss'}://{self._url_host}:{self._ws_port}"

    @property
    def rest_url(self) -> str:
        """Base URL of the REST side, for BINANCE_REST_URL."""
        return f"{'http' if self.settings.tls is None else 'https'}://{self._url_host}:{self._rest_port}"

    @property
    def keys_sent(self) -> dict[str, str]:
        """The newest API key that came with a request, by path."""
        return {} if self._rest is None else self._rest.keys_sent

    @property
    def _url_host(self) -> str:
        # Certificates are usually made out for names.
        host = self.settings.host
        return "localhost" if self.settings.tls is not None and host == "127.0.0.1" else host

    async def start(self) -> None:
        """Listen on both ports and let time run. Raises `OSError` when a port is taken."""
        self._rest = RestSide(self.market, self.settings, self.faults, self._refresh)
        application = web.Application()
        operation = Operation(
            faults=self.faults, perform=self.perform, state=self.state, tape=self.tape, closed_klines=self.closed_klines
        )
        application.add_routes(operation.routes())
        application.router.add_get("/{path:.*}", self._rest.answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_TIMEOUT_S)
        try:
            await self._runner.setup()
            site = web.TCPSite(self._runner, self.settings.host, self.settings.rest_port, ssl_context=self.settings.tls)
            await site.start()
            self._rest_port = _port_of(self._runner.addresses)
            self._server = await self._streams.listen()
            self._ws_port = _port_of([socket.getsockname() for socket in self._server.sockets])
        except OSError:
            await self.stop()
            raise
        self._pulse = asyncio.create_task(self._run(), name="simulator-market")

    async def stop(self) -> None:
        """Close every connection and both ports."""
        if self._pulse is not None:
            self._pulse.cancel()
            await asyncio.gather(self._pulse, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        for connection in self.connections():
            connection.close(GOING_AWAY, "")
            connection.hang_up()
        await self._until_deserted()
        if self._rest is not None:
            self._rest.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _until_deserted(self) -> None:
        try:
            async with time_limit(STOP_TIMEOUT_S):
                await self._feed.hub.deserted.wait()
        except TimeoutError:
            for connection in self.connections():
                connection.cut_off()

    async def wait(self) -> None:
        """Return when the market has stopped: never, unless it broke, which raises."""
        if self._pulse is not None:
            await self._pulse

    async def _run(self) -> None:
        while True:
            self._refresh()
            await asyncio.sleep(TICK_S)

    def _refresh(self) -> None:
        if self.clock.running:
            self._feed.step(self.clock.now_ms())

    # The truth.

    def tape(self, symbol: str, from_id: int = 0) -> list[Trade]:
        """Every trade of a symbol that is kept, from an id on, oldest first. Raises `KeyError` for an unlisted one."""
        return self.market.tape(symbol, from_id)

    def closed_klines(self, symbol: str, interval: str) -> list[Kline]:
        """Every closed candle with trades that is kept, oldest first."""
        return self.market.closed_klines(symbol, interval)

    def connections(self) -> list[StreamConnection]:
        """The open connections of the stream side, in the order in which they came."""
        return list(self._feed.hub.connections.values())

    def state(self) -> dict[str, object]:
        """Counters, for GET /simulator/state."""
        symbols = {}
        for name in self.market.touched:
            market = self.market.listed(name)
            tape = market.tape
            symbols[name] = {
                "status": market.status,
                "first_id": tape.id_at(0) if len(tape) else None,
                "last_id": tape.last_id if len(tape) else None,
            }
        return {
            "now_ms": self.market.now_ms,
            "running": self.clock.running,
            "connection_attempts": self._streams.attempts,
            "connections": [
                {"number": each.number, "combined": each.combined, "streams": len(each.streams),
                 "frames_sent": each.frames_sent} for each in self.connections()
            ],
            "rest_requests": 0 if self._rest is None else self._rest.requests,
            "weight_used": 0 if self._rest is None else self._rest.weights.used,
            "faults": len(self.faults.frame_faults) + len(self.faults.rest_faults) + len(self.faults.refusals),
            "fault_hits": self.faults.hit_counts,
            "symbols": symbols,
        }  # fmt: skip

    # What it can be told to do.

    def advance(self, milliseconds: int) -> None:
        """Let market time pass at once; everything that is due by then is sent."""
        self.clock.advance(milliseconds)
        self._feed.step(self.clock.now_ms())

    async def burst(self, symbol: str, trades: int) -> None:
        """Make and send exactly so many trades of a symbol now, as fast as the clients read them."""
        await self._feed.burst(symbol, trades)

    def announce_shutdown(self, *, unwrapped: bool = False, close_after_s: float | None = None) -> None:
        """Send serverShutdown on every connection; `unwrapped` in the raw form on combined ones too."""
        notice = msgspec.json.encode({"e": "serverShutdown", "E": self.market.now_ms})
        for connection in self.connections():
            wraps = connection.combined and not unwrapped
            connection.send_text(wrapped("!serverShutdown", notice) if wraps else notice)
            if close_after_s is not None:
                connection.close_later(close_after_s, GOING_AWAY)

    def prepare_burst(self, symbol: str, trades: int) -> Prepared:
        """Make trades now and encode them for combined connections, to be sent later and not before."""
        return self._feed.prepare_burst(symbol, trades)

    async def send_prepared(self, prepared: Prepared) -> None:
        """Send what was prepared as fast as the listeners read it. Faults do not apply."""
        await self._feed.send_prepared(prepared)

    async def perform(self, action: actions.Action) -> None:
        """Carry out an action. Raises `KeyError` for a symbol that is not listed."""
        match action:
            case actions.Burst(symbol, trades):
                await self.burst(symbol, trades)
            case actions.Advance(milliseconds):
                self.advance(milliseconds)
            case actions.Pause():
                self.clock.pause()
            case actions.Resume():
                self.clock.resume()
            case actions.SkipIds(symbol, count):
                self.market.listed(symbol).skip_ids(count)
            case actions.RestartIds(symbol, first_id):
                self.market.listed(symbol).restart_ids(first_id)
                self._feed.restart_ids(symbol, first_id)
            case actions.SetStatus(symbol, status):
                self.market.listed(symbol).set_status(status)
            case actions.Shutdown(unwrapped, close_after_s):
                self.announce_shutdown(unwrapped=unwrapped, close_after_s=close_after_s)
            case _:
                self._perform_on_connections(action)

    def _perform_on_connections(
        self,
        action: actions.Close | actions.Reset | actions.Stall | actions.DropStream | actions.PingFlood | actions.Send,
    ) -> None:
        for connection in self.connections():
            if action.connection not in (None, connection.number):
                continue
            match action:
                case actions.Close(code, reason):
                    connection.close(code, reason)
                case actions.Reset():
                    connection.reset()
                case actions.Stall(seconds=seconds):
                    connection.stall(seconds)
                case actions.DropStream(stream):
                    connection.drop_stream(stream)
                case actions.PingFlood(count):
                    connection.write(frame(PING, b"flood") * count)
                case actions.Send(text, raw):
                    connection.write((raw or b"") if text is None else text_frame(text.encode()))


class MarketClock:
    """Milliseconds UTC, running at `speed` times the real pace, or standing still."""

    def __init__(self, start_ms: int, *, speed: float, running: bool) -> None:
        self.speed = speed
        self._base_ms = start_ms
        self._running = running
        self._base_s = time.monotonic()

    @property
    def running(self) -> bool:
        """Whether time passes by itself."""
        return self._running

    def now_ms(self) -> int:
        """The market's time."""
        if not self._running:
            return self._base_ms
        return self._base_ms + int((time.monotonic() - self._base_s) * 1000 * self.speed)

    def advance(self, milliseconds: int) -> None:
        """Jump forward."""
        self._base_ms += milliseconds

    def pause(self) -> None:
        """Stand still."""
        self._base_ms = self.now_ms()
        self._running = False

    def resume(self) -> None:
        """Run on from where it stands."""
        self._base_ms = self.now_ms()
        self._base_s = time.monotonic()
        self._running = True


def _port_of(addresses: Iterable[object]) -> int:
    for address in addresses:
        if isinstance(address, tuple):
            port = address[1]
            assert isinstance(port, int), "the second part of an Internet address"
            return port
    raise OSError("nothing is listening")
