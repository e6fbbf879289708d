"""Klines of an exchange that keeps few: the newest ones from its REST side, older ones made of trades."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from data_collector.history.built.making import KlineMaking, summed
from data_collector.history.built.trade_walk import TradeWalk
from data_collector.history.feeds import KlineFeed
from data_collector.history.ports import AnsweredRows, Bounds, Ends, Stored
from data_collector.model.calendar import DAY_MS
from data_collector.model.errors import VenueRefused
from data_collector.model.grid import KlineGrid, longest_ms
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Source

SOURCE: Final[Source] = "built"

KEPT_MORE = 3
"""It may give so many more than are counted on: a few seconds lie between two questions."""

KLINES_PER_READ = 10_000
"""Of shorter klines that longer ones are summed up from."""


def in_order_of_making(series: Sequence[Key]) -> list[Key]:
    """Trades first, then the shorter intervals of each symbol: later ones are made of those before."""
    places = {symbol: place for place, symbol in enumerate(dict.fromkeys(each.symbol for each in series))}
    return sorted(series, key=lambda each: (places[each.symbol], _length_ms(each)))


def base_of(series: Key, every: Sequence[Key]) -> str | None:
    """The shortest interval of the same symbol, if klines of this one consist of its klines."""
    others = [each for each in every if each.symbol == series.symbol and each.channel == "kline"]
    shortest = min(others, key=_length_ms)
    if _length_ms(shortest) >= _length_ms(series) or min(_length_ms(series), DAY_MS) % _length_ms(shortest):
        return None
    return shortest.kline_interval


def _length_ms(series: Key) -> int:
    return longest_ms(series.kline_interval) if series.channel == "kline" else 0


class BuiltKlineFeed(KlineFeed):
    """Klines of one interval; those that REST does not give are summed up.

    Of shorter klines where the database has them whole, else of all trades of their time. None is made of a time of
    which some trade may be missing: then it is not given.
    """

    def __init__(self, series: Key, ends: Ends, bounds: Bounds, now_ms: int, every: Sequence[Key]) -> None:
        """`every` series that is filled in the same run, in the order of making."""
        super().__init__(series, ends, bounds, now_ms)
        self._base = base_of(series, every)
        self._is_asked_for_trades = self._base is None and Key("trade", series.symbol) not in every
        self._making: KlineMaking | None = None
        self._refusal: str | None = None
        """What the exchange said when it would not give trades."""
        self._began_s = time.monotonic()

    async def fetch(self, first: int, last: int) -> AnsweredRows:
        # It wants to know what is before, too: what is made of trades leaves nothing out.
        position = self.grid.following(first)
        kept_ms = self.kept_from_ms()
        if position >= kept_ms:
            answer = await super().fetch(first, last)
            if answer.numbers and min(answer.numbers[0], answer.proven[0]) <= position:
                return answer
        klines = await self._summed(position, last) if self._base is not None else []
        if klines:
            return self._answer(klines, is_full=True)
        try:
            klines, is_full = await self._made(position, last)
        except VenueRefused as refusal:
            self._refusal, is_full = str(refusal), False
        if klines or is_full or kept_ms > last:
            return self._answer(klines, is_full=is_full)
        # What REST gives behind it shows that it is not given.
        return await super().fetch(max(first, self.grid.back(kept_ms, KEPT_MORE)), last)

    def unproven_before(self, number: int) -> str:
        told = super().unproven_before(number)
        return told if self._refusal is None else f"{told}: {self._refusal}"

    async def by_trades(self, missing: Sequence[tuple[int, int]]) -> tuple[int, Sequence[tuple[int, int]]]:
        kept_ms = self.kept_from_ms()
        old = [(first, min(last, kept_ms - 1)) for first, last in missing if first < kept_ms]
        left = [(max(first, kept_ms), last) for first, last in missing if last >= kept_ms]
        if not old or not self._is_asked_for_trades:
            return 0, left
        ids = await self._bounds.trade_ids(self.series.symbol, old[0][0], self.grid.following(old[-1][1]), self._now_ms)
        trades = 0 if ids is None else ids[1] + 1 - ids[0]
        share = sum(last - first + 1 for first, last in old) / (old[-1][1] + 1 - old[0][0])
        return -(-round(trades * share) // self._ends.venue.reach.trades_per_answer), left

    def kept_from_ms(self) -> int:
        """The first open time that the exchange's REST side still gives, now."""
        kept = self._ends.venue.reach.klines_kept
        now_ms = self._now_ms + round((time.monotonic() - self._began_s) * 1000)
        return 0 if kept is None else self.grid.first_open(self.grid.back(now_ms, kept - 1), self._anchor_ms)

    async def _made(self, position: int, last: int) -> tuple[list[Kline], bool]:
        """Of the next trades; and whether more may follow."""
        if self._making is None or not self._making.goes_on_at(position):
            ends, limit = self._ends, self._ends.venue.reach.trades_per_answer
            walk = TradeWalk(self.series.symbol, ends.rest, ends.held, limit, self._now_ms)
            self._making = KlineMaking(self.series, ends.calendar, walk, position)
        return await self._making.go_on(last), not self._making.is_over

    def _answer(self, klines: Sequence[Kline], *, is_full: bool) -> AnsweredRows:
        numbers = [kline.open_ms for kline in klines]

        async def store(wanted: Callable[[int], bool]) -> Sequence[Stored]:
            rows = [kline for kline in klines if wanted(kline.open_ms)]
            return (await self._ends.store.put_klines(rows, source=SOURCE),) if rows else ()

        # Nothing that was not made is thereby proven not to exist.
        return AnsweredRows(numbers, is_full, (1, 0), store)

    async def _summed(self, position: int, last: int) -> list[Kline]:
        """From the one that opens at `position` on, as far as the database has the shorter ones."""
        assert self._base is not None, "else there is nothing to sum"
        base, found = KlineGrid(self._ends.calendar, self._base), list[Kline]()
        after = self.grid.following(position)
        limit = max(KLINES_PER_READ, base.span(position, after)[1])
        parts = await self._ends.held.klines(self.series.symbol, self._base, position, last, limit)
        start = 0
        while start < len(parts) and parts[start].open_ms == position:
            count = base.span(position, after)[1]
            of_it = parts[start : start + count]
            if len(of_it) < count or of_it[-1].open_ms != base.span(position, after)[0]:
                break
            kline = summed(self.series, self._ends.calendar, of_it, after)
            if kline is None:
                break
            found.append(kline)
            start, position, after = start + count, after, self.grid.following(after)
        return found
