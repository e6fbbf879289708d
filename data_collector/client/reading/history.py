"""One series of the past as it was asked for: from when, until when, how many, and what becomes of its gaps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from msgspec import Struct

from data_collector.client.errors import GapFound, WrongQuestion
from data_collector.client.reading.market import Market, Source
from data_collector.client.reading.merging import Past, PastItem
from data_collector.client.reading.past import (
    PastKlines,
    PastLives,
    epochs_of,
    first_open_ms,
    first_trade,
    last_kline,
    last_trade,
    newest_from_ms,
)
from data_collector.client.reading.questions import Plan
from data_collector.client.reading.stored import BEHIND_MS, Stored
from data_collector.client.reading.symbols import check_collected, check_known
from data_collector.client.records import CALENDAR, Gap, Item, Kline, Trade
from data_collector.client.terms.policy import Filling, GapPolicy
from data_collector.model.calendar import LATEST_MS
from data_collector.model.grid import KlineGrid
from data_collector.model.keys import Key

FLAT_CANDLES = 10_000
"""On a page, where a gap is filled."""


class Stretch(Struct, frozen=True):
    """What is asked of one series."""

    key: Key
    now_ms: int
    from_ms: int | None = None
    """None: from the first record."""
    to_ms: int | None = None
    """Not included. None: to the newest record."""
    limit: int | None = None
    """Records at most: the first ones; the newest where there is no begin."""
    after: int | None = None
    """Trades with ids behind this one, of the newest epoch."""
    gaps: GapPolicy = "mark"
    source: Source = "auto"


class History:
    """Pages of a stretch, read once from its begin to its end."""

    def __init__(self, market: Market, stretch: Stretch) -> None:
        """Raises `WrongQuestion`."""
        if stretch.limit is not None and stretch.limit < 1:
            raise WrongQuestion(f"limit={stretch.limit} is no number of records.")
        if stretch.after is not None and stretch.after < 0:
            raise WrongQuestion(f"after={stretch.after} is no trade id.")
        if stretch.after is not None and stretch.from_ms is not None:
            raise WrongQuestion("start and after both say where to begin: give one of them.")
        market.stores(stretch.source)
        self.gaps: list[Gap] = []
        """Of what was read, whatever becomes of them."""
        self._market = market.begun()
        self._stretch = stretch
        self._past: Past | None = None
        self._left = stretch.limit
        self._waiting: Sequence[PastItem] = ()
        self._filling = Filling()
        self._flat: Iterator[Item] = iter(())
        """Of a gap that is being filled."""
        self._is_empty = True

    def next_page(self) -> Plan[list[Item] | None]:
        """None when there is no more. Raises `GapFound`, after the items before it were given."""
        if self._past is None:
            self._past = yield from self._opened()
        while self._left != 0:
            flat = self._counted(islice(self._flat, FLAT_CANDLES if self._left is None else self._left))
            if flat:
                return flat
            page = self._waiting or (yield from self._past.next_page())
            self._waiting = ()
            if page is None:
                break
            if self._is_empty and not any(isinstance(item, Kline | Trade) for item in page):
                yield from self._check_collected()
            self._is_empty = False
            items = self._shaped(page)
            if items:
                return items
        if not self._is_empty:
            return None
        self._is_empty = False
        yield from check_known(self._market.keys, self._market.called, self._market.exchange, self._stretch.key.symbol)
        yield from self._check_collected()
        self._waiting = yield from self._all_missing()
        return (yield from self.next_page()) if self._waiting else None

    def _check_collected(self) -> Plan[None]:
        """Of a series of which nothing is there."""
        yield from check_collected(self._market.keys, self._market.called, [self._stretch.key], is_stored=True)

    def _all_missing(self) -> Plan[Sequence[Gap]]:
        """What has closed since a start of which nothing is there; with an end it has been told."""
        asked, interval = self._stretch, self._stretch.key.interval
        if interval is None or asked.from_ms is None or asked.to_ms is not None:
            return ()
        due_ms = first_open_ms(interval, asked.from_ms)
        if due_ms is None:
            return ()
        until_ms = KlineGrid(CALENDAR, interval).end_of_closed(due_ms, asked.now_ms, asked.now_ms - BEHIND_MS)
        if until_ms <= due_ms:
            return ()
        return (yield from self._market.declared(asked.key.symbol).explain(asked.key, 0, due_ms, until_ms))

    def _shaped(self, page: Sequence[PastItem]) -> list[Item]:
        """As many as are left of a page; with the policy to raise, those before a gap."""
        policy, items = self._stretch.gaps, list[Item]()
        for number, item in enumerate(page):
            if self._left == 0:
                break
            if isinstance(item, Gap):
                if policy != "raise" or not items:
                    self.gaps.append(item)
                if policy == "raise" and not items:
                    self._waiting = page[number + 1 :]
                    raise GapFound(item)
                if policy == "raise":
                    self._waiting = page[number:]
                    break
                if policy == "fill":
                    self._waiting, self._flat = page[number + 1 :], self._filling.filled([item])
                    break
                if policy == "skip":
                    continue
            items += self._counted([item])
        return list(self._filling.filled(items)) if policy == "fill" else items

    def _counted(self, items: Iterable[Item]) -> list[Item]:
        """They are given."""
        found = list(items)
        if self._left is not None:
            self._left -= sum(isinstance(item, Kline | Trade) for item in found)
        return found

    def _opened(self) -> Plan[Past]:
        asked, key = self._stretch, self._stretch.key
        stores, declared = self._market.stores(asked.source), self._market.declared(key.symbol)
        to_ms = LATEST_MS if asked.to_ms is None else asked.to_ms
        if key.interval is not None:
            from_ms = yield from self._klines_from(key.interval, stores)
            due_ms = None if from_ms is None else first_open_ms(key.interval, from_ms)
            closed_ms = None if asked.to_ms is None else asked.now_ms - BEHIND_MS
            return PastKlines(
                key, stores, declared, from_ms=from_ms or 0, to_ms=to_ms, due_ms=due_ms, closed_ms=closed_ms
            )  # fmt: skip
        after = yield from self._trades_after(stores)
        return PastLives(key.symbol, stores, declared, from_ms=asked.from_ms or 0, to_ms=to_ms, after=after)

    def _klines_from(self, interval: str, stores: Sequence[Stored]) -> Plan[int | None]:
        asked = self._stretch
        if asked.from_ms is not None or asked.limit is None:
            return asked.from_ms
        # One that opens before the end may close behind it.
        end_ms = None if asked.to_ms is None else first_open_ms(interval, asked.to_ms) or asked.to_ms
        if end_ms is None:
            last_ms = yield from last_kline(asked.key, stores)
            end_ms = asked.now_ms if last_ms is None else CALENDAR.next_open_ms(interval, last_ms)
        return newest_from_ms(interval, min(end_ms, asked.now_ms), asked.limit)

    def _trades_after(self, stores: Sequence[Stored]) -> Plan[tuple[int, int] | None]:
        """An epoch and the id of a trade in it."""
        asked, symbol = self._stretch, self._stretch.key.symbol
        if asked.after is None and (asked.limit is None or asked.from_ms is not None):
            return None
        epochs = yield from epochs_of(symbol, stores)
        if asked.after is not None:
            return max(epochs, default=0), asked.after
        left = asked.limit or 0
        for epoch in reversed(epochs):
            first = yield from first_trade(symbol, epoch, stores, 0)
            behind = None if asked.to_ms is None else (yield from first_trade(symbol, epoch, stores, asked.to_ms))
            last = (yield from last_trade(symbol, epoch, stores)) if behind is None else behind - 1
            if first is None or last is None:
                continue
            if last - first + 1 >= left:
                return epoch, last - left
            left -= last - first + 1
        return None
