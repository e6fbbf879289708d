"""Asks the exchange's REST side: its symbols before anything is started, then statistics, clock and list now and then.

Whether a silent stream is quiet or mute is asked by `service.watches.silence`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import structlog

from data_collector.model.errors import Misconfigured, VenueRefused, VenueUnreachable
from data_collector.model.keys import Channel
from data_collector.model.status import Snapshot
from data_collector.model.subscriptions import Subscriptions
from data_collector.model.venue import ExchangeApi, SymbolRules, Venue
from data_collector.observe.counters import Counters
from data_collector.pipeline.sequence.intake import Intake
from data_collector.service.part import Part, PartHealth, Spawn, names
from data_collector.service.subscription_plan import resting_symbols, unknown_sentence, unknown_symbols
from data_collector.settings import Settings

POLL_S = 10.0
STATISTICS_S = 30.0
"""How old the 24-hour volume may get where tickers are not collected."""

CLOCK_S = 60.0
LIST_S = 600.0

NOT_CHECKED = "whether the exchange has it is not checked yet"
NOT_LISTED = "the exchange does not list it"
"""Why nothing can come of a symbol."""


class Statistics(Part):
    """One eternal task; what it learned is read by the report."""

    def __init__(
        self, rest: ExchangeApi, intake: Intake, symbols: Sequence[str], channels: Sequence[Channel],
        counters: Counters, on_listed: Callable[[Mapping[str, SymbolRules]], None],
    ) -> None:  # fmt: skip
        """`on_listed` gets the exchange's symbol list whenever it was asked for."""
        self._rest = rest
        self._intake = intake
        self._symbols = symbols
        self._channels = channels
        self._counters = counters
        self._due_s: dict[str, float] = {}
        self._known: dict[str, SymbolRules] = {}
        self.unlisted: list[str] = []
        self.resting: dict[str, str] = {}
        self.listed = False
        """Whether the exchange's symbol list has been read."""
        self._on_listed = on_listed
        self.down_reason: str | None = None

    def start(self, spawn: Spawn) -> None:
        """See `Part`."""
        spawn("statistics", self.run)

    def report(self, snapshot: Snapshot) -> PartHealth:
        """Symbols that nothing comes of, and whether REST answers."""
        reasons: list[str] = []
        snapshot.uncollected = self._uncollected()
        if self.unlisted:
            reasons.append(f"the exchange does not list {names(self.unlisted)}")
        if self.resting:
            states = [f"{symbol} ({status})" for symbol, status in sorted(self.resting.items())]
            reasons.append(f"waiting for symbols that do not trade now: {names(states)}")
        if self.down_reason is not None:
            unchecked = "" if self.listed else f"; whether it has {names(self._symbols)} is not checked yet"
            reasons.append(f"the exchange's REST side: {self.down_reason}{unchecked}")
        if self._rest.key_wanted is not None:
            reasons.append(f"the exchange gives only its newest trades again: {self._rest.key_wanted}")
        clock = self._intake.tally.clock
        self._counters.set("data_collector_clock_disagreement_seconds", clock.disagreement_ms / 1000)
        if clock.doubt is not None:
            reasons.append(clock.doubt)
        return PartHealth(reasons)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                if await self._poll() and self.down_reason is not None:
                    structlog.get_logger().info("exchange_rest_up")
                    self.down_reason = None
            except (VenueUnreachable, VenueRefused) as error:
                if self.down_reason is None:
                    structlog.get_logger().warning("exchange_rest_down", reason=str(error))
                self.down_reason = str(error)
            self._counters.set("data_collector_rest_weight_used", self._rest.weight_used)
            await asyncio.sleep(POLL_S)

    def use(self, subscriptions: Subscriptions) -> None:
        """Ask for these from now on, the statistics at once."""
        self._symbols, self._channels = subscriptions.symbols, subscriptions.channels
        self._due_s.pop("statistics", None)
        if self.listed:
            self._judge(self._known)

    def learn(self, listed: dict[str, SymbolRules]) -> None:
        """Take the exchange's symbol list; one that came late stops only the symbols that it does not hold."""
        self.listed = True
        self._on_listed(listed)
        self._next("list", LIST_S)
        self._known = listed
        self._judge(listed)

    async def ask_clock(self) -> None:
        """Learn the time of the exchange's REST side. Raises `VenueUnreachable` and `VenueRefused`."""
        started = time.time()
        server_ms = await self._rest.server_time_ms()
        self._intake.tally.note_rest(server_ms)
        self._counters.set("data_collector_clock_offset_seconds", server_ms / 1000 - (started + time.time()) / 2)
        self._next("clock", CLOCK_S)

    def _uncollected(self) -> dict[str, str]:
        if not self.listed:
            return dict.fromkeys(self._symbols, NOT_CHECKED)
        resting = {symbol: f"does not trade now ({status})" for symbol, status in self.resting.items()}
        return resting | dict.fromkeys(self.unlisted, NOT_LISTED)

    def _judge(self, listed: Mapping[str, SymbolRules]) -> None:
        unlisted, resting = unknown_symbols(self._symbols, listed), resting_symbols(self._symbols, listed)
        if unlisted != self.unlisted:
            structlog.get_logger().error("symbols_unlisted", symbols=unlisted)
        if resting != self.resting:
            structlog.get_logger().warning("symbols_resting", symbols=resting)
        self.unlisted, self.resting = unlisted, resting

    async def _poll(self) -> bool:
        """Ask what is due; whether anything was. What fails stays due."""
        asked = False
        if self._is_due("list"):
            self.learn(await self._rest.symbols())
            asked = True
        if self._is_due("clock"):
            await self.ask_clock()
            asked = True
        wanted = set(self._symbols) - set(self.unlisted)
        # Tickers of the stream are newer, once they come.
        if wanted and self._is_due("statistics"):
            for ticker in await self._rest.tickers(sorted(wanted)):
                self._intake.take_statistics(ticker)
            self._next("statistics", float("inf") if "ticker" in self._channels else STATISTICS_S)
            asked = True
        return asked

    def _is_due(self, what: str) -> bool:
        return time.monotonic() >= self._due_s.get(what, 0.0)

    def _next(self, what: str, in_s: float) -> None:
        self._due_s[what] = time.monotonic() + in_s


class Exchange(Part):
    """The REST side for as long as the process lives. Whether it answers later on is told by `Statistics`."""

    awaited = "the exchange's connections to close"

    def __init__(self, venue: Venue, rest: ExchangeApi, settings: Settings, statistics: Statistics) -> None:
        self._venue = venue
        self._rest = rest
        self._symbols = settings.symbols
        self._advice = settings.offline_advice
        self._statistics = statistics

    async def open(self) -> None:
        """Check the symbols, if the exchange answers. Raises `Misconfigured`.

        Two answers must agree that it lists one no more: a start is not refused on the word of one.
        """
        try:
            listed = await self._rest.symbols()
            if unknown_symbols(self._symbols, listed):
                listed = await self._rest.symbols()
        except (VenueUnreachable, VenueRefused) as error:
            advice = {"advice": self._advice} if self._advice else {}
            structlog.get_logger().warning("symbols_unchecked", reason=str(error), **advice)
            self._statistics.down_reason = str(error)
            return
        unknown = unknown_symbols(self._symbols, listed)
        if unknown:
            raise Misconfigured(unknown_sentence(unknown, listed, self._venue))
        self._statistics.learn(listed)
        # Before the first message, which is held against it; else it is asked again at once.
        with suppress(VenueUnreachable, VenueRefused):
            await self._statistics.ask_clock()

    async def close(self) -> None:
        """Release the connections."""
        await self._rest.close()
