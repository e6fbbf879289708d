"""Klines of one series, summed up: of the trades from some time on, or of shorter klines."""

from __future__ import annotations

from collections.abc import Sequence

from data_collector.candles.building import CandleBuilder
from data_collector.history.built.trade_walk import MARGIN_MS, TradeWalk
from data_collector.model.calendar import Calendar, place_ms
from data_collector.model.grid import KlineGrid
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Trade

PAGES_MAX = 4
"""Of trades, between two signs of life."""


class KlineSums:
    """Klines out of all trades from some time on, in the order of ids, also of those without a trade. Pure."""

    def __init__(self, series: Key, calendar: Calendar, due_ms: int, since_ms: int) -> None:
        """From the one that opens at `due_ms`, or after `since_ms`: all that happens from then on comes."""
        self._series = series
        self._calendar = calendar
        self._grid = KlineGrid(calendar, series.kline_interval)
        self._builder = CandleBuilder(series.symbol, calendar, [series.kline_interval])
        if self._grid.needs_anchor:
            self._builder.anchor(series.kline_interval, due_ms)
        self.due_ms = max(due_ms, self._grid.first_open(since_ms, due_ms))
        """What opens then is the next one."""
        self._builder.begin(self.due_ms)
        self._traded: set[int] = set()
        """Open times of klines with trades, from the due one on."""
        self._price = ""
        """The last one of the newest kline with trades before the due one."""
        self._priced_ms = -1
        """When that opened."""
        self._made: list[Kline] = []

    def take(self, trades: Sequence[Trade], until_ms: int) -> list[Kline]:
        """The next ones, and what is over then: all that happened before `until_ms` has come."""
        open_ms = next_open_ms = -1
        for trade in trades:
            if not open_ms <= trade.time_ms < next_open_ms:
                open_ms = self._place(trade.time_ms)
                next_open_ms = self._grid.following(open_ms)
                if open_ms >= self.due_ms:
                    self._traded.add(open_ms)
            if self._priced_ms <= open_ms < self.due_ms:
                self._price, self._priced_ms = trade.price, open_ms
            self._builder.add(trade)
        for kline in self._builder.settle(until_ms, 0):
            if kline.open_ms >= self.due_ms:
                self._make_quiet_until(kline.open_ms)
                self._make(kline)
        self._make_quiet_until(until_ms)
        made, self._made = self._made, []
        return made

    def _make(self, kline: Kline) -> None:
        self._made.append(kline)
        self.due_ms = self._grid.following(kline.open_ms)
        self._price, self._priced_ms = kline.close, kline.open_ms
        self._traded = {open_ms for open_ms in self._traded if open_ms >= self.due_ms}

    def _make_quiet_until(self, time_ms: int) -> None:
        """What ended until then and had no trade; there is none before the first trade of all."""
        while self._price and self.due_ms not in self._traded:
            next_open_ms = self._grid.following(self.due_ms)
            if next_open_ms > time_ms:
                return
            self._make(quiet(self._series, self.due_ms, next_open_ms, self._price))

    def _place(self, time_ms: int) -> int:
        place = place_ms(self._calendar, self._series.kline_interval, time_ms, self.due_ms)
        assert place is not None, "there is an anchor"
        return place


class StoredSums:
    """The same out of trades that lack some: what lies whole within ids that follow each other."""

    def __init__(self, series: Key, calendar: Calendar) -> None:
        self._series = series
        self._calendar = calendar
        self._sums: KlineSums | None = None
        self._last_id = -1
        self._newest_ms = 0

    def take(self, trades: Sequence[Trade]) -> list[Kline]:
        """The next ones, and what is over then."""
        made: list[Kline] = []
        start = 0
        for end in range(1, len(trades) + 1):
            if end == len(trades) or trades[end].trade_id != trades[end - 1].trade_id + 1:
                made += self._take(trades[start:end])
                start = end
        return made

    def _take(self, run: Sequence[Trade]) -> list[Kline]:
        """Their ids follow each other."""
        first, newest_ms = run[0], max(trade.time_ms for trade in run)
        if self._sums is None or first.trade_id != self._last_id + 1:
            self._sums = KlineSums(self._series, self._calendar, 0, first.time_ms + MARGIN_MS)
            self._newest_ms = 0
        self._last_id, self._newest_ms = run[-1].trade_id, max(self._newest_ms, newest_ms)
        return self._sums.take(run, self._newest_ms - MARGIN_MS)


class KlineMaking:
    """Goes through the trades once. A method that raised what exchange or database did may be called again."""

    def __init__(self, series: Key, calendar: Calendar, walk: TradeWalk, open_ms: int) -> None:
        """From the kline on that opens then."""
        self._series = series
        self._calendar = calendar
        self._walk = walk
        self._asked_ms = open_ms
        self._sums: KlineSums | None = None
        self._made: list[Kline] = []
        """Since `go_on` returned last."""
        self.is_over = False
        """The exchange has no later trade."""

    def goes_on_at(self, open_ms: int) -> bool:
        """Whether the kline that opens then is the next one that is given."""
        return open_ms == (self._made[0].open_ms if self._made else self._asked_ms)

    async def go_on(self, last_ms: int) -> list[Kline]:
        """Those that are over in the next pages of trades; hardly any opens after `last_ms`."""
        for _ in range(PAGES_MAX):
            if self._sums is None:
                walked, since_ms = await self._walk.begin(self._asked_ms)
                self._sums = KlineSums(self._series, self._calendar, self._asked_ms, since_ms)
            else:
                walked = await self._walk.go_on()
            self._made += self._sums.take(walked.trades, walked.until_ms)
            self.is_over = walked.is_newest
            if self.is_over or self._sums.due_ms > last_ms:
                break
        made, self._made = self._made, []
        if made:
            assert self._sums is not None, "it made them"
            self._asked_ms = self._sums.due_ms
        return made


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
