"""A stretch of history, for programmes that wait for it."""

from __future__ import annotations

from collections.abc import Iterator

from data_collector.client.answering.blocking import Answering
from data_collector.client.reading.history import History, Stretch
from data_collector.client.reading.market import Market
from data_collector.client.records import Item


class Records:
    """Read anew each time that it is iterated, in order and page by page: records, and gaps in their place."""

    def __init__(self, market: Market, stretch: Stretch, answering: Answering) -> None:
        """Raises `WrongQuestion`."""
        History(market, stretch)
        self._market = market
        self._stretch = stretch
        self._answering = answering

    def __iter__(self) -> Iterator[Item]:
        history = History(self._market, self._stretch)
        while (page := self._answering.finish(history.next_page())) is not None:
            yield from page
