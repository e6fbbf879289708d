"""Asks the exchange's REST side now and then: statistics, the clock, the symbol list, and whether silence is quiet.

A stream that never spoke is quiet when the exchange's own last trade id does not move, and mute when it does. One
call answers for many symbols, so that nothing is polled per stream.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.keys import Channel
from data_collector.model.protocols import History, SymbolRules
from data_collector.model.records import Ticker
from data_collector.observe.counters import Counters
from data_collector.pipeline.intake import Intake
from data_collector.service.symbols import resting_symbols, unknown_symbols

POLL_S = 10.0
STATISTICS_S = 30.0
"""How old the 24-hour volume may get where tickers are not collected."""

CLOCK_S = 60.0
LIST_S = 600.0
MANY_SYMBOLS = 100
"""Beyond this the calls cost weight that matters, and are made once a minute."""


class Statistics:
    """One eternal task; what it learned is read by the report."""

    def __init__(
        self, history: History, intake: Intake, symbols: Sequence[str], channels: Sequence[Channel], counters: Counters
    ) -> None:
        self._history = history
        self._intake = intake
        self._symbols = symbols
        self._channels = channels
        self._counters = counters
        self._last_ids: dict[str, int] = {}
        self._due_s: dict[str, float] = {}
        self.quiet: set[str] = set()
        """Symbols that proved not to trade since the start."""
        self.unlisted: list[str] = []
        self.resting: dict[str, str] = {}
        self.listed = False
        """Whether the exchange's symbol list has been read."""
        self.on_listed: Callable[[Mapping[str, SymbolRules]], None] | None = None
        """Gets the exchange's symbol list whenever it was asked for."""
        self.down_reason: str | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                if await self._poll():
                    self._told_up()
            except (VenueUnreachable, VenueRefused) as error:
                if self.down_reason is None:
                    structlog.get_logger().warning("exchange_rest_down", reason=str(error))
                self.down_reason = str(error)
            self._counters.set("data_collector_rest_weight_used", self._history.weight_used)
            await asyncio.sleep(POLL_S)

    def learn(self, listed: dict[str, SymbolRules]) -> None:
        """Take the exchange's symbol list; one that came late stops only the symbols that it does not hold."""
        self.listed = True
        if self.on_listed is not None:
            self.on_listed(listed)
        self._next("list", LIST_S)
        unlisted, resting = unknown_symbols(self._symbols, listed), resting_symbols(self._symbols, listed)
        if unlisted != self.unlisted:
            structlog.get_logger().error("symbols_unlisted", symbols=unlisted)
        if resting != self.resting:
            structlog.get_logger().warning("symbols_resting", symbols=resting)
        self.unlisted, self.resting = unlisted, resting

    def silent(self) -> dict[str, list[str]]:
        """Symbols whose subscribed streams have not all spoken, with the names of those that have not."""
        intake, channels = self._intake, self._channels
        unspoken: list[tuple[str, str]] = []
        if "trade" in channels:
            unspoken += [(symbol, "trade") for symbol, lane in intake.lanes.items() if lane.next_id < 0]
        if "ticker" in channels:
            unspoken += [(symbol, "ticker") for symbol in intake.lanes if symbol not in intake.tickers_spoken]
        if "kline" in channels:
            every = intake.klines.series.items()
            unspoken += [(symbol, f"kline_{interval}") for (symbol, interval), series in every if series.open_ms < 0]
        out: dict[str, list[str]] = {}
        for symbol, stream in unspoken:
            if symbol not in self.resting and symbol not in self.unlisted:
                out.setdefault(symbol, []).append(stream)
        return out

    def _told_up(self) -> None:
        if self.down_reason is not None:
            structlog.get_logger().info("exchange_rest_up")
        self.down_reason = None

    async def _poll(self) -> bool:
        """Ask what is due; whether anything was. What fails stays due."""
        asked = False
        if self._is_due("list"):
            self.learn(await self._history.symbols())
            asked = True
        if self._is_due("clock"):
            started = time.time()
            server_s = await self._history.server_time_ms() / 1000
            self._counters.set("data_collector_clock_offset_seconds", server_s - (started + time.time()) / 2)
            self._next("clock", CLOCK_S)
            asked = True
        silent = self.silent()
        wanted = self._wanted(silent)
        if wanted:
            self._judge(await self._history.tickers(sorted(wanted)), silent)
            self._next("silent", POLL_S if len(silent) <= MANY_SYMBOLS else CLOCK_S)
            self._next("statistics", STATISTICS_S)
        return asked or bool(wanted)

    def _wanted(self, silent: Mapping[str, object]) -> set[str]:
        wanted = set(silent) if self._is_due("silent") else set()
        if not self._last_ids or ("ticker" not in self._channels and self._is_due("statistics")):
            wanted |= set(self._symbols)
        return wanted - set(self.unlisted)

    def _judge(self, tickers: Sequence[Ticker], silent: Mapping[str, object]) -> None:
        for ticker in tickers:
            self._intake.take_statistics(ticker)
            # Between two polls: what was traded before the subscription must not count against the stream for ever.
            if ticker.symbol in silent and self._last_ids.get(ticker.symbol) == ticker.last_id:
                self.quiet.add(ticker.symbol)
            else:
                self.quiet.discard(ticker.symbol)
            self._last_ids[ticker.symbol] = ticker.last_id

    def _is_due(self, what: str) -> bool:
        return time.monotonic() >= self._due_s.get(what, 0.0)

    def _next(self, what: str, in_s: float) -> None:
        self._due_s[what] = time.monotonic() + in_s
