"""From the market to the clients: encodes each frame once per form, and sends it to whoever wants it.

`step` is called with the market's time, by the clock or by hand; everything up to that moment is then sent.
"""

from __future__ import annotations

import asyncio
import heapq
import re
from collections.abc import Sequence
from itertools import count

from msgspec import Struct

from data_collector.model.calendar import HOUR_MS
from data_collector.model.protocols import Codec
from data_collector.model.records import Record
from data_collector.simulator.market.candles import INTERVALS
from data_collector.simulator.market.market import QUIET, Market, SymbolMarket
from data_collector.simulator.settings import SimulatorSettings
from data_collector.simulator.streams.connection import Hub
from data_collector.simulator.streams.delivery import text_payload
from data_collector.simulator.streams.publishers import (
    AllMiniTickersPublisher,
    KlinePublisher,
    Publisher,
    TickerPublisher,
)

STEP_MS = 250
"""Longer stretches of time are taken in steps of this length, so that frames stay in the order of time."""

QUIET_CHECK_MS = 1_000
"""How often a symbol that does not trade is looked at."""

BURST_TRADES = 200
"""How many trades a burst makes and sends at once: a few socket writes' worth."""

_KLINE = re.compile(r"kline_(\w+?)(@\+08:00)?")


class Prepared(Struct, frozen=True):
    """Frames of one stream for combined connections, encoded ahead of time, in parts of at most `BURST_TRADES`."""

    stream: str
    parts: list[tuple[int, bytes]]
    """How many frames, and their bytes."""


class Feed:
    """Owns the schedule. The hub tells it of streams that get their first listener."""

    def __init__(self, market: Market, codec: Codec, settings: SimulatorSettings) -> None:
        self.hub = Hub(self._on_first_listener)
        self._market = market
        self._codec = codec
        self._settings = settings
        self._turn = count()
        self._publishers: dict[str, Publisher] = {}
        self._timetable: list[tuple[int, int, str]] = []
        self._published: dict[str, int] = {}
        """Per symbol with real-time listeners: the next trade id to send."""
        self._orders: list[tuple[int, str]] = []

    def step(self, now_ms: int) -> None:
        """Move the market on to `now_ms` and send what is due by then."""
        market = self._market
        while market.now_ms < now_ms:
            market.now_ms = min(now_ms, market.now_ms + STEP_MS)
            self._send_trades()
            self._send_scheduled()

    async def burst(self, symbol: str, trades: int) -> None:
        """Make and send exactly `trades` trades of a symbol as fast as the clients read them."""
        market = self._market.listed(symbol)
        left = trades
        while left > 0:
            self._market.listed(symbol)
            part = min(left, BURST_TRADES)
            first_id = market.tape.next_id
            market.burst(part)
            left -= part
            self._send_new(market, self._published.get(symbol, first_id))
            for connection in tuple(self.hub.listeners(f"{symbol.lower()}@trade")):
                await connection.until_writable()
            # Waiting for an event that is set does not give way.
            await asyncio.sleep(0)

    def restart_ids(self, symbol: str, first_id: int) -> None:
        """The market of the symbol has begun anew with this id."""
        if symbol in self._published:
            self._published[symbol] = first_id

    def prepare_burst(self, symbol: str, trades: int) -> Prepared:
        """Make trades that only `send_prepared` will send; at most as many as the tape holds."""
        market = self._market.listed(symbol)
        first_id = market.tape.next_id
        market.burst(trades)
        if symbol in self._published:
            self._published[symbol] = market.tape.next_id
        tape, event_ms, stream = market.tape, self._market.now_ms + 1, f"{symbol.lower()}@trade"
        prepared = Prepared(stream, [])
        for start in range(tape.position_of_id(first_id), len(tape), BURST_TRADES):
            positions = range(start, min(start + BURST_TRADES, len(tape)))
            payloads = [self._payload(tape.trade(position, event_ms), False) for position in positions]
            prepared.parts.append((len(payloads), _framed(stream, payloads, combined=True)))
        return prepared

    async def send_prepared(self, prepared: Prepared) -> None:
        """Send to the listeners of the same form, as fast as they read."""
        for frames, raw in prepared.parts:
            for connection in tuple(self.hub.listeners(prepared.stream)):
                if connection.combined and not connection.microseconds:
                    connection.frames_sent += frames
                    connection.write(raw)
                    await connection.until_writable()
            # Waiting for an event that is set does not give way.
            await asyncio.sleep(0)

    # Real time.

    def _send_trades(self) -> None:
        now_us = self._market.now_ms * 1000
        while self._orders and self._orders[0][0] <= now_us:
            _, name = heapq.heappop(self._orders)
            if not self._has_listeners(name):
                del self._published[name]
                continue
            market = self._market.listed(name)
            self._send_new(market, self._published[name])
            heapq.heappush(self._orders, (min(market.next_us, now_us + QUIET_CHECK_MS * 1000), name))

    def _has_listeners(self, symbol: str) -> bool:
        name = symbol.lower()
        return any(self.hub.listeners(f"{name}@{channel}") for channel in ("trade", "aggTrade", "bookTicker"))

    def _send_new(self, market: SymbolMarket, first_id: int) -> None:
        symbol, tape = market.listing.symbol, market.tape
        start, end = tape.position_of_id(first_id), len(tape)
        if symbol in self._published:
            self._published[symbol] = tape.next_id
        if start == end or market.status in QUIET:
            return
        name, now_ms = symbol.lower(), self._market.now_ms
        if self.hub.listeners(f"{name}@trade"):
            # A frame is sent after its trade took place, in microseconds too.
            trades = [tape.trade(position, max(now_ms, tape.times_us[position] // 1000 + 1))
                      for position in range(start, end)]  # fmt: skip
            self._send(f"{name}@trade", trades)
        if self.hub.listeners(f"{name}@aggTrade"):
            self._send(f"{name}@aggTrade", tape.aggregates(start, end, end - start, now_ms))
        if self.hub.listeners(f"{name}@bookTicker"):
            self._send(f"{name}@bookTicker", [market.book().quote()])

    # At fixed times.

    def _send_scheduled(self) -> None:
        now_ms = self._market.now_ms
        while self._timetable and self._timetable[0][0] <= now_ms:
            _, _, stream = heapq.heappop(self._timetable)
            if not self.hub.listeners(stream):
                del self._publishers[stream]
                continue
            records, due_ms = self._publishers[stream].due(now_ms)
            self._send(stream, records)
            heapq.heappush(self._timetable, (due_ms, next(self._turn), stream))

    def _on_first_listener(self, stream: str) -> None:
        if stream in self._publishers:
            return
        if stream == "!miniTicker@arr":
            self._schedule(stream, AllMiniTickersPublisher(self._market))
            return
        name, _, channel = stream.partition("@")
        symbol = name.upper()
        # Upper case, and symbols that are not listed, are acknowledged and stay silent.
        if name != name.lower() or symbol not in self._market.listings:
            return
        if channel in ("trade", "aggTrade", "bookTicker"):
            self._follow(symbol)
        elif channel in ("ticker", "miniTicker"):
            self._schedule(stream, TickerPublisher(self._market, symbol, mini=channel == "miniTicker"))
        elif (match := _KLINE.fullmatch(channel)) and match[1] in INTERVALS:
            offset_ms = 8 * HOUR_MS if match[2] else 0
            publisher = KlinePublisher(self._market, symbol, match[1], offset_ms, self._settings)
            self._schedule(stream, publisher)

    def _schedule(self, stream: str, publisher: Publisher) -> None:
        self._publishers[stream] = publisher
        heapq.heappush(self._timetable, (self._market.now_ms + 1, next(self._turn), stream))

    def _follow(self, symbol: str) -> None:
        if symbol in self._published:
            return
        self._published[symbol] = self._market.listed(symbol).tape.next_id
        heapq.heappush(self._orders, (0, symbol))

    # To the sockets.

    def _send(self, stream: str, records: Sequence[Record]) -> None:
        if not records:
            return
        payloads: dict[bool, list[bytes]] = {}
        framed: dict[tuple[bool, bool], bytes] = {}
        for connection in tuple(self.hub.listeners(stream)):
            unit, form = connection.microseconds, (connection.microseconds, connection.combined)
            if unit not in payloads:
                encoded = [self._payload(record, unit) for record in records]
                payloads[unit] = [b"[" + b",".join(encoded) + b"]"] if stream.startswith("!") else encoded
            if form not in framed:
                framed[form] = _framed(stream, payloads[unit], combined=connection.combined)
            connection.deliver(stream, payloads[unit], framed[form])

    def _payload(self, record: Record, microseconds: bool) -> bytes:
        return self._codec.encode(record, combined=False, microseconds=microseconds)


def _framed(stream: str, payloads: Sequence[bytes], *, combined: bool) -> bytes:
    return b"".join([text_payload(stream, payload, combined=combined) for payload in payloads])
