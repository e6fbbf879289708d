"""Repair and refill with an exchange that answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.records import Ticker, Trade
from data_collector.model.venue import KlinePage, SymbolRules, TradePage, TradePlace
from data_collector.pipeline.repair.places import Places
from data_collector.pipeline.repair.refill import Reach, Refill
from data_collector.pipeline.repair.trade_repair import TradeRepair
from data_collector.pipeline.spool.spool import Spool
from tests.market import NOON_MS, SYMBOL, trade
from tests.unit.pipeline.intake_scene import Scene

AWAY = VenueUnreachable("The exchange is away.", retry_after_s=7.0)
NEVER = VenueRefused("The exchange does not serve that.")

AN_HOUR = Reach(3_600, 1_000_000)

Answer = list[int] | list[Trade] | VenueUnreachable | VenueRefused


class ScriptedRest:
    """Answers one after the other; the last one again and again."""

    weight_used = 0
    key_wanted: str | None = None
    background_weight_per_minute = 2700

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[int] = []
        """First ids of the questions."""
        self.near: list[TradePlace | None] = []
        self.urgent: list[bool] = []
        self.since_ms: list[int] = []
        self.first_id: int | None = None
        self.told: list[Ticker] = []
        """What tickers say."""
        self.clock_error: VenueUnreachable | VenueRefused | None = None
        self.meanwhile: Callable[[], None] = lambda: None
        """What happens while the exchange is asked for trades."""

    async def trades(
        self, symbol: str, from_id: int, *, near: TradePlace | None = None, limit: int = 1000, urgent: bool = False
    ) -> TradePage:
        self.asked.append(from_id)
        self.near.append(near)
        self.urgent.append(urgent)
        self.meanwhile()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, VenueUnreachable | VenueRefused):
            raise answer
        trades = [trade(one, received_ns=0) if isinstance(one, int) else one for one in answer]
        return TradePage(trades, reaches_head=len(trades) < limit)

    async def first_trade_id(self, symbol: str, since_ms: int, *, urgent: bool = False) -> int | None:
        self.since_ms.append(since_ms)
        if self.clock_error is not None:
            raise self.clock_error
        return self.first_id

    async def symbols(self) -> dict[str, SymbolRules]:
        return {}

    async def tickers(self, symbols: Sequence[str]) -> list[Ticker]:
        return self.told

    async def server_time_ms(self) -> int:
        return NOON_MS

    async def klines(
        self, symbol: str, interval: str, first_ms: int, last_ms: int, *, urgent: bool = False
    ) -> KlinePage:
        return KlinePage([], first_ms, first_ms - 1)

    async def heads(self, symbols: Sequence[str]) -> dict[str, int]:
        return {}

    async def first_trade_ms(self, symbol: str) -> int | None:
        return None

    async def newest_trade_id(self, symbol: str) -> int | None:
        return None

    async def close(self) -> None:
        pass


class RepairScene(Scene):
    """The first trade, 10, was let through and taken."""

    def __init__(
        self, *answers: Answer, reach: Reach = AN_HOUR, kept: Spool | None = None, rest: ScriptedRest | None = None
    ) -> None:
        super().__init__(kept=kept)
        self.reach = reach
        self.rest = rest or ScriptedRest(*answers)
        trades = self.intake.trades
        self.places = Places(trades.sequences)
        self.refill = Refill(
            self.outlet, self.intake.refusals, self.kept, self.rest, self.ledger, reach, lambda: NOON_MS,
            lambda: self.now_s, note=self.intake.tally.note_refilled,
            places=self.places, page_trades=1_000,
        )  # fmt: skip
        self.repair = TradeRepair(
            self.outlet, trades, self.refill, self.kept, self.ledger, self.counters, lambda: self.now_s,
        )  # fmt: skip
        self.begin()
        self.take()

    def skip_to(self, next_id: int) -> None:
        """The feed goes on there, and nobody has kept what was before."""
        self.sequence.next_id = next_id
        self.outlet.resume(SYMBOL, next_id, origin_id=self.queue.origin_id)

    def look(self, seconds: float = 0.2) -> None:
        """Time passes, and the repair does what is due."""
        self.now_s += seconds
        self.repair.look()
        asyncio.run(self.repair.work_off())

    def closed(self) -> list[tuple[int, int, dict[str, int], dict[str, int]]]:
        """What the ledger tells of gaps that are over: first, last, healed from where, given up why."""
        lives = self.ledger.status().closed
        return [(life.first, life.last, life.healed, life.given_up) for life in reversed(lives)]
