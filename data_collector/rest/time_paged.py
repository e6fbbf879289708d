"""The trades' side of an `ExchangeApi`, where the exchange is asked for trades since a time (`rest.time_paging`)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Unpack

from data_collector.model.venue import RestOptions, TradePage, TradePlace
from data_collector.rest.budget import RestBudget
from data_collector.rest.client import RestClient
from data_collector.rest.time_paging import MARGIN_NS, TimedPage, TradePlaces, trades_from

NANOSECONDS_FROM = 10**18
"""Of September 2001. Where seconds may be meant too, it is smaller numbers that are taken for them."""

TRADES_MAX = 1000
"""What one answer holds."""


class TimePagedRest(RestClient):
    """Makes all that is asked about trades of one question."""

    def __init__(self, url: str, budget: RestBudget, **options: Unpack[RestOptions]) -> None:
        super().__init__(url, budget, **options)
        self._places: dict[str, TradePlaces] = {}

    @abstractmethod
    async def trades_since(self, symbol: str, since_ns: int | None, count: int, *, urgent: bool) -> TimedPage:
        """The first `count` trades after a time, that time included or not; None asks for the newest ones."""

    async def trades(
        self, symbol: str, from_id: int, *, near: TradePlace | None = None, limit: int = 1000, urgent: bool = False
    ) -> TradePage:
        """One call where a trade before is known that is not far, else a search of some ten."""
        places = self._places.setdefault(symbol, TradePlaces())

        async def ask(since_ns: int | None) -> TimedPage:
            return await self.trades_since(symbol, since_ns, TRADES_MAX, urgent=urgent)

        return await trades_from(ask, places, from_id, near, limit)

    async def first_trade_id(self, symbol: str, since_ms: int, *, urgent: bool = False) -> int | None:
        """One call."""
        since_ns = since_ms * 1_000_000 - MARGIN_NS
        if since_ns < NANOSECONDS_FROM:
            since_ns = 0
        page = await self.trades_since(symbol, since_ns, TRADES_MAX, urgent=urgent)
        return next((trade.trade_id for trade in page.trades if trade.time_ms >= since_ms), None)

    async def first_trade_ms(self, symbol: str) -> int | None:
        """One call."""
        page = await self.trades_since(symbol, 0, 1, urgent=False)
        return page.trades[0].time_ms if page.trades else None

    async def newest_trade_id(self, symbol: str) -> int | None:
        """One call."""
        return await self._head(symbol, urgent=False)

    async def heads(self, symbols: Sequence[str]) -> dict[str, int]:
        """One call a symbol; one that is refused has none."""
        heads = await self._of_each(symbols, lambda symbol: self._head(symbol, urgent=True))
        return {symbol: newest_id for symbol, newest_id in heads.items() if newest_id is not None}

    async def _head(self, symbol: str, *, urgent: bool) -> int | None:
        page = await self.trades_since(symbol, None, 1, urgent=urgent)
        return page.trades[-1].trade_id if page.trades else None
