"""The trades' side of an `ExchangeApi`, where the exchange is asked for the newest trades below an id."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Unpack

from data_collector.model.errors import VenueUnreachable
from data_collector.model.records import Trade
from data_collector.model.venue import RestOptions, TradePage, TradePlace
from data_collector.rest.budget import RestBudget
from data_collector.rest.client import RestClient

CALLS_MAX = 80
"""Of a search; one of a thousand million ids takes some twenty."""


class IdPagedRest(RestClient):
    """Makes all that is asked about trades of one question. Ids begin with 1, and later trades have larger ones.

    Every trade is kept, for ever: the first that is told is the first that there was. Where that is not so,
    `first_trade_ms` is to say None.
    """

    trades_max = 1000
    """What one answer holds."""

    def __init__(self, url: str, budget: RestBudget, **options: Unpack[RestOptions]) -> None:
        super().__init__(url, budget, **options)
        self._newest: dict[str, int] = {}
        """By symbol: the newest id when it was told last."""
        self._first_ms: dict[str, int] = {}

    @abstractmethod
    async def trades_below(self, symbol: str, until_id: int | None, count: int, *, urgent: bool) -> list[Trade]:
        """The last `count` trades whose ids are below one, rising; None asks for the newest ones."""

    async def trades(
        self, symbol: str, from_id: int, *, near: TradePlace | None = None, limit: int = 1000, urgent: bool = False
    ) -> TradePage:
        """One call where later ones were told before, else the newest ones first. More where ids have large holes."""
        high_id = self._newest.get(symbol, -1) + 1
        above: list[Trade] = []
        if from_id + self.trades_max >= high_id:
            above = await self._newest_page(symbol, self.trades_max, urgent=urgent)
            if not above or above[0].trade_id <= from_id:
                found = [trade for trade in above if trade.trade_id >= from_id]
                return TradePage(found[:limit], reaches_head=len(found) <= limit)
            high_id = above[0].trade_id
        low_id, until_id, to_head = from_id, min(from_id + self.trades_max, high_id), bool(above)
        for _ in range(CALLS_MAX):
            # Something is at `high_id`, or right below where `above` is empty; nothing from `from_id` to `low_id`.
            page = await self._page(symbol, until_id, urgent=urgent)
            found = [trade for trade in page if trade.trade_id >= low_id]
            if until_id == high_id:
                found += above
            elif found:
                to_head = False
            if page and page[0].trade_id > low_id:
                high_id, above = page[0].trade_id, found
            elif found:
                return TradePage(found[:limit], reaches_head=to_head and len(found) <= limit)
            elif until_id < high_id:
                low_id = until_id
            else:
                # What was told before is there no more.
                del self._newest[symbol]
                break
            until_id = high_id if high_id - low_id <= self.trades_max else (low_id + high_id) // 2
        raise VenueUnreachable(f"trade {from_id} of {symbol} is not told, nor what comes after it")

    async def first_trade_id(self, symbol: str, since_ms: int, *, urgent: bool = False) -> int | None:
        """Some ten calls."""
        page = await self._newest_page(symbol, self.trades_max, urgent=urgent)
        if not page or page[-1].time_ms < since_ms:
            return None
        low, high, until_id = (0, 0), page[-1], page[-1].trade_id + 1
        for number in range(CALLS_MAX):
            if not page or page[-1].time_ms < since_ms:
                if until_id == high.trade_id:
                    return high.trade_id
                # A page holds the newest below the id: from there to it there is nothing.
                low = until_id - 1, page[-1].time_ms if page else low[1]
            elif page[0].time_ms < since_ms:
                return next(trade.trade_id for trade in page if trade.time_ms >= since_ms)
            else:
                high = page[0]
            until_id = _between(*low, high, since_ms if number % 2 else None, self.trades_max)
            page = await self._page(symbol, until_id, urgent=urgent)
        raise VenueUnreachable(f"the first trade of {symbol} since {since_ms} was not found in {CALLS_MAX} answers")

    async def first_trade_ms(self, symbol: str) -> int | None:
        """Found once."""
        if symbol not in self._first_ms:
            first_id = await self.first_trade_id(symbol, 0)
            page = [] if first_id is None else await self.trades_below(symbol, first_id + 1, 1, urgent=False)
            if not page:
                return None
            self._first_ms[symbol] = page[0].time_ms
        return self._first_ms[symbol]

    async def newest_trade_id(self, symbol: str) -> int | None:
        """One call."""
        page = await self._newest_page(symbol, 1, urgent=False)
        return page[-1].trade_id if page else None

    async def heads(self, symbols: Sequence[str]) -> dict[str, int]:
        """One call a symbol; one that is refused has none."""
        found = await self._of_each(symbols, lambda symbol: self._newest_page(symbol, 1, urgent=True))
        return {symbol: page[-1].trade_id for symbol, page in found.items() if page}

    async def _newest_page(self, symbol: str, count: int, *, urgent: bool) -> list[Trade]:
        page = await self.trades_below(symbol, None, count, urgent=urgent)
        self._newest[symbol] = page[-1].trade_id if page else -1
        return page

    async def _page(self, symbol: str, until_id: int, *, urgent: bool) -> list[Trade]:
        return await self.trades_below(symbol, until_id, self.trades_max, urgent=urgent) if until_id > 0 else []


def _between(low_id: int, low_ms: int, high: Trade, since_ms: int | None, page: int) -> int:
    """Below which id to look next, for pages so long: half way, or where a time would be if all were as far apart."""
    width = high.trade_id - low_id
    if width <= page:
        return high.trade_id
    part = width // 2
    if since_ms is not None and low_ms < high.time_ms:
        part = width * (since_ms - low_ms) // (high.time_ms - low_ms) + page // 2
    return low_id + min(max(part, page // 2), width - 1)
