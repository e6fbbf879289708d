"""An exchange that only feeds: sends prepared frames on every connection, as fast as asked or as they are read.

Run as a process of its own (`python -m benchmarks.feeder PLAN`), so that the cost of making frames is in nobody's
account but its own. It acknowledges subscriptions as the exchange does and numbers trades without a hole.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from itertools import cycle

import uvloop
from msgspec import Struct
from msgspec import json as msgspec_json
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from data_collector.model.records import Kline, Ticker, Trade
from data_collector.venues.binance.speaker.frames import encode

BURST_FRAMES = 64
"""Frames between two looks at whether the peer still reads."""

PAUSE_S = 4.0
"""After the warm-up: long enough for everything to be stored and read."""

BUFFER_BYTES = 256 * 1024
"""The peer is behind when this much waits to be sent."""

MINUTE_MS = 60_000


class Plan(Struct):
    """What to send."""

    symbols: list[str]
    frames: int
    warm_up: int = 0
    """After so many of them comes a pause, in which the first reading is taken."""
    mix: tuple[int, int, int] = (1, 0, 0)
    """How many trades, klines and tickers in a row."""
    per_s: float = 0.0
    """Frames a second; 0: as fast as they are read."""
    is_stamped: bool = False
    """Whether a trade has the time at which it is sent."""


class Feed(WSListener):
    """One connection."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._writable = asyncio.Event()
        self._writable.set()
        self._streams: list[str] = []
        self._task: asyncio.Task[None] | None = None

    def pause_writing(self) -> None:
        """picows calls this when the peer is behind."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """picows calls this when the peer has caught up."""
        self._writable.set()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """picows calls this."""
        transport.underlying_transport.set_write_buffer_limits(high=BUFFER_BYTES)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Subscriptions are acknowledged; the first question for the list starts the feed, as it is asked last.

        It is asked again every few minutes, and whoever is told too little subscribes anew.
        """
        if frame.msg_type != WSMsgType.TEXT:
            return
        request = json.loads(frame.get_payload_as_bytes())
        lists = request["method"] == "LIST_SUBSCRIPTIONS"
        if request["method"] == "SUBSCRIBE":
            self._streams += request["params"]
        answer = {"result": self._streams if lists else None, "id": request["id"]}
        transport.send(WSMsgType.TEXT, msgspec_json.encode(answer))
        if lists and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._send(transport))

    async def _send(self, transport: WSTransport) -> None:
        # Prepared in slices, so that millions of frames need no gigabytes and pauses are short.
        frames = prepared_frames(self._plan)
        started, sent, per_s = time.perf_counter(), 0, self._plan.per_s
        burst = BURST_FRAMES if not per_s else max(1, min(BURST_FRAMES, int(per_s / 1000)))
        warm_up = self._plan.warm_up
        while sent < self._plan.frames and not transport.is_disconnected:
            if warm_up and sent >= warm_up:
                warm_up = 0
                await asyncio.sleep(PAUSE_S)
            for _ in range(burst):
                if not transport.is_disconnected:
                    transport.send(WSMsgType.TEXT, next(frames))
            sent += burst
            if per_s:
                await asyncio.sleep(max(0.0, started + sent / per_s - time.perf_counter()))
            elif not self._writable.is_set():
                await self._writable.wait()
            else:
                await asyncio.sleep(0)


def prepared_frames(plan: Plan) -> Iterator[bytes]:
    """Endless frames of the plan's mix, the symbols in turn."""
    start_ms = int(time.time()) // 60 * MINUTE_MS
    trades, klines, tickers = plan.mix
    # A line whose event times fall behind the clock is taken for one that is late.
    step_ms = 1000 * len(plan.symbols) * sum(plan.mix) / (plan.per_s * trades) if plan.per_s and trades else 1.0
    number = 0
    for symbol in cycle(plan.symbols):
        if symbol == plan.symbols[0]:
            number += 1
        for offset in range(trades):
            trade_id = (number - 1) * trades + offset + 1
            time_ms = time.time_ns() // 1_000_000 if plan.is_stamped else start_ms + int(trade_id * step_ms)
            yield encode(trade_at(symbol, trade_id, time_ms))
        for offset in range(klines):
            yield encode(kline_at(symbol, start_ms, (number - 1) * klines + offset))
        for offset in range(tickers):
            yield encode(ticker_at(symbol, start_ms + (number - 1) * tickers + offset + 1))


def trade_at(symbol: str, trade_id: int, time_ms: int) -> Trade:
    """A good trade."""
    price = f"{45_000 + trade_id % 997}.{trade_id % 100:02d}000000"
    return Trade(symbol, trade_id, price, f"0.{trade_id % 99_999:05d}100", time_ms, time_ms + 1, trade_id % 2 == 0)


def kline_at(symbol: str, start_ms: int, number: int) -> Kline:
    """Thirty states of each minute, the last of them closed: as many as the exchange sends in a busy one."""
    minute, state = divmod(number, 30)
    open_ms = start_ms + minute * MINUTE_MS
    return Kline(
        symbol=symbol, interval="1m", open_ms=open_ms, close_ms=open_ms + MINUTE_MS - 1,
        open="45180.50000000", high="45200.00000000", low="45100.00000000", close="45190.25000000",
        volume=f"{state + 1}.00000000", quote_volume=f"{45_190 * (state + 1)}.12000000",
        taker_buy_base_volume="0.72800000", taker_buy_quote_volume="32898.32000000", trades=100 * (state + 1),
        is_closed=state == 29, event_ms=open_ms + state * 2000 + 1, first_trade_id=1, last_trade_id=100 * (state + 1),
    )  # fmt: skip


def ticker_at(symbol: str, event_ms: int) -> Ticker:
    """Good statistics."""
    return Ticker(
        symbol=symbol, price_change="28.23000000", price_change_percent="1.600", weighted_avg_price="1781.16275609",
        prev_close_price="1764.61000000", last_price="1792.84000000", last_qty="0.55720000",
        bid_price="1792.83000000", bid_qty="1.62740000", ask_price="1792.84000000", ask_qty="20.29140000",
        open_price="1764.61000000", high_price="1808.98000000", low_price="1748.94000000", volume="471703.53110000",
        quote_volume="840180761.51358100", open_time=event_ms - 86_400_000, close_time=event_ms, first_id=1,
        last_id=1_000_000, count=552_479, event_ms=event_ms,
    )  # fmt: skip


async def _serve(plan: Plan) -> None:
    def accept(_request: WSUpgradeRequest) -> WSListener:
        return Feed(plan)

    server = await ws_create_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Ends with whoever started it.
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve(msgspec_json.decode(sys.argv[1], type=Plan)))
