"""The simulated exchanges: one market, of which each has its own prices if asked for, a stream side and a REST side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count

from msgspec import structs

from data_collector.model.records import Kline, Trade
from data_collector.model.venue import Addresses
from data_collector.simulator.clock import MarketClock
from data_collector.simulator.control import actions
from data_collector.simulator.control.faults import Faults
from data_collector.simulator.control.operation import Operation
from data_collector.simulator.market.market import Market, SymbolMarket
from data_collector.simulator.settings import SimulatorSettings
from data_collector.simulator.side import Side
from data_collector.simulator.speaker import Speaker
from data_collector.simulator.streams.connection import StreamConnection
from data_collector.simulator.streams.delivery import PING, frame, text_frame
from data_collector.simulator.streams.feed import BURST_TRADES, Prepared

TICK_S = 0.01
"""How often the market is moved on: the longest that a trade waits before it is sent."""

STEP_MS = 250
"""Longer stretches of time are taken in steps of this length, so that frames stay in the order of time."""

GOING_AWAY = 1001


class Simulator:
    """`await start()`, use it, `await stop()`. Everything happens on the event loop that started it.

    Each speaker has two ports of its own, and all of them tell one market. A symbol may be named as any of them does.
    Where prices differ by exchange, the truth is that of the one that is named, or of the first.
    """

    def __init__(self, settings: SimulatorSettings, speakers: Sequence[Speaker]) -> None:
        start_ms = int(time.time() * 1000) if settings.start_ms is None else settings.start_ms
        self.settings = settings
        self.clock = MarketClock(start_ms, speed=settings.speed, running=not settings.driven)
        self.faults = Faults(settings.seed)
        self._now_ms = start_ms
        numbers = count(1)
        self.sides = {
            each.name: Side(
                each, settings, start_ms, settings.delay_ms * place // len(speakers), self.faults, numbers,
                self._refresh,
            ) for place, each in enumerate(speakers, 1)
        }  # fmt: skip
        """By the exchange's name."""
        self._first = next(iter(self.sides.values()))
        self._pulse: asyncio.Task[None] | None = None

    @property
    def market(self) -> Market:
        """As the first exchange has it."""
        return self._first.market

    @property
    def addresses(self) -> dict[str, Addresses]:
        """Base URLs of each exchange, by its name."""
        return {name: side.addresses for name, side in self.sides.items()}

    @property
    def ws_url(self) -> str:
        """Base URL of the first exchange's stream side."""
        return self._first.addresses.ws_url

    @property
    def rest_url(self) -> str:
        """Base URL of the first exchange's REST side."""
        return self._first.addresses.rest_url

    async def start(self) -> None:
        """Listen on all ports and let time run. Raises `OSError` when a port is taken."""
        try:
            for name, side in self.sides.items():
                ports = (self.settings.ws_port, self.settings.rest_port) if side is self._first else (0, 0)
                operation = Operation(
                    faults=self.faults, perform=self.perform, state=self.state, tape=partial(self.tape, exchange=name),
                    closed_klines=partial(self.closed_klines, exchange=name),
                )  # fmt: skip
                await side.start(operation, *ports)
        except OSError:
            await self.stop()
            raise
        self._pulse = asyncio.create_task(self._run(), name="simulator-market")

    async def stop(self) -> None:
        """Close every connection and all ports."""
        if self._pulse is not None:
            self._pulse.cancel()
            await asyncio.gather(self._pulse, return_exceptions=True)
        for connection in self.connections():
            connection.close(GOING_AWAY, "")
            connection.hang_up()
        for side in self.sides.values():
            await side.stop()

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
            self._step(self.clock.now_ms())

    def _step(self, now_ms: int) -> None:
        while self._now_ms < now_ms:
            self._now_ms = min(now_ms, self._now_ms + STEP_MS)
            for side in self.sides.values():
                side.move_on(self._now_ms)

    def _market_symbol(self, symbol: str) -> str:
        names = (side.speaker.market_symbol(symbol) for side in self.sides.values())
        return next((name for name in names if name in self.market.listings), symbol)

    def _symbol_markets(self, symbol: str) -> list[SymbolMarket]:
        name = self._market_symbol(symbol)
        return [side.market.listed(name) for side in self.sides.values()]

    # The truth.

    def tape(self, symbol: str, from_id: int = 0, *, exchange: str | None = None) -> list[Trade]:
        """Every trade of a symbol that is kept, from an id on, oldest first. Raises `KeyError` for an unlisted one."""
        found = self._market_of(exchange).tape(name := self._market_symbol(symbol), from_id)
        return found if name == symbol else [structs.replace(trade, symbol=symbol) for trade in found]

    def closed_klines(self, symbol: str, interval: str, *, exchange: str | None = None) -> list[Kline]:
        """Every closed candle with trades that is kept, oldest first."""
        found = self._market_of(exchange).closed_klines(name := self._market_symbol(symbol), interval)
        return found if name == symbol else [structs.replace(kline, symbol=symbol) for kline in found]

    def _market_of(self, exchange: str | None) -> Market:
        return self.market if exchange is None else self.sides[exchange].market

    def connections(self) -> list[StreamConnection]:
        """The open connections of all stream sides, in the order in which they came."""
        found = (connection for side in self.sides.values() for connection in side.feed.hub.connections.values())
        return sorted(found, key=lambda connection: connection.number)

    @property
    def headers_sent(self) -> dict[str, Mapping[str, str]]:
        """The headers of the newest REST request for each path."""
        return {path: sent for side in self.sides.values() for path, sent in side.rest.headers_sent.items()}

    def state(self) -> dict[str, object]:
        """Counters, for GET /simulator/state."""
        symbols = {}
        for name in dict.fromkeys(name for side in self.sides.values() for name in side.market.touched):
            market = self.market.listed(name)
            tape = market.tape
            symbols[name] = {
                "status": market.status,
                "first_id": tape.id_at(0) if len(tape) else None,
                "last_id": tape.last_id if len(tape) else None,
            }
        return {
            "now_ms": self._now_ms,
            "running": self.clock.running,
            "connection_attempts": sum(side.streams.attempts for side in self.sides.values()),
            "connections": [
                {"number": each.number, "exchange": name, "combined": each.form.combined, "streams": len(each.streams),
                 "frames_sent": each.frames_sent}
                for name, side in self.sides.items() for each in side.feed.hub.connections.values()
            ],
            "rest_requests": sum(side.rest.requests for side in self.sides.values()),
            "weight_used": self._first.rest.speaker.used,
            "faults": self.faults.count,
            "fault_hits": self.faults.hit_counts,
            "symbols": symbols,
        }  # fmt: skip

    # What it can be told to do.

    def advance(self, milliseconds: int) -> None:
        """Let market time pass at once; everything that is due by then is sent."""
        self.clock.advance(milliseconds)
        self._step(self.clock.now_ms())

    async def burst(self, symbol: str, trades: int) -> None:
        """Make and send exactly so many trades of a symbol now, as fast as the clients read them."""
        symbol, left = self._market_symbol(symbol), trades
        while left > 0:
            part = min(left, BURST_TRADES)
            left -= part
            for side in self.sides.values():
                market = side.market.listed(symbol)
                first_id = market.tape.next_id
                market.burst(part)
                side.feed.send_new(market, first_id)
            for side in self.sides.values():
                await side.feed.until_read(symbol)
            # Waiting for an event that is set does not give way.
            await asyncio.sleep(0)

    def announce_shutdown(self, *, unwrapped: bool = False, close_after_s: float | None = None) -> None:
        """Tell every connection that it will be closed; `unwrapped` in the raw form on combined ones too."""
        for side in self.sides.values():
            for connection in tuple(side.feed.hub.connections.values()):
                side.spoken.announce_closing(connection, unwrapped=unwrapped)
                if close_after_s is not None:
                    connection.close_later(close_after_s, GOING_AWAY)

    def prepare_burst(self, symbol: str, trades: int) -> Prepared:
        """Make trades now and encode them for our own connections to the first exchange, to be sent later and not
        before; at most as many as the tape holds."""
        market = self.market.listed(self._market_symbol(symbol))
        first_id = market.tape.next_id
        for side in self.sides.values():
            side.market.listed(market.listing.symbol).burst(trades)
        return self._first.feed.prepare(market.listing.symbol, first_id, self._first.spoken.our_form)

    async def send_prepared(self, prepared: Prepared) -> None:
        """Send what was prepared as fast as the listeners read it. Faults do not apply."""
        await self._first.feed.send_prepared(prepared)

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
            case actions.SkipIds(symbol, number):
                for market in self._symbol_markets(symbol):
                    market.skip_ids(number)
            case actions.RestartIds(symbol, first_id):
                name = self._market_symbol(symbol)
                for side in self.sides.values():
                    side.market.listed(name).restart_ids(first_id)
                    side.feed.restart_ids(name, first_id)
            case actions.SetStatus(symbol, status):
                for market in self._symbol_markets(symbol):
                    market.set_status(status)
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
                case actions.PingFlood(number):
                    connection.write(frame(PING, b"flood") * number)
                case actions.Send(text, raw):
                    connection.write((raw or b"") if text is None else text_frame(text.encode()))
