"""From the market to the clients of one exchange: encodes each frame once per form, and sends it to whoever wants it.

The market is moved on by the simulator; `send_due` then sends everything up to its moment.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterator, Sequence
from itertools import count

from msgspec import Struct

from data_collector.model.records import Record, Trade
from data_collector.simulator.control.faults import Faults
from data_collector.simulator.market.market import QUIET, Market, SymbolMarket
from data_collector.simulator.speaker import Form, Live, Scheduled, StreamSpeaker
from data_collector.simulator.streams.connection import Hub
from data_collector.simulator.streams.lies import lying_record
from data_collector.simulator.streams.live import trades

QUIET_CHECK_MS = 1_000
"""How often a symbol that does not trade is looked at."""

BURST_TRADES = 200
"""How many trades a burst makes and sends at once: a few socket writes' worth."""


class Prepared(Struct, frozen=True):
    """Frames of one stream for connections of one form, encoded ahead of time, in parts of `BURST_TRADES` at most."""

    stream: str
    form: Form
    parts: list[tuple[int, bytes]]
    """How many frames, and their bytes."""


class Feed:
    """Owns the schedule. The hub tells it of streams that get their first listener."""

    def __init__(self, market: Market, speaker: StreamSpeaker, faults: Faults) -> None:
        self.hub = Hub(self._on_first_listener)
        self._market = market
        self._speaker = speaker
        self._faults = faults
        self._turn = count()
        self._scheduled: dict[str, Scheduled] = {}
        self._timetable: list[tuple[int, int, str]] = []
        self._live: dict[str, dict[str, Live]] = {}
        """By symbol and stream."""
        self._published: dict[str, int] = {}
        """Per symbol with real-time listeners: the next trade id to send."""
        self._orders: list[tuple[int, str]] = []
        self._last_us: dict[str, int] = {}
        """Per stream of trades: when the newest took place, while trades of equal time are left out."""

    def send_due(self) -> None:
        """Send what is due by the market's present moment."""
        self._send_trades()
        self._send_scheduled()

    async def until_read(self, symbol: str) -> None:
        """Wait for the clients that are told of this symbol's trades."""
        for stream in tuple(self._live.get(symbol, ())):
            for connection in tuple(self.hub.listeners(stream)):
                await connection.until_writable()

    def restart_ids(self, symbol: str, first_id: int) -> None:
        """The market of the symbol has begun anew with this id."""
        if symbol in self._published:
            self._published[symbol] = first_id

    def prepare(self, symbol: str, first_id: int, form: Form) -> Prepared:
        """Encode the trades of the tape from an id on, which only `send_prepared` will send."""
        market, stream = self._market.listed(symbol), self._speaker.trades_stream(symbol)
        if symbol in self._published:
            self._published[symbol] = market.tape.next_id
        event_ms, end = self._market.now_ms + 1, len(market.tape)
        prepared = Prepared(stream, form, [])
        for start in range(market.tape.position_of_id(first_id), end, BURST_TRADES):
            records = trades(market, start, min(start + BURST_TRADES, end), event_ms)
            payloads = self._speaker.payloads(stream, records, form)
            prepared.parts.append((len(payloads), self._framed(stream, payloads, form)))
        return prepared

    async def send_prepared(self, prepared: Prepared) -> None:
        """Send to the listeners of the same form, as fast as they read."""
        for frames, raw in prepared.parts:
            for connection in tuple(self.hub.listeners(prepared.stream)):
                if connection.form == prepared.form:
                    connection.frames_sent += frames
                    connection.write(raw)
                    await connection.until_writable()
            # Waiting for an event that is set does not give way.
            await asyncio.sleep(0)

    # Real time.

    def _send_trades(self) -> None:
        now_us = self._market.now_ms * 1000
        while self._orders and self._orders[0][0] <= now_us:
            _, symbol = heapq.heappop(self._orders)
            if not any(map(self.hub.listeners, self._live[symbol])):
                del self._published[symbol], self._live[symbol]
                continue
            market = self._market.listed(symbol)
            self.send_new(market, self._published[symbol])
            heapq.heappush(self._orders, (min(market.next_us, now_us + QUIET_CHECK_MS * 1000), symbol))

    def send_new(self, market: SymbolMarket, first_id: int) -> None:
        """Send what the trades that have not been sent come to; `first_id` where nobody listened to the symbol."""
        symbol, tape = market.listing.symbol, market.tape
        start, end = tape.position_of_id(self._published.get(symbol, first_id)), len(tape)
        if symbol in self._published:
            self._published[symbol] = tape.next_id
        if start == end or market.status in QUIET:
            return
        for stream, live in tuple(self._live.get(symbol, {}).items()):
            if self.hub.listeners(stream):
                self._send(stream, live.records(market, start, end, self._market.now_ms))

    # At fixed times.

    def _send_scheduled(self) -> None:
        now_ms = self._market.now_ms
        while self._timetable and self._timetable[0][0] <= now_ms:
            _, _, stream = heapq.heappop(self._timetable)
            if not self.hub.listeners(stream):
                del self._scheduled[stream]
                continue
            records, due_ms = self._scheduled[stream].due(now_ms)
            self._send(stream, records)
            heapq.heappush(self._timetable, (due_ms, next(self._turn), stream))

    def _on_first_listener(self, stream: str) -> None:
        if stream in self._scheduled:
            return
        found = self._speaker.stream_of(stream)
        if isinstance(found, Live):
            self._live.setdefault(found.symbol, {})[stream] = found
            self._follow(found.symbol)
        elif found is not None:
            self._scheduled[stream] = found
            heapq.heappush(self._timetable, (self._market.now_ms + 1, next(self._turn), stream))

    def _follow(self, symbol: str) -> None:
        if symbol in self._published:
            return
        self._published[symbol] = self._market.listed(symbol).tape.next_id
        heapq.heappush(self._orders, (0, symbol))

    # To the sockets.

    def _send(self, stream: str, records: Sequence[Record]) -> None:
        if self._faults.equal_times:
            records = self._without_equal_times(stream, records)
        if self._faults.lies:
            records = list(self._with_lies(stream, records))
        if not records:
            return
        payloads: dict[Form, list[bytes]] = {}
        framed: dict[Form, bytes] = {}
        for connection in tuple(self.hub.listeners(stream)):
            form = connection.form
            if form not in framed:
                payloads[form] = self._speaker.payloads(stream, records, form)
                framed[form] = self._framed(stream, payloads[form], form)
            connection.deliver(stream, payloads[form], framed[form])

    def _framed(self, stream: str, payloads: Sequence[bytes], form: Form) -> bytes:
        return b"".join([self._speaker.text(stream, payload, form) for payload in payloads])

    def _with_lies(self, stream: str, records: Sequence[Record]) -> Iterator[Record]:
        for record in records:
            lie = self._faults.lie(stream, record)
            if lie is None or lie.beside:
                yield record
            if lie is not None:
                yield lying_record(record, lie)

    def _without_equal_times(self, stream: str, records: Sequence[Record]) -> list[Record]:
        kept: list[Record] = []
        for record in records:
            if isinstance(record, Trade):
                time_us = record.time_ms * 1000 + (record.sub_ms_us or 0)
                is_equal, self._last_us[stream] = self._last_us.get(stream) == time_us, time_us
                if is_equal and self._faults.leaves_out(stream):
                    continue
            kept.append(record)
        return kept
