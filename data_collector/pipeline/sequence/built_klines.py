"""Klines of an exchange that closes none: made of the trades that pass (docs/decisions/0023-built-klines.md).

Life cycle: the kline intake makes one where they are wanted; each symbol has a builder, to which its trade sequence
adds what passes. `beat` is called about twice a second (`pipeline.repair.kline_building`): it hands on what is over and
whole, and once a second what is open. What a builder cannot give REST tells (`pipeline.repair.kline_repair`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from data_collector.candles.arrivals import Arrivals
from data_collector.candles.building import NEVER, CandleBuilder
from data_collector.model.calendar import LENGTHS_MS, MINUTE_MS, Calendar
from data_collector.model.keys import Key
from data_collector.model.records import Kline
from data_collector.pipeline.sequence.kline_doubts import KlineDoubts
from data_collector.pipeline.sequence.minutes import MinuteVolumes
from data_collector.pipeline.sequence.series import KlineSeries
from data_collector.pipeline.sequence.trade_sequence import TradeSequence

ARRIVED_MIN = 5
"""So many trades that came within the time of a kline without trades may be those of the one before, told late."""

COMPARED_EVERY = 60
"""One of so many klines of the shortest interval is compared with REST's, also where nothing is doubtful."""

BORDER_MS = 50
"""A kline whose last trade is so near its end is compared too: one that is told a little early is the next kline's."""

TOLD_WITHIN_MS = 30_000
"""What a newest id has proven, and no trade has followed for so long, is compared too: the id may be an old one."""

BEGIN_BACK_MS = 120_000
"""So far before the first look at a new symbol its klines may begin."""


class KlineTaker(Protocol):
    """What klines are handed to: the kline intake."""

    series: dict[Key, KlineSeries]
    calendar: Calendar
    doubts: KlineDoubts

    def take_built(self, kline: Kline, *, is_doubtful: bool) -> None:
        """A closed one."""

    def take_running(self, kline: Kline) -> None:
        """An open one."""

    def compare(self, kline: Kline) -> None:
        """REST is to tell what it has of a closed one."""

    def begin_at(self, series: KlineSeries, open_ms: int) -> None:
        """A new series begins with the kline that opened then."""

    def release(self, series: KlineSeries) -> None:
        """Put what can follow now."""


class BuiltKlines:
    """Of all symbols."""

    def __init__(self, klines: KlineTaker, trades: Mapping[str, TradeSequence]) -> None:
        self._klines = klines
        self._trades = trades
        self._arrivals = Arrivals()
        self.builders: dict[str, CandleBuilder] = {}
        self._intervals: dict[str, list[str]] = {}
        """Of each symbol, the shortest first."""
        self._waited_ms: dict[Key, int] = {}
        """When each series that had nothing was looked at first."""
        self._seen_ms: dict[str, int] = {}
        """Until when the shortest klines of each symbol were looked at, whether a trade has followed them."""
        self._untold: dict[str, list[Kline]] = {}
        """Those that none has followed so far."""
        self._begun_ms: dict[str, int] = {}
        """Of a series that does not know what it begins with, nothing that opened before is wanted; else 0."""

    def add(self, key: Key, now_ms: int) -> None:
        """They are wanted from now on; `now_ms` is the exchange's clock, 0 before it is known."""
        symbol = key.symbol
        intervals = self._intervals.setdefault(symbol, [])
        intervals.append(key.kline_interval)
        intervals.sort(key=lambda interval: LENGTHS_MS.get(interval, NEVER))
        builder = self.builders.get(symbol)
        if builder is None:
            builder = self.builders[symbol] = CandleBuilder(symbol, self._klines.calendar)
            self._trades[symbol].minutes = builder
            self._begun_ms[symbol] = 0
        builder.use(intervals, now_ms)

    def remove(self, key: Key) -> None:
        """They are wanted no longer."""
        self._waited_ms.pop(key, None)
        symbol = key.symbol
        builder, intervals = self.builders.get(symbol), self._intervals.get(symbol, [])
        if builder is None or key.kline_interval not in intervals:
            return
        intervals.remove(key.kline_interval)
        builder.use(intervals)
        if not intervals:
            del self.builders[symbol], self._intervals[symbol], self._begun_ms[symbol]
            self._seen_ms.pop(symbol, None)
            self._untold.pop(symbol, None)
            self._arrivals.forget(symbol)
            if symbol in self._trades:
                self._trades[symbol].minutes = MinuteVolumes()

    def anchor(self, key: Key, open_ms: int) -> None:
        """Klines of a series open then, among other times."""
        if (builder := self.builders.get(key.symbol)) is not None:
            builder.anchor(key.kline_interval, open_ms)

    def prove(self, symbol: str, trade_id: int, time_ms: int, latest_ms: int = NEVER) -> None:
        """No trade with a later id happened before `time_ms`, and no other one after `latest_ms`."""
        if (builder := self.builders.get(symbol)) is not None:
            builder.prove(trade_id, time_ms, self._trades[symbol].next_id, latest_ms)

    def doubt(self, kline: Kline) -> None:
        """REST has it otherwise: longer ones of its time may differ too."""
        if (builder := self.builders.get(kline.symbol)) is not None:
            builder.doubtful.add(kline.open_ms)

    def makes(self, series: KlineSeries) -> bool:
        """Whether the due kline of a series will be made here, as soon as its end is proven."""
        return series.is_new and self.will_make(series.key, series.due_ms)

    def will_make(self, key: Key, open_ms: int) -> bool:
        """Whether a kline is whole so far, and has not been given."""
        builder, interval = self.builders.get(key.symbol), key.kline_interval
        if builder is None or self._klines.calendar.next_open_ms(interval, open_ms) <= builder.settled_ms:
            return False
        return builder.has_all_of(interval, open_ms)

    def awaited(self, ended_ms: int) -> list[str]:
        """Symbols of which a kline ended before that time, and nothing proves that all of its trades are here."""
        return [symbol for symbol in self.builders if self._first_end_ms(symbol) <= ended_ms]

    def _first_end_ms(self, symbol: str) -> int:
        """When the first kline ends that only waits for its proof."""
        end_ms = self.builders[symbol].next_end_ms
        ends = [] if end_ms is None else [end_ms]
        return min(ends + [series.end_ms for series in self._series(symbol) if self.makes(series)], default=NEVER)

    def beat(self, symbol: str, now_ms: int, *, with_open: bool) -> None:
        """Hand on what there is of a symbol; `now_ms` is the exchange's clock."""
        builder = self.builders.get(symbol)
        if builder is None:
            return
        self._arrivals.note(symbol, now_ms, self._trades[symbol].next_id)
        if builder.has_begun:
            self._begin(builder, now_ms)
        shortest, begun_ms = self._intervals[symbol][0], self._begun_ms[symbol]
        for kline in builder.close(now_ms, self._trades[symbol].next_id):
            if self._klines.series[Key("kline", symbol, kline.interval)].due_ms < 0 <= kline.open_ms < begun_ms:
                continue
            number = kline.open_ms // (kline.close_ms + 1 - kline.open_ms)
            is_sample = kline.interval == shortest and number % COMPARED_EVERY == 0
            is_odd = is_sample or self._ends_late(kline) or self._klines.doubts.is_apart(symbol)
            is_doubtful = is_odd or builder.is_doubtful(kline.open_ms, kline.close_ms + 1)
            self._klines.take_built(kline, is_doubtful=is_doubtful)
        for series in self._series(symbol):
            from_ms, until_ms = builder.quiet_ms(series.key.kline_interval, series.due_ms)
            if from_ms <= series.due_ms < series.end_ms <= until_ms:
                series.leave_quiet(from_ms, until_ms)
                self._klines.release(series)
            for missed_ms in builder.missed:
                if (closed := series.closed_around(missed_ms)) is not None:
                    self._klines.compare(closed)
        builder.missed.clear()
        self._compare_untold(self._klines.series[Key("kline", symbol, shortest)], builder, now_ms)
        for running in builder.running(now_ms) if with_open else ():
            self._klines.take_running(running)

    def _ends_late(self, kline: Kline) -> bool:
        last = self._trades[kline.symbol].known(kline.last_trade_id)
        return last is not None and kline.close_ms - last.time_ms < BORDER_MS

    def _compare_untold(self, series: KlineSeries, builder: CandleBuilder, now_ms: int) -> None:
        symbol = series.key.symbol
        new = series.built_since(self._seen_ms.get(symbol, max(series.due_ms, 0)))
        for kline in new:
            # Their times stood still, or are late by more than a kline.
            if not kline.trades and self._arrivals.within(symbol, kline.open_ms, kline.close_ms) >= ARRIVED_MIN:
                self._klines.compare(kline)
        untold = self._untold.get(symbol, []) + new
        self._seen_ms[symbol] = max(series.due_ms, 0)
        untold = [kline for kline in untold if kline.close_ms >= builder.newest_ms]
        for kline in untold:
            if now_ms > kline.close_ms + TOLD_WITHIN_MS:
                self._klines.compare(kline)
        self._untold[symbol] = [kline for kline in untold if now_ms <= kline.close_ms + TOLD_WITHIN_MS]

    def unanchored(self) -> list[Key]:
        """Series of which only the exchange can tell when their klines open."""
        keys = (series.key for symbol in self.builders for series in self._series(symbol) if series.due_ms < 0)
        return [key for key in keys if self.builders[key.symbol].place(key.kline_interval, 0) is None]

    def traded_ms(self, series: KlineSeries) -> int:
        """How long trades have come since a series was waited for, of which nothing has closed yet."""
        begun_ms, builder = self._waited_ms.get(series.key), self.builders.get(series.key.symbol)
        return 0 if begun_ms is None or builder is None else builder.newest_ms - begun_ms

    def _begin(self, builder: CandleBuilder, now_ms: int) -> None:
        """Series begin with the kline of the first trades; REST tells that, if it lacks some.

        Those of seconds, of which REST may know nothing, begin with the first whole one. Some exchanges begin with
        their newest trades, which may be days old.
        """
        symbol, begins_ms = builder.symbol, now_ms
        new = [series for series in self._series(symbol) if series.due_ms < 0]
        for series in new:
            self._waited_ms.setdefault(series.key, now_ms)
        if len(new) == len(self._intervals[symbol]) and not self._begun_ms[symbol]:
            begins_ms = max(builder.starts_ms, now_ms - BEGIN_BACK_MS)
            self._begun_ms[symbol] = begins_ms // MINUTE_MS * MINUTE_MS
        for series in new:
            interval = series.key.kline_interval
            if LENGTHS_MS.get(interval, NEVER) >= MINUTE_MS:
                place_ms = builder.place(interval, begins_ms)
                if place_ms is not None:
                    self._klines.begin_at(series, place_ms)

    def _series(self, symbol: str) -> Iterator[KlineSeries]:
        for interval in self._intervals[symbol]:
            yield self._klines.series[Key("kline", symbol, interval)]
