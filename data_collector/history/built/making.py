"""Klines of one series, summed up: of the trades from some time on, or of shorter klines."""

from __future__ import annotations

from collections.abc import Sequence

from data_collector.candles.building import CandleBuilder
from data_collector.history.built.trade_walk import TradeWalk, WalkedTrades
from data_collector.model.calendar import Calendar, place_ms
from data_collector.model.grid import KlineGrid
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Trade

PAGES_MAX = 4
"""Of trades, between two signs of life."""


class KlineMaking:
    """Goes through the trades once. A method that raised what exchange or database did may be called again."""

    def __init__(self, series: Key, calendar: Calendar, walk: TradeWalk) -> None:
        self._series = series
        self._calendar = calendar
        self._grid = KlineGrid(calendar, series.kline_interval)
        self._walk = walk
        self._builder = CandleBuilder(series.symbol, calendar, [series.kline_interval])
        self._asked_ms = self._due_ms = -1
        self._is_proven = False
        """Whether all trades since the due kline opened are known."""
        self._waiting: WalkedTrades | None = None
        self._made: list[Kline] = []
        """Since `go_on` returned last."""
        self._traded: set[int] = set()
        """Open times of klines with trades, from the due one on."""
        self._price = ""
        """Of the newest trade before the due kline opened."""
        self.is_over = False
        """The exchange has no later trade."""

    def goes_on_at(self, open_ms: int) -> bool:
        """Whether the kline that opens then is the next one that is given."""
        return open_ms == (self._made[0].open_ms if self._made else self._due_ms) or open_ms == self._asked_ms

    async def begin(self, open_ms: int) -> None:
        """Find the trades from before a kline opens."""
        self._asked_ms = self._due_ms = open_ms
        if self._grid.needs_anchor:
            self._builder.anchor(self._series.kline_interval, open_ms)
        self._waiting, since_ms = await self._walk.begin(open_ms)
        if since_ms is not None:
            self._is_proven = True
            self._due_ms = max(open_ms, self._place(since_ms))
            self._builder.begin(self._due_ms)

    async def go_on(self, last_ms: int) -> list[Kline]:
        """Those that are over in the next pages of trades; hardly any opens after `last_ms`."""
        for _ in range(PAGES_MAX):
            walked = self._waiting or await self._walk.go_on()
            self._waiting = None
            self._take(walked)
            self.is_over = walked.is_newest
            if self.is_over or self._due_ms > last_ms:
                break
        made, self._made = self._made, []
        self._asked_ms = self._asked_ms if not made else -1
        return made

    def _take(self, walked: WalkedTrades) -> None:
        for trade in walked.trades:
            self._note(trade)
            self._builder.add(trade)
        for kline in self._builder.settle(walked.until_ms, 0):
            if kline.open_ms < self._due_ms:
                continue
            self._make_quiet_until(kline.open_ms)
            # Where something is missing before, all is known from here on.
            self._is_proven = True
            self._make(kline)
        self._make_quiet_until(walked.until_ms)

    def _note(self, trade: Trade) -> None:
        if trade.time_ms < self._due_ms:
            self._price = trade.price
        else:
            self._traded.add(self._place(trade.time_ms))

    def _make(self, kline: Kline) -> None:
        self._made.append(kline)
        self._due_ms, self._price = self._grid.following(kline.open_ms), kline.close
        self._traded = {open_ms for open_ms in self._traded if open_ms >= self._due_ms}

    def _make_quiet_until(self, time_ms: int) -> None:
        """What ended until then and had no trade."""
        while self._is_proven and self._price and self._due_ms not in self._traded:
            next_open_ms = self._grid.following(self._due_ms)
            if next_open_ms > time_ms:
                return
            self._make(quiet(self._series, self._due_ms, next_open_ms, self._price))

    def _place(self, time_ms: int) -> int:
        place = place_ms(self._calendar, self._series.kline_interval, time_ms, self._due_ms)
        assert place is not None, "there is an anchor"
        return place


def summed(series: Key, calendar: Calendar, parts: Sequence[Kline], next_open_ms: int) -> Kline | None:
    """A kline of shorter ones, which are all that it consists of; None where one does not tell all of its numbers."""
    builder = CandleBuilder(series.symbol, calendar, [series.kline_interval])
    builder.anchor(series.kline_interval, parts[0].open_ms)
    builder.restore(series.kline_interval, parts)
    whole = builder.settle(next_open_ms, 0)
    if whole:
        return whole[0]
    if all(part.trades == 0 for part in parts):
        return quiet(series, parts[0].open_ms, next_open_ms, parts[-1].close)
    return None


def quiet(series: Key, open_ms: int, next_open_ms: int, price: str) -> Kline:
    """One without a trade, after one at this price."""
    return Kline(
        series.symbol, series.kline_interval, open_ms, next_open_ms - 1, open=price, high=price, low=price, close=price,
        volume="0", quote_volume="0", taker_buy_base_volume="0", taker_buy_quote_volume="0", trades=0, is_closed=True,
        event_ms=next_open_ms,
    )  # fmt: skip
