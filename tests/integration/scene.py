"""Exchange and collector in one event loop, with a real store: for faults that need no kill."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from msgspec import structs

from data_collector.facade import DataCollector
from data_collector.model.status import Snapshot
from data_collector.model.venue import Venue
from data_collector.simulator import Simulator, SimulatorSettings
from data_collector.venues.binance.speaker import SPEAKER
from data_collector.venues.binance.venue import VENUE
from tests.integration.exactness import PLAIN, Holes, TradeForm, assert_trades_exact, iso
from tests.integration.store_reader import Store, parsed
from tests.integration.waiting import until_async

START_MS = 1_767_225_600_000
"""2026-01-01, in the middle of nothing: a driven market has a clock of its own."""

SYMBOLS = ("BTCUSDT", "ETHUSDT")

NO_HOLES: dict[str, Holes] = {symbol: [] for symbol in SYMBOLS}
"""Nothing is missing."""

DRIVEN = SimulatorSettings(driven=True, start_ms=START_MS, symbols=SYMBOLS, history_trades=2_000)
"""A market that stands still until it is told to go on. All of its past is on the tape, to be compared with."""

CLOSING_MS = 2_100
"""The last closing frame of a candle has been sent this long after its end."""


@dataclass
class Scene:
    """A market, what collects from it, and where that is stored."""

    simulator: Simulator
    collector: DataCollector
    store: Store
    symbols: Sequence[str]
    form: TradeForm = PLAIN

    @property
    def status(self) -> Snapshot:
        return self.collector.status()

    def counted(self, name: str, **labels: str) -> float:
        """A metric's value, over all labels that are not given."""
        return sum(
            sample.value
            for sample in self.status.samples
            if sample.name == f"data_collector_{name}" and labels.items() <= sample.labels.items()
        )

    async def subscribed(self, *, after_attempts: int = 0) -> None:
        """Wait until the exchange has our streams on a connection made after so many attempts."""
        await until_async(
            lambda: self._attempts() > after_attempts and self._is_subscribed() and self._connected(),
            "a subscribed connection",
        )

    def attempts(self) -> int:
        """How often the collector has dialled."""
        return self._attempts()

    async def trade(self, milliseconds: int = 5_000) -> None:
        """Let market time pass, and wait until its last trade is stored."""
        self.simulator.advance(milliseconds)
        await self.settled()

    async def settled(self) -> None:
        """The newest trade of each symbol is stored."""
        newest = {symbol: self.simulator.tape(symbol)[-1].trade_id for symbol in self.symbols}
        await until_async(
            lambda: all(self.store.tail_id(symbol) == trade_id for symbol, trade_id in newest.items()),
            f"the newest trades {newest} in the store",
        )

    async def klines_closed(self) -> None:
        """Let time pass until the closing frames of all candles that have ended are sent and stored."""
        now_ms = self.simulator.market.now_ms
        self.simulator.advance(60_000 - now_ms % 60_000 + CLOSING_MS)
        await self.settled()
        for symbol in self.symbols:
            open_ms = self.simulator.closed_klines(symbol, "1m")[-1].open_ms
            await until_async(partial(self._is_closed, symbol, open_ms), f"the close of {symbol} 1m at {open_ms}")

    async def reconnected(self, times: int) -> None:
        """Wait until the store has been connected to again so often."""
        await until_async(lambda: self.counted("store_reconnects_total") >= times, f"{times} reconnections")

    def assert_trades_exact(self) -> dict[str, Holes]:
        """All symbols; returns what is declared as missing."""
        return {
            symbol: assert_trades_exact(self.store, symbol, self.simulator.tape(symbol), self.form)
            for symbol in self.symbols
        }

    def filled(self, source: str = "rest") -> float:
        """How many missing trades came from there."""
        return self.counted("gap_filled_total", channel="trade", source=source)

    def assert_counts_add_up(self) -> None:
        """The contract's identity."""
        status = self.status
        assert status.messages_received == (
            status.messages_validated + status.validation_errors + status.messages_in_flight
        )
        assert status.messages_in_flight == 0

    def _is_closed(self, symbol: str, open_ms: int) -> bool:
        text = self.store.text(f"kline:{symbol}:1m:{iso(open_ms, digits='seconds')}")
        return text is not None and parsed(text)["is_closed"] is True

    def _attempts(self) -> int:
        attempts = self.simulator.state()["connection_attempts"]
        assert isinstance(attempts, int)
        return attempts

    def _is_subscribed(self) -> bool:
        lines = self.status.connections
        wanted = max((line.streams for line in lines), default=0)
        full = [each for each in self.simulator.connections() if len(each.streams) >= wanted > 0]
        return len(full) >= len(lines) > 0

    def _connected(self) -> bool:
        return all(connection.state == "connected" for connection in self.status.connections)


def venue(
    *, max_age_s: float | None = None, ping_interval_s: float | None = None, stream_path: str | None = None
) -> Venue:
    """Binance with other limits, so that what takes a day there takes seconds here."""
    limits = VENUE.limits
    return structs.replace(
        VENUE,
        limits=structs.replace(
            limits,
            max_age_s=max_age_s or limits.max_age_s,
            ping_interval_s=ping_interval_s or limits.ping_interval_s,
        ),
        stream_path=stream_path or VENUE.stream_path,
    )


@asynccontextmanager
async def playing(
    store: Store, folder: Path, settings: SimulatorSettings = DRIVEN, *, simulator: Simulator | None = None,
    beside: Scene | None = None, exchange: Venue = VENUE, symbols: Sequence[str] = SYMBOLS,
    intervals: Sequence[str] = ("1m", "5m"),
    kind: type[DataCollector] | None = None, **collector_settings: str,
) -> AsyncIterator[Scene]:  # fmt: skip
    """A driven market (unless `settings` or `simulator` say otherwise) that is being collected.

    `beside` another scene: a second collector on the same market. `kind` is a subclass to collect with. Everything ends
    with the block.
    """

    class Collector(DataCollector):
        """Collects from the simulator."""

    chosen = kind or Collector
    chosen.exchange = exchange
    if beside is None:
        simulator = simulator or Simulator(settings, [SPEAKER])
        await simulator.start()
    else:
        simulator = beside.simulator
    address = simulator.addresses[exchange.name]
    try:
        collector = chosen(
            symbols=list(symbols), intervals=list(intervals), redis_url=store.url, var_dir=folder,
            ws_url=address.ws_url, rest_url=address.rest_url, **collector_settings,
        )  # fmt: skip
        await collector.start()
        try:
            form = TradeForm(order_ids=simulator.settings.order_ids, microseconds="MICROSECOND" in exchange.stream_path)
            yield Scene(simulator, collector, store, symbols, form)
        finally:
            await collector.stop()
    finally:
        if beside is None:
            await simulator.stop()
