"""The dashboard's own files under their real headers, and a live feed that says what a test tells it to say."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse

from data_collector.api import pages
from data_collector.embedded.peer import free_port
from data_collector.web.answers import AnswerHeaders
from tests.integration.waiting import DEADLINE_S, until

MINUTE_MS = 60_000
STATE_EVERY_S = 0.5
HISTORY_CANDLES = 1500

INTERVALS = ("1m", "5m", "1h")
INTERVAL_MS = {"1m": MINUTE_MS, "5m": 5 * MINUTE_MS, "1h": 60 * MINUTE_MS}


@dataclass
class Script:
    """What the service says of an exchange; a test changes it while it runs."""

    exchange: str = "binance"
    symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT", "BNBUSDT")
    control: str = "open"
    token: str = ""
    running: bool = True
    reasons: list[str] = field(default_factory=list)
    prices: dict[str, str] = field(default_factory=dict)
    completeness: list[list[object]] = field(default_factory=list)
    refused: list[dict[str, object]] = field(default_factory=list)
    newest_gaps: list[dict[str, object]] = field(default_factory=list)
    open_gaps: int = 0
    silent_seconds: float | None = None
    """Since when the collector has not answered."""
    moments_refused: tuple[int, str, str] | None = None
    """Status, sentence and Retry-After of what is said in place of moments."""
    hits: int = 12
    """Moments like this; each is less similar than the one before by `unlikeness`."""
    unlikeness: float = 0.02
    rising_every: int = 2
    """Each so many-th of them goes up by 0.1 % a candle, the others stay."""
    is_full: bool = False
    """Turns viewers away."""
    simulated: bool = False
    address: str | None = None
    """Where its streams come from."""
    others: Sequence[Script] = ()
    """Of other exchanges that are collected as well; the service is that of the first."""
    spread: dict[str, dict[str, object]] = field(default_factory=dict)
    """By quotes, what `/spread` answers."""

    @property
    def each(self) -> list[Script]:
        """Of every exchange."""
        return [self, *self.others]

    def price(self, symbol: str) -> str:
        return self.prices.get(symbol, f"{100 + len(symbol)}.50000000")

    def rows(self, symbols: Sequence[str]) -> list[list[object]]:
        return [[symbol, self.price(symbol), "2.31", "1234.50000000", now_ms()] for symbol in symbols]

    def hello(self) -> dict[str, object]:
        return {
            "version": "0.0.0", "environment": "test", "service": "data-collector", "exchange": self.exchange,
            "symbols": list(self.symbols), "intervals": list(INTERVALS), "control": self.control,
            "simulated": self.simulated, "address": self.address,
        }  # fmt: skip

    def state(self) -> dict[str, object]:
        status = "healthy" if self.running else "degraded"
        counts = {"messages_received": 5000, "messages_validated": 5000 - len(self.refused)}
        line = {
            "line": "1", "state": "connected" if self.running else "stopped", "streams": 9, "connected_since": None,
            "last_message_seconds_ago": 0.1, "reconnects": 0, "last_error": None,
        }  # fmt: skip
        silence = {} if self.silent_seconds is None else {"silent_seconds": self.silent_seconds}
        return silence | {
            "health": {"status": status, "collector_running": self.running, "reasons": self.reasons},
            "metrics": counts | {"validation_errors": len(self.refused), "last_message_seconds_ago": 0.1},
            "received_per_second": 321.0, "stored_per_second": 320.0, "latency": {"p50_ms": 0.4, "p99_ms": 2.5},
            "connections": [line],
            "stores": [
                {"name": "Redis", "up": True, "detail": "redis://here"},
                {"name": "PostgreSQL", "up": None, "detail": "no DATABASE_URL"},
            ],
            "buffers": [{"name": "spool on disk", "bytes": 2048}],
            "gaps": {
                "open": self.open_gaps, "missing": 7 * self.open_gaps, "oldest_open_seconds": 3.0,
                "newest": self.newest_gaps,
            },
            "audit": {"state": "running", "coverage": 0.5, "every_seconds": 300.0, "next_seconds": 120.0},
        }  # fmt: skip

    def completeness_rows(self) -> list[list[object]]:
        return self.completeness or [[symbol, 100.0, True, 1000, 1000, 0, 0, 0] for symbol in self.symbols]


def tape() -> list[list[object]]:
    """A sale, and a trade of which the exchange does not tell who took it."""
    return [[1, now_ms(), "100.5", "0.25", True], [2, now_ms(), "100.5", "0.25", None]]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class ScriptedService:
    """A server in a thread of its own, on a port that it keeps when it is stopped and started again."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.controlled: list[str] = []
        """Actions of POST /control."""
        self.asked: list[str] = []
        """Queries of GET /klines."""
        self.moments_asked: list[str] = []
        """Those of GET /similar."""
        self._port = free_port()
        self._viewers: set[asyncio.Queue[bytes | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    @property
    def viewers(self) -> int:
        return len(self._viewers)

    def start(self) -> None:
        """Listen; returns when it does."""
        listener = socket.create_server(("127.0.0.1", self._port))
        config = uvicorn.Config(
            self._application(), log_level="critical", lifespan="off", ws="none", loop="asyncio", access_log=False
        )
        server = self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, args=(server, listener))
        self._thread.start()
        until(lambda: server.started, "the scripted service")

    def stop(self) -> None:
        """End every stream, and listen no more."""
        assert self._server is not None
        assert self._thread is not None
        self._put(None)
        self._server.should_exit = True
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    def say(self, name: str, content: object) -> None:
        """Send an event to every viewer."""
        self._put(event(name, content))

    def say_prices(self, prices: Mapping[str, str]) -> None:
        """New prices, which later viewers get too."""
        self.script.prices |= prices
        self.say("prices", {"at": now_ms(), "rows": self.script.rows(list(prices))})

    def _serve(self, server: uvicorn.Server, listener: socket.socket) -> None:
        with listener:
            asyncio.run(server.serve(sockets=[listener]))

    def _named(self, exchange: str | None) -> Script:
        return next(each for each in self.script.each if exchange in (None, each.exchange))

    def _event(self, script: Script, name: str, content: dict[str, object]) -> bytes:
        """Which exchange it is of is told where there are several."""
        names = [each.exchange for each in self.script.each]
        if name == "hello":
            content |= {"exchanges": names}
        elif len(names) > 1:
            content |= {"exchange": script.exchange}
        return event(name, content)

    def _put(self, part: bytes | None) -> None:
        if self._loop is not None:
            for viewer in list(self._viewers):
                self._loop.call_soon_threadsafe(viewer.put_nowait, part)

    def _application(self) -> FastAPI:
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, routes=list(pages.ASSETS))
        app.include_router(pages.router)
        app.add_api_route("/live", self._live)
        app.add_api_route("/health/live", lambda: {"status": "alive"})
        app.add_api_route("/klines/{symbol:path}", self._klines)
        app.add_api_route("/similar", self._similar)
        app.add_api_route("/validation/errors", self._refusals)
        app.add_api_route("/spread", lambda quote: self.script.spread[quote])
        app.add_api_route("/control", self._control, methods=["POST"])
        app.add_middleware(AnswerHeaders)
        return app

    async def _live(self, symbol: str | None = None, interval: str = "1m") -> StreamingResponse:
        if self.script.is_full:
            raise HTTPException(503, "50 viewers are looking on already.")
        exchange, colon, name = (symbol or "").rpartition(":")
        script = next((each for each in self.script.each if each.exchange == exchange or not colon), None)
        if script is None or (symbol is not None and name not in script.symbols):
            raise HTTPException(404, f"{symbol} is not collected.")
        self._loop = asyncio.get_running_loop()
        return StreamingResponse(self._events(script, name or None), media_type="text/event-stream")

    async def _events(self, focused: Script, symbol: str | None) -> AsyncIterator[bytes]:
        viewer: asyncio.Queue[bytes | None] = asyncio.Queue()
        told = self._event
        self._viewers.add(viewer)
        try:
            for script in self.script.each:
                yield told(script, "hello", script.hello())
                yield told(script, "prices", {"at": now_ms(), "rows": script.rows(script.symbols)})
                yield told(script, "completeness", {"rows": script.completeness_rows()})
            if symbol is not None:
                yield told(focused, "tape", {"symbol": symbol, "trades": tape(), "left_out": 0})
            while True:
                for script in self.script.each:
                    yield told(script, "state", script.state())
                try:
                    part = await asyncio.wait_for(viewer.get(), STATE_EVERY_S)
                except TimeoutError:
                    continue
                if part is None:
                    return
                yield part
        finally:
            self._viewers.discard(viewer)

    async def _refusals(self, exchange: str | None = None) -> dict[str, object]:
        refused = self._named(exchange).refused
        return {"count": len(refused), "errors": refused}

    async def _klines(self, request: Request, symbol: str, interval: str) -> dict[str, object]:
        if symbol not in self._named(request.query_params.get("exchange")).symbols:
            raise HTTPException(404, f"{symbol} is not collected.")
        self.asked.append(str(request.query_params))
        step = INTERVAL_MS[interval]
        newest = now_ms() // step * step
        oldest = newest - HISTORY_CANDLES * step
        begin = max(oldest, -(-int(request.query_params["from"]) // step) * step)
        end = min(newest, int(request.query_params.get("to", newest)))
        records = [candle(symbol, interval, at, is_closed=True) for at in range(begin, end, step)]
        if "open" in request.query_params:
            records.append(candle(symbol, interval, newest, is_closed=False))
        return {
            "symbol": symbol, "interval": interval, "count": len(records), "records": records, "next": None,
            "reaches_back_to": iso(oldest), "stores": ["redis"], "warnings": [],
        }  # fmt: skip

    async def _similar(
        self, request: Request, symbol: str, interval: str, window: int, horizons: str, k: int
    ) -> object:
        self.moments_asked.append(str(request.query_params))
        if self.script.moments_refused is not None:
            status, detail, retry_after = self.script.moments_refused
            raise HTTPException(status, detail, {"Retry-After": retry_after} if retry_after else None)
        steps, hits = [int(horizon) for horizon in horizons.split(",")], min(k, self.script.hits)
        return moments(symbol, interval, window, steps, hits, self.script)

    async def _control(self, request: Request) -> dict[str, object]:
        if self.script.control == "token" and request.headers.get("Authorization") != f"Bearer {self.script.token}":
            raise HTTPException(403, "This bearer token is not the CONTROL_TOKEN of the service.")
        order = await request.json()
        action, script = str(order["action"]), self._named(order.get("exchange"))
        self.controlled.append(action)
        script.running = action == "start"
        script.reasons = [] if script.running else ["stopped by operator"]
        return {"status": "started" if script.running else "stopped"}


def event(name: str, content: object) -> bytes:
    """In the form of Server-Sent Events."""
    return f"event: {name}\ndata: {json.dumps(content)}\n\n".encode()


def candle(symbol: str, interval: str, open_ms: int, *, is_closed: bool) -> dict[str, object]:
    """Goes up and down in a period of a hundred candles."""
    turn = open_ms // INTERVAL_MS[interval] % 100
    at = 100 + min(turn, 100 - turn) / 10
    return {
        "symbol": symbol, "timestamp": iso(open_ms), "interval": interval, "open": at, "high": at + 0.4,
        "low": at - 0.4, "close": at + (0.2 if turn < 50 else -0.2), "volume": 10 + turn, "is_closed": is_closed,
    }  # fmt: skip


def moments(
    symbol: str, interval: str, window: int, horizons: Sequence[int], hits: int, script: Script
) -> dict[str, object]:  # fmt: skip
    """As `GET /similar` answers."""
    step, at = INTERVAL_MS[interval], now_ms() // INTERVAL_MS[interval] * INTERVAL_MS[interval]
    closes = [round(math.sin(place / 5) / 1000, 6) for place in range(window - 1)] + [0.0]
    rises = [0.001 * (number % script.rising_every == script.rising_every - 1) for number in range(hits)]
    ends = [at - 2 * number * window * step for number in range(1, hits + 1)]
    outcome = {"n": hits, "effective_n": float(hits), "median": 0.0005, "lower_quartile": 0.0, "upper_quartile": 0.004}
    drawn = {"n": 400, "effective_n": 90.5, "median": 0.0, "lower_quartile": -0.003, "upper_quartile": 0.003}
    return {
        "symbol": symbol, "interval": interval, "window": window, "k": hits, "at": iso(at),
        "begins": iso(at - 9000 * step), "candles": 9000, "closes": closes, "notice": "",
        "hits": [
            {
                "start": iso(end - window * step), "end": iso(end), "scale": 1.2,
                "similarity": round(0.95 - number * script.unlikeness, 2),
                "after": {str(horizon): rises[number] * horizon for horizon in horizons}, "closes": closes,
                "followed": [rises[number] * place for place in range(1, horizons[-1] + 1)],
            }
            for number, end in enumerate(ends)
        ],
        "outcome": [{"horizon": horizon, "mean": 0.001, **outcome} for horizon in horizons],
        "random": [{"horizon": horizon, "mean": 0.0, **drawn} for horizon in horizons],
    }  # fmt: skip


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


@contextmanager
def scripted(script: Script) -> Iterator[ScriptedService]:
    """A running one; stopped with the block."""
    service = ScriptedService(script)
    service.start()
    try:
        yield service
    finally:
        service.stop()


@contextmanager
def streaming(service: ScriptedService, symbols: Sequence[str], *, every_s: float = 0.2) -> Iterator[None]:
    """New prices of all symbols, again and again for as long as the block lasts."""
    is_over = threading.Event()

    def stream() -> None:
        turn = 0
        while not is_over.wait(every_s):
            turn += 1
            service.say_prices({symbol: f"{100 + (turn * 7 + place) % 90}.25" for place, symbol in enumerate(symbols)})

    thread = threading.Thread(target=stream)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
