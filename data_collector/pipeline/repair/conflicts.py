"""Which of two contents of one trade id is right: the exchange's REST side is asked."""

from __future__ import annotations

import asyncio

import structlog

from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.records import Trade
from data_collector.observe.counters import Counters
from data_collector.pipeline.repair.refill import Refill
from data_collector.pipeline.sequence.trade_intake import TradeIntake

LOOK_S = 1.0


class Conflicts:
    """Settles what the trade intake noted; the trade repair runs it."""

    def __init__(self, intake: TradeIntake, refill: Refill, counters: Counters) -> None:
        self._intake = intake
        self._refill = refill
        self._counters = counters

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            while self._intake.conflicts:
                await self._arbitrate(self._intake.conflicts.popleft())

    async def _arbitrate(self, first: Trade) -> None:
        try:
            trades = (await self._refill.trades(first.symbol, first.trade_id, limit=1)).trades
        except (VenueUnreachable, VenueRefused):
            trades = []
        outcome = "unknown"
        if trades and trades[0].trade_id == first.trade_id:
            outcome = self._intake.settle_conflict(first, trades[0])
        self._counters.add("data_collector_trade_conflicts_settled_total", outcome=outcome)
        structlog.get_logger().error(
            "trade_conflict", symbol=first.symbol, trade_id=first.trade_id, stored_is=outcome,
        )  # fmt: skip
