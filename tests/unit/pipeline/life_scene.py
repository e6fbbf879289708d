"""A market whose ids have begun anew, with an exchange that answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from data_collector.model.records import Trade
from data_collector.model.sink import TradeRun, TradeTail
from data_collector.pipeline.repair.new_lives import NewLives
from data_collector.pipeline.repair.refill import Reach
from data_collector.pipeline.repair.resuming import resume
from data_collector.pipeline.sequence.new_life import NEW_IDS
from data_collector.pipeline.sequence.trade_sequence import ARBITRATION_S
from tests.market import NOON_MS, SYMBOL, ticker, trade
from tests.unit.pipeline.repair_scene import AN_HOUR, Answer, RepairScene
from tests.unit.pipeline.sequence.test_new_life import is_suspended, new_trade, new_trades

OLD_TAIL = 150


class Register:
    """The numbers of epochs, and what was ordered."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.ended_ms: dict[str, dict[int, int]] = {}
        self.orders: dict[str, int] = {}

    async def remember(self, symbol: str, epoch: int, ended_ms: int | None = None) -> None:
        self.known[symbol] = epoch
        if ended_ms is not None:
            self.ended_ms[symbol] = {epoch - 1: ended_ms}

    async def ordered(self, symbols: Sequence[str]) -> dict[str, int]:
        return self.orders


class LifeScene(RepairScene):
    """The ids of the symbol have begun anew at 0, behind 150; what was stored was taken."""

    def __init__(
        self, *answers: Answer, last_id: int = NEW_IDS, is_automatic: bool = True, reach: Reach = AN_HOUR
    ) -> None:
        super().__init__(*answers, reach=reach)
        self.register = Register()
        self.rest.told = [ticker(NOON_MS, last_id=last_id)]
        trades = self.intake.trades
        self.lives = NewLives(trades, self.rest, self.register, self.counters, is_automatic=is_automatic)
        self.send(*(trade(trade_id) for trade_id in range(11, OLD_TAIL + 1)))
        self.take()
        self.send(*new_trades(0))
        assert is_suspended(self)

    def decide(self) -> None:
        asyncio.run(self.lives.look())

    def begin_new_life(self) -> None:
        """The exchange tells that it is a new life, and two more trades of that come."""
        self.decide()
        self.rest.first_id = 0
        self.send(*new_trades(NEW_IDS, 2))
        self.wait(ARBITRATION_S)

    def restart(self) -> None:
        """Killed; the store ends with the old life, and what was spilled was synced."""
        kept, register, reach = self.kept, self.register, self.reach
        RepairScene.__init__(self, *self.rest.answers, reach=reach, kept=kept)
        self.register = register
        self.sequence.next_id = -1
        self.sequence.recent = [None] * len(self.sequence.recent)
        tails: dict[str, TradeTail | None] = {
            SYMBOL: TradeTail(10, OLD_TAIL, last_ms=NOON_MS + 123, stored_id=OLD_TAIL)
        }
        resume([self.sequence], self.outlet, kept, tails, epochs=register.known, ended_ms=register.ended_ms)

    def bring(self) -> list[TradeRun]:
        """What the store gets when the refill has done what is due."""
        found: list[TradeRun] = []
        for _ in range(4):
            self.look()
            found += self.take().trades
        return found


class StartScene(LifeScene):
    """The store ends with 150; while nothing was collected, ids began anew at 0, and the feed brings 400 and 401."""

    def __init__(
        self, *answers: Answer, passed_over: int = 0, first_id: int = 0, reach: Reach = AN_HOUR
    ) -> None:  # fmt: skip
        RepairScene.__init__(self, *answers, reach=reach)
        self.register = Register()
        self.rest.told = [ticker(NOON_MS, last_id=401)]
        self.rest.first_id = first_id
        self.lives = NewLives(self.intake.trades, self.rest, self.register, self.counters, is_automatic=True)
        self.sequence.next_id = -1
        self.sequence.recent = [None] * len(self.sequence.recent)
        tail = TradeTail(10, OLD_TAIL + passed_over, last_ms=NOON_MS + 123, stored_id=OLD_TAIL)
        resume([self.sequence], self.outlet, self.kept, {SYMBOL: tail})
        self.send(new_trade(400), new_trade(401))


def old_life(first_id: int = OLD_TAIL) -> list[Trade]:
    return [trade(number, received_ns=0) for number in range(first_id, 402)]


def new_life(first_id: int) -> list[Trade]:
    return new_trades(first_id, 402 - first_id)


def places(runs: Sequence[TradeRun]) -> list[tuple[int, int, int]]:
    return [(run.epoch, run.first_id, run.count) for run in runs]
