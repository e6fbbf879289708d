"""A stretch of history, for programmes with an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator

from data_collector.client.answering.awaiting import AsyncAnswering
from data_collector.client.reading.history import History, Stretch
from data_collector.client.reading.market import Market
from data_collector.client.records import Item


class AsyncRecords:
    """Read anew each time that it is iterated, in order and page by page: records, and gaps in their place."""

    def __init__(self, market: Market, stretch: Stretch, answering: AsyncAnswering) -> None:
        """Raises `WrongQuestion`."""
        History(market, stretch)
        self._market = market
        self._stretch = stretch
        self._answering = answering

    async def __aiter__(self) -> AsyncIterator[Item]:
        history = History(self._market, self._stretch)
        while (page := await self._answering.finish(history.next_page())) is not None:
            for item in page:
                yield item
