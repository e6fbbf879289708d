"""The simulated exchange as the soak uses it: told what to do over its own routes, and asked for the truth."""

from __future__ import annotations

import asyncio
from types import TracebackType

import aiohttp
import msgspec
from msgspec import Struct

from data_collector.model.records import Kline, Trade

TIMEOUT_S = 240.0
"""A burst is answered when it is sent, which takes as long as the slowest reader, and one may stand for a minute."""


class SymbolState(Struct):
    """What the exchange tells of a symbol."""

    last_id: int | None


class ConnectionState(Struct):
    """What the exchange tells of a connection."""

    number: int
    exchange: str


class State(Struct):
    """What the soak needs of GET /simulator/state."""

    now_ms: int
    symbols: dict[str, SymbolState]
    connections: list[ConnectionState]
    fault_hits: dict[str, int]


_trades = msgspec.json.Decoder(list[Trade])
_klines = msgspec.json.Decoder(list[Kline])
_state = msgspec.json.Decoder(State)


class Market:
    """Use as an asynchronous context manager."""

    def __init__(self, rest_url: str) -> None:
        self._url = f"{rest_url}/simulator"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Market:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def trades(self, symbol: str, from_id: int) -> list[Trade]:
        """What was traded, from an id on."""
        return _trades.decode(await self._get(f"tape?symbol={symbol}&from_id={from_id}"))

    async def closed_klines(self, symbol: str, interval: str) -> list[Kline]:
        """Every closed kline that has trades."""
        return _klines.decode(await self._get(f"klines?symbol={symbol}&interval={interval}"))

    async def state(self) -> State:
        """Time and newest ids."""
        return _state.decode(await self._get("state"))

    async def heads(self) -> dict[str, int]:
        """The newest trade id of each symbol that has one."""
        symbols = (await self.state()).symbols
        return {name: told.last_id for name, told in symbols.items() if told.last_id is not None}

    async def act(self, action: str, **arguments: object) -> None:
        """One of the simulator's actions."""
        await self._post("actions", {"action": action, **arguments})

    async def frame_fault(self, **fault: object) -> None:
        """A fault in the frames of streams."""
        await self._post("faults", {"frames": [fault]})

    async def rest_fault(self, **fault: object) -> None:
        """A fault in REST answers."""
        await self._post("faults", {"rest": [fault]})

    async def leave_out(self, **fault: object) -> None:
        """Trades that streams do not tell."""
        await self._post("faults", {"equal_times": [fault]})

    async def lie(self, **lie: object) -> None:
        """A lie of streams."""
        await self._post("faults", {"lies": [lie]})

    async def refuse(self, **fault: object) -> None:
        """A fault in the opening of streams."""
        await self._post("faults", {"refuse": [fault]})

    async def clear_faults(self) -> None:
        """Behave again."""
        async with self._open().delete(f"{self._url}/faults") as answer:
            answer.raise_for_status()

    async def _get(self, path: str) -> bytes:
        async with self._open().get(f"{self._url}/{path}") as answer:
            answer.raise_for_status()
            return await answer.read()

    async def _post(self, path: str, body: object) -> None:
        async with asyncio.timeout(TIMEOUT_S), self._open().post(f"{self._url}/{path}", json=body) as answer:
            answer.raise_for_status()

    def _open(self) -> aiohttp.ClientSession:
        assert self._session is not None, "entered"
        return self._session
