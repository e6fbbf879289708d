"""The trades of a symbol from some time on, page after page: of the database where it has them, else of the exchange.

Each page begins with the last trade of the one before, so that nothing between two of them can be missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from data_collector.history.comparison import is_same_time
from data_collector.history.feeds import Doubts, faults_of_trades
from data_collector.history.ports import HeldTrades
from data_collector.model.calendar import DAY_MS, HOUR_MS, MINUTE_MS
from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.records import Trade
from data_collector.model.venue import ExchangeApi, TradePage, TradePlace

MARGIN_MS = 1_000
"""A trade with a later id happened later, or earlier by less."""


class WalkedTrades(Struct, frozen=True):
    """What follows what was told before."""

    trades: Sequence[Trade]
    until_ms: int
    """All that happened before is told."""
    is_newest: bool
    """Nothing follows yet."""


class TradeWalk:
    """One way through a symbol's trades. Methods raise what exchange and database do, and may be called again then."""

    def __init__(self, symbol: str, rest: ExchangeApi, held: HeldTrades, limit: int, now_ms: int) -> None:
        """`limit`: what one answer holds; `now_ms`: no time after it is asked about."""
        self._symbol = symbol
        self._rest = rest
        self._held = held
        self._limit = limit
        self._now_ms = now_ms
        self._doubts = Doubts()
        self._last: Trade | None = None
        self._newest_ms = 0

    async def begin(self, since_ms: int) -> tuple[WalkedTrades, int]:
        """The first page, from a trade before a time on; and from when on all trades are told."""
        rest, symbol, before_ms = self._rest, self._symbol, since_ms - MARGIN_MS
        for from_ms in (before_ms - MINUTE_MS, before_ms - DAY_MS, before_ms):
            first_id = await rest.first_trade_id(symbol, max(from_ms, 0))
            if first_id is None:
                break
            page = await self._ask(first_id, None)
            trades = page.trades
            is_near = page.reaches_head or (trades and trades[-1].time_ms >= since_ms) or from_ms >= since_ms - HOUR_MS
            if trades and trades[0].time_ms < before_ms and is_near:
                return self._walked(page.trades, is_newest=page.reaches_head), since_ms
        if first_id is None:
            newest_id = await rest.newest_trade_id(symbol)
            if newest_id is None:
                return WalkedTrades((), 0, is_newest=True), since_ms
            first_id = newest_id + 1
        # The one right before it was long ago, or never: an exchange that is asked by time has to search for it.
        page = await self._ask(max(first_id - 1, 0), None)
        walked = self._walked(page.trades, is_newest=page.reaches_head)
        if not page.trades:
            return walked, since_ms
        first = page.trades[0]
        if first.trade_id < first_id and first.time_ms >= before_ms:
            raise VenueUnreachable(f"trade {first.trade_id} of {symbol} came with a time that contradicts its place")
        if first.trade_id < first_id:
            return walked, since_ms
        # There is none before it; or the one before is not there, which proves nothing.
        is_first = first.time_ms == await rest.first_trade_ms(symbol)
        return walked, 0 if is_first else first.time_ms + MARGIN_MS

    async def go_on(self) -> WalkedTrades:
        """The next page."""
        last = self._last
        assert last is not None, "there was a page before"
        held = await self._held.trades_by_id(self._symbol, last.trade_id, last.trade_id + self._limit - 1, self._limit)
        if len(held) > 1 and held[0].trade_id == last.trade_id and is_same_time(held[0], last) and _follow(held):
            return self._walked(held[1:], is_newest=False)
        page = await self._ask(last.trade_id, TradePlace.of(last))
        if not page.trades or page.trades[0].trade_id != last.trade_id:
            raise VenueUnreachable(f"the exchange told trade {last.trade_id} of {self._symbol}, and then did not")
        return self._walked(page.trades[1:], is_newest=page.reaches_head or len(page.trades) == 1)

    async def _ask(self, from_id: int, near: TradePlace | None) -> TradePage:
        page = await self._rest.trades(self._symbol, from_id, near=near, limit=self._limit)
        faults = faults_of_trades(page.trades)
        self._doubts.settle(faults)
        if faults:
            # The same again, and nothing can be made of it.
            raise VenueRefused(faults[min(faults)])
        return page

    def _walked(self, trades: Sequence[Trade], *, is_newest: bool) -> WalkedTrades:
        if trades:
            self._last = trades[-1]
            self._newest_ms = max(self._newest_ms, *(trade.time_ms for trade in trades))
        known_ms = self._now_ms if is_newest else self._newest_ms
        return WalkedTrades(trades, known_ms - MARGIN_MS, is_newest)


def _follow(trades: Sequence[Trade]) -> bool:
    return all(after.trade_id == before.trade_id + 1 for before, after in pairwise(trades))
