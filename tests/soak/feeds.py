"""One exchange in a soak run: what it calls things, the way to its streams, and the oracles of its records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from data_collector.model.keys import Channel, Key
from data_collector.model.venue import Venue
from tests.proxy import Proxy
from tests.soak.gap_oracle import GapOracle
from tests.soak.kline_oracle import KlineOracle
from tests.soak.trade_oracle import TradeOracle


class Wire(Struct, frozen=True):
    """Where and with what faults strike an exchange."""

    rest: str
    """Paths, as a shell pattern."""
    trades: str
    """Those where trades are read by their ids."""
    contradiction: dict[str, object]
    """What is changed in the frame of a trade, so that it is another one."""
    clock: tuple[str, str] | None = None
    """Path and field of a number of milliseconds, where REST has one."""
    closing: str = ""
    """What the closing frames of klines have in them; an exchange of built ones sends none."""


WIRES = {
    "binance": Wire(
        "/api/v3/*", "/api/v3/historicalTrades", {"p": "1.00000000"}, ("/api/v3/time", "serverTime"), '"x":true'
    ),
    "coinbase": Wire("/products/*", "/products/*/trades", {"price": "1.00000000"}),
    "kraken": Wire("/0/public/*", "/0/public/Trades", {"data.0.price": 1.0}),
}


class Collector(Protocol):
    """One seat for a collector of an exchange: processes come and go."""

    spool: Path
    """What it keeps on disk of what came."""
    peak_bytes: int
    starts: int
    ends: list[int]
    """Exit codes of processes that ended without being asked to."""

    async def start(self) -> None:
        """See to it that there is one, now or soon."""

    async def watch(self) -> None:
        """Sample memory and counters, until cancelled."""

    async def kill(self) -> None:
        """kill -9; returns when it is gone."""

    async def terminate(self) -> None:
        """SIGTERM, and wait for the end."""

    def hold(self) -> None:
        """SIGSTOP."""

    def go_on(self) -> None:
        """SIGCONT."""

    def counters(self) -> dict[str, float]:
        """What all its processes counted."""


@dataclass
class Oracles:
    """Of one symbol at one exchange."""

    trades: TradeOracle
    klines: list[KlineOracle]
    gaps: GapOracle


@dataclass
class Feed:
    """Handed to faults, within the scene."""

    venue: Venue
    symbols: tuple[str, ...]
    """As the exchange calls them."""
    socket: Proxy
    """Between the collectors and the streams."""
    collectors: list[Collector]
    oracles: list[Oracles]

    @property
    def wire(self) -> Wire:
        """See there."""
        return WIRES[self.venue.name]

    def stream(self, channel: Channel, symbol: str = "*", interval: str | None = None) -> str:
        """Its name on the wire, or a pattern of several."""
        return self.venue.codec.stream_name(Key(channel, symbol, interval))
