"""The past of one series as pages: each record once, in order, and what is missing in its place.

Nothing here waits for anything: methods are programmes that ask (`questions`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from data_collector.client.reading.declared import Declared
from data_collector.client.reading.questions import Plan
from data_collector.client.reading.rows import klines_of, trades_of
from data_collector.client.reading.stored import BEHIND_MS, Page, Stored
from data_collector.client.records import CALENDAR, Epoch, Gap, Kline, Trade, ms_of
from data_collector.model.calendar import LATEST_MS, place_ms
from data_collector.model.grid import KlineGrid
from data_collector.model.keys import Key


class PastKlines:
    """Closed klines of a stretch of time.

    `stores` are asked in turn: what one of them lacks, in the middle or at the end, is asked of those behind it.
    """

    def __init__(
        self, key: Key, stores: Sequence[Stored], declared: Declared, *,
        from_ms: int = 0, to_ms: int = LATEST_MS, due_ms: int | None = None, closed_ms: int | None = None,
    ) -> None:  # fmt: skip
        """What is missing is told from `due_ms` on (None: from the first kline), and up to `to_ms`.

        There it is told of klines that had closed at `closed_ms`; None: nothing is missing behind the newest one.
        """
        self._key = key
        self._stores = stores
        self._declared = declared
        self._from_ms = from_ms
        self._to_ms = to_ms
        self._due_ms = due_ms
        self._closed_ms = closed_ms
        self._page: Page | None = None
        self._grid = KlineGrid(CALENDAR, key.kline_interval)

    def next_page(self) -> Plan[list[Kline | Gap] | None]:
        """None when there is no more."""
        while self._stores and self._from_ms < self._to_ms:
            page = yield from self._stores[0].klines(self._key, self._from_ms, self._to_ms, self._page)
            self._page = None if page.following is None else page
            items: list[Kline | Gap] = []
            for kline in klines_of(page.text):
                yield from self._take(kline, items)
            if page.following is not None:
                self._from_ms = page.following
            else:
                self._stores = self._stores[1:]
                self._from_ms = self._from_ms if self._due_ms is None else self._due_ms
            if items:
                return items
        due_ms, self._due_ms = self._due_ms, None
        if due_ms is None or self._closed_ms is None:
            return None
        until_ms = self._grid.end_of_closed(due_ms, self._to_ms, self._closed_ms)
        if until_ms <= due_ms:
            return None
        return [*(yield from self._declared.explain(self._key, 0, due_ms, until_ms))]

    def _take(self, kline: Kline, items: list[Kline | Gap]) -> Plan[None]:
        open_ms, due_ms = ms_of(kline.timestamp), self._due_ms
        if due_ms is not None and open_ms != due_ms:
            if not self._follows(due_ms, open_ms):
                # A row that a program of the user's put beside the grid moves nothing.
                items.append(kline)
                return
            hole = PastKlines(
                self._key, self._stores[1:], self._declared,
                from_ms=due_ms, to_ms=open_ms, due_ms=due_ms, closed_ms=open_ms,
            )  # fmt: skip
            while (page := (yield from hole.next_page())) is not None:
                items += page
        items.append(kline)
        self._due_ms = self._grid.following(open_ms)

    def _follows(self, due_ms: int, open_ms: int) -> bool:
        return open_ms > due_ms and self._grid.following(self._grid.span(due_ms, open_ms)[0]) == open_ms


class PastTrades:
    """Trades of one epoch. `stores` are asked in turn, as for klines."""

    def __init__(
        self, symbol: str, epoch: int, stores: Sequence[Stored], declared: Declared, *,
        due: int | None = None, until: int | None = None, from_ms: int = 0, to_ms: int = LATEST_MS,
    ) -> None:  # fmt: skip
        """Ids from `due` on and before `until`; None: those of the first trades at or after the times."""
        self._key = Key("trade", symbol)
        self._epoch = epoch
        self._stores = stores
        self._declared = declared
        self._due = due
        self._until = until
        self._from_ms = from_ms
        self._to_ms = to_ms
        self._page: Page | None = None
        self._asked = 0
        """Where the store goes on."""

    def next_page(self) -> Plan[list[Trade | Gap] | None]:
        """None when there is no more."""
        if self._due is None:
            self._due = yield from first_trade(self._key.symbol, self._epoch, self._stores, self._from_ms)
            self._stores = () if self._due is None else self._stores
        if self._until is None and self._to_ms < LATEST_MS:
            self._until = yield from first_trade(self._key.symbol, self._epoch, self._stores, self._to_ms)
        while self._stores and (self._until is None or self._due is None or self._due < self._until):
            assert self._due is not None, "it has been asked for"
            to_ms, first = min(LATEST_MS, self._to_ms + BEHIND_MS), max(self._due, self._asked)
            page = yield from self._stores[0].trades(self._key.symbol, self._epoch, first, to_ms, self._page)
            items: list[Trade | Gap] = []
            following = page.following
            for trade in trades_of(page.text, self._epoch):
                if self._until is None and ms_of(trade.timestamp) >= self._to_ms:
                    # It has come since the end was looked for.
                    self._until = trade.trade_id
                if self._until is not None and trade.trade_id >= self._until:
                    following = None
                    break
                yield from self._take(trade, items)
            self._page, self._asked = None if following is None else page, following or 0
            self._stores = self._stores[1:] if following is None else self._stores
            if items:
                return items
        if self._until is None or self._due is None or self._due >= self._until:
            return None
        due, self._due = self._due, self._until
        return [*(yield from self._declared.explain(self._key, self._epoch, due, self._until))]

    def rest(self) -> Plan[list[Gap]]:
        """What is missing behind the last trade, of an epoch that is over."""
        if self._due is None:
            return []
        return (yield from self._declared.beyond(self._key, self._epoch, self._due - 1))

    def _take(self, trade: Trade, items: list[Trade | Gap]) -> Plan[None]:
        assert self._due is not None, "pages are asked for from it on"
        if trade.trade_id > self._due:
            yield from self._take_hole(self._due, trade.trade_id, items)
        self._due = trade.trade_id + 1
        items.append(trade)

    def _take_hole(self, due: int, until: int, items: list[Trade | Gap]) -> Plan[None]:
        symbol, others = self._key.symbol, self._stores[1:]
        hole = PastTrades(symbol, self._epoch, others, self._declared, due=due, until=until)
        while (page := (yield from hole.next_page())) is not None:
            items += page


class PastLives:
    """Trades of all epochs of a symbol, one after the other."""

    def __init__(
        self, symbol: str, stores: Sequence[Stored], declared: Declared, *,
        from_ms: int = 0, to_ms: int = LATEST_MS, after: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        """With `after`, an epoch and a trade id, those behind that trade."""
        self._symbol = symbol
        self._stores = stores
        self._declared = declared
        self._from_ms = from_ms
        self._to_ms = to_ms
        self._after = after
        self._epochs: list[int] | None = None
        self._trades: PastTrades | None = None
        self._told = None if after is None else after[0]
        """The epoch of the last item."""
        self._rest: list[Gap] = []

    def next_page(self) -> Plan[list[Trade | Gap | Epoch] | None]:
        """None when there is no more."""
        if self._epochs is None:
            self._epochs = yield from epochs_of(self._symbol, self._stores)
            if self._after is not None:
                self._epochs = [epoch for epoch in self._epochs if epoch >= self._after[0]]
        while True:
            if self._trades is None:
                if not self._epochs:
                    return None
                after = self._after or (-1, -1)
                due = after[1] + 1 if self._epochs[0] == after[0] else None
                self._trades = PastTrades(
                    self._symbol, self._epochs[0], self._stores, self._declared,
                    due=due, from_ms=self._from_ms, to_ms=self._to_ms,
                )  # fmt: skip
            page = yield from self._trades.next_page()
            if page is not None:
                return [*self._begun(), *page]
            if len(self._epochs) > 1:
                self._rest += yield from self._trades.rest()
            self._trades, self._epochs = None, self._epochs[1:]

    def _begun(self) -> list[Gap | Epoch]:
        """What stands before the first trade of another epoch."""
        assert self._epochs is not None, "trades come of one"
        before, self._told = self._told, self._epochs[0]
        if before is None or before == self._told:
            return []
        rest, self._rest = self._rest, []
        return [*rest, Epoch(self._symbol, self._told)]


def first_trade(symbol: str, epoch: int, stores: Sequence[Stored], from_ms: int) -> Plan[int | None]:
    """Where a stretch that begins or ends at a time does so: the first id whose trade did not happen before it.

    Trade times go back now and then: what comes behind that trade lies behind the time, whatever its own time is. So
    stretches that touch hold each trade once.
    """
    return min((yield from _known(store.first_trade(symbol, epoch, from_ms) for store in stores)), default=None)


def last_trade(symbol: str, epoch: int, stores: Sequence[Stored]) -> Plan[int | None]:
    """The newest id that any of the stores has."""
    return max((yield from _known(store.last_trade(symbol, epoch) for store in stores)), default=None)


def last_kline(key: Key, stores: Sequence[Stored]) -> Plan[int | None]:
    """The newest open time that any of the stores has."""
    return max((yield from _known(store.last_kline(key) for store in stores)), default=None)


def _known(plans: Iterable[Plan[int | None]]) -> Plan[list[int]]:
    found: list[int] = []
    for plan in plans:
        place = yield from plan
        if place is not None:
            found.append(place)
    return found


def epochs_of(symbol: str, stores: Sequence[Stored]) -> Plan[list[int]]:
    """Those that any of the stores knows, rising."""
    found: set[int] = set()
    for store in stores:
        found |= set((yield from store.epochs(symbol)))
    return sorted(found)


def first_open_ms(interval: str, from_ms: int) -> int | None:
    """The first open time at or after a time; None where only the exchange knows the grid (weeks, `3d`)."""
    grid = KlineGrid(CALENDAR, interval)
    return None if grid.needs_anchor else grid.first_open(from_ms)


def open_ms(interval: str, at_ms: int) -> int | None:
    """When the kline of a moment opened; None as above."""
    return None if KlineGrid(CALENDAR, interval).needs_anchor else place_ms(CALENDAR, interval, at_ms)


def newest_from_ms(interval: str, end_ms: int, count: int) -> int:
    """From when on so many klines open that have closed at `end_ms`."""
    grid = KlineGrid(CALENDAR, interval)
    from_ms = end_ms if grid.needs_anchor else place_ms(CALENDAR, interval, end_ms)
    assert from_ms is not None, "only weeks and 3d have no place without an anchor"
    if not grid.has_months:
        return grid.back(from_ms, count)
    while count and from_ms:
        from_ms, count = place_ms(CALENDAR, interval, from_ms - 1) or 0, count - 1
    return from_ms
