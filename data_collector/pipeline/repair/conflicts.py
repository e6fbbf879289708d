"""Which of two contents of one trade id is right, and which trades of a minute are wrong: REST is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import structlog

from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.records import Kline, Trade
from data_collector.observe.counters import Counters
from data_collector.pipeline.repair.refill import Refill
from data_collector.pipeline.sequence.trade_intake import TradeIntake

LOOK_S = 1.0

PAGES_MAX = 20
"""Questions for the trades of a minute."""


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
            await self.settle()

    async def settle(self) -> None:
        """Ask about all trades, and about one minute, that wait."""
        while self._intake.conflicts:
            await self._arbitrate(self._intake.conflicts.popleft())
        minutes = self._intake.contradictions.minutes
        if minutes:
            await self._look_through(minutes.popleft())

    async def _look_through(self, kline: Kline) -> None:
        """What REST tells of the trades of a minute, of which it tells another kline than they make."""
        sequence, next_id, found = self._intake.sequences.get(kline.symbol), kline.first_trade_id, 0
        ours: list[Trade] = []
        for _ in range(PAGES_MAX):
            if sequence is None or not 0 <= next_id <= kline.last_trade_id:
                break
            try:
                trades = (await self._refill.trades(kline.symbol, next_id)).trades
            except (VenueUnreachable, VenueRefused):
                trades = []
            for truth in trades:
                first = sequence.known(truth.trade_id) if truth.trade_id <= kline.last_trade_id else None
                if first is not None and self._intake.settle_conflict(first, truth) == "wrong":
                    found += 1
                elif first is not None:
                    ours.append(first)
            next_id = trades[-1].trade_id + 1 if trades else -1
        if not found and _make(kline, ours):
            structlog.get_logger().info("candle_spans_absent_ids", symbol=kline.symbol, open_ms=kline.open_ms)
            return
        if not found:
            self._intake.contradictions.note_unknown(kline.symbol)
        structlog.get_logger().error(
            "trades_contradict_candle", symbol=kline.symbol, open_ms=kline.open_ms, wrong=found
        )

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


def _make(kline: Kline, trades: Sequence[Trade]) -> bool:
    """Whether a kline tells these trades and no more: ids between them that it spans are absent."""
    return kline.trades == len(trades) and Decimal(kline.volume) == sum(Decimal(each.quantity) for each in trades)
