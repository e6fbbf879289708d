"""Klines of one symbol and interval, made of the tape and of nothing else. All times in ms UTC."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice

from msgspec import Struct

from data_collector.model import calendar
from data_collector.model.calendar import DAY_MS, LENGTHS_MS, MINUTE_MS, UtcCalendar
from data_collector.model.records import Kline
from data_collector.simulator.amounts import amount_text
from data_collector.simulator.market.past import Past, joined
from data_collector.simulator.market.tape import Tape, Totals

INTERVALS = tuple(interval for interval in calendar.INTERVALS if interval not in {"10m", "45m"})

MONDAY_MS = 4 * DAY_MS
"""The first Monday after the epoch: weeks open on Mondays."""

_CALENDAR = UtcCalendar()


class Candle(Struct, frozen=True):
    """One kline; a candle without trades has the close before it as all four prices, and ids of -1."""

    open_ms: int
    next_open_ms: int
    totals: Totals


class CandleSeries:
    """Candles in order of open time. Those without trades are not kept: they follow from their neighbours.

    The newest are kept as the tape brings them; older ones are asked of the past, where there is one.
    """

    def __init__(
        self, tape: Tape, past: Past | None, interval: str, *, offset_ms: int = 0, limit: int, forgets: bool = False
    ) -> None:
        self.interval = interval
        self._tape = tape
        self._past = past
        self._offset_ms = offset_ms
        self._limit = limit
        self._forgets = forgets
        self._opens: list[int] = []
        self._candles: list[Candle] = []
        self._next_id = 0
        self._begin_ms = tape.begin_minute * MINUTE_MS
        """What was traded before is not in the candles that are kept."""
        # The oldest candle of a tape that was cut before may lack trades: such a candle is not shown.
        self._drops_first = tape.was_cut and not self._has_past
        self._was_cut = tape.was_cut

    @property
    def _has_past(self) -> bool:
        return self._past is not None and self._past.reaches(self._begin_ms)

    @property
    def was_cut(self) -> bool:
        """Whether older candles than the oldest were there once."""
        return self._was_cut and not self._has_past

    def advance(self) -> None:
        """Take in what the tape has gained; must be called before the tape is cut."""
        tape = self._tape
        position, end = tape.position_of_id(self._next_id), len(tape)
        while position < end:
            open_ms = open_of(self.interval, tape.times_us[position] // 1000, self._offset_ms)
            next_open_ms = next_open(self.interval, open_ms, self._offset_ms)
            after = tape.position_of_time(next_open_ms * 1000, position)
            self._add(Candle(open_ms, next_open_ms, tape.totals(position, after)))
            position = after
        self._next_id = tape.next_id

    def _add(self, part: Candle) -> None:
        if self._opens and self._opens[-1] == part.open_ms:
            before = self._candles[-1].totals
            self._candles[-1] = Candle(part.open_ms, part.next_open_ms, before.followed_by(part.totals))
            return
        self._opens.append(part.open_ms)
        self._candles.append(part)
        if self._drops_first and len(self._opens) == 2:
            self._drops_first = False
            del self._opens[0], self._candles[0]
        elif len(self._opens) > self._limit + self._limit // 8:
            self._drop(len(self._opens) - self._limit)

    def _drop(self, surplus: int) -> None:
        del self._opens[:surplus], self._candles[:surplus]
        self._was_cut = True
        self._begin_ms = max(self._begin_ms, self._opens[0])
        if self._forgets:
            self._past = None

    @property
    def first_open_ms(self) -> int | None:
        """The oldest candle that can still be asked for."""
        past = self._past
        if past is not None and self._has_past and past.first_ms < self._begin_ms:
            return open_of(self.interval, past.first_ms, self._offset_ms)
        return None if not self._opens or self._drops_first else self._opens[0]

    def at(self, open_ms: int) -> Candle | None:
        """The candle that opens at `open_ms`, flat when it has no trade; None before the first one."""
        index = bisect_right(self._opens, open_ms) - 1
        if index < 0:
            return self._older(open_ms, None)
        if self._drops_first:
            return None
        candle = self._candles[index]
        if candle.open_ms != open_ms:
            return self._flat(open_ms, candle.totals.close)
        return candle if index else self._older(open_ms, candle)

    def _older(self, open_ms: int, kept: Candle | None) -> Candle | None:
        """A candle that begins before those that are kept; `kept` is what of it is."""
        past, begin_ms = self._past, self._begin_ms
        if past is None or not self._has_past or (kept is not None and begin_ms <= open_ms):
            return kept
        next_open_ms = next_open(self.interval, open_ms, self._offset_ms)
        parts = [past.totals(open_ms, min(next_open_ms, begin_ms)), None if kept is None else kept.totals]
        if (totals := joined(parts)) is not None:
            return Candle(open_ms, next_open_ms, totals)
        close = past.close_before(min(open_ms, begin_ms))
        return None if close is None else self._flat(open_ms, close)

    def between(
        self, first_ms: int, last_ms: int, limit: int, *, newest: bool, exists: Callable[[Candle], bool]
    ) -> list[Candle]:
        """Candles that open within the closed range, oldest first; the newest or the oldest `limit` of them."""
        listed_ms = self.first_open_ms
        if listed_ms is None:
            return []
        opens = (self._opens_backward if newest else self._opens_forward)(max(first_ms, listed_ms), last_ms)
        candles = (candle for open_ms in opens if (candle := self.at(open_ms)) is not None and exists(candle))
        return sorted(islice(candles, limit), key=lambda candle: candle.open_ms)

    def ahead(self, first_ms: int, last_ms: int, limit: int, *, newest: bool) -> Iterator[None]:
        """Make what `between` will need of the past, a piece at a time."""
        end_ms, span_ms = min(last_ms + 1, self._begin_ms), limit * LENGTHS_MS.get(self.interval, 31 * DAY_MS)
        if self._past is None or not self._has_past or self.interval == "1s":
            return
        first_ms = max(first_ms, self._past.first_ms)
        if newest:
            first_ms = max(first_ms, last_ms - span_ms)
        yield from self._past.ahead(first_ms, min(end_ms, first_ms + span_ms))

    def closed_with_trades(self, now_ms: int) -> list[Candle]:
        """Every candle kept that has trades and is over, and older ones up to the number that is kept."""
        running_ms = open_of(self.interval, now_ms, self._offset_ms)
        end = bisect_left(self._opens, running_ms)
        kept = [] if self._drops_first else self._candles[1:end]
        first_ms = self._opens[0] if end else running_ms - 1
        older = self.between(
            0, first_ms, self._limit - len(kept), newest=True, exists=lambda each: each.totals.count > 0
        )
        return older + kept

    def _opens_forward(self, first_ms: int, last_ms: int) -> Iterator[int]:
        # A start inside a candle means the next candle.
        open_ms = open_of(self.interval, first_ms, self._offset_ms)
        if open_ms < first_ms:
            open_ms = next_open(self.interval, open_ms, self._offset_ms)
        while open_ms <= last_ms:
            yield open_ms
            open_ms = next_open(self.interval, open_ms, self._offset_ms)

    def _opens_backward(self, first_ms: int, last_ms: int) -> Iterator[int]:
        open_ms = open_of(self.interval, last_ms, self._offset_ms)
        while open_ms >= first_ms:
            yield open_ms
            open_ms = open_of(self.interval, open_ms - 1, self._offset_ms)

    def _flat(self, open_ms: int, price: int) -> Candle:
        totals = Totals(price, price, price, price, 0, 0, 0, 0, 0, -1, -1)
        return Candle(open_ms, next_open(self.interval, open_ms, self._offset_ms), totals)


def open_of(interval: str, time_ms: int, offset_ms: int = 0) -> int:
    """The open time of the candle that `time_ms` belongs to, in a zone `offset_ms` east of UTC."""
    local_ms = time_ms + offset_ms
    if interval == "1M":
        opened = datetime.fromtimestamp(local_ms // 1000, UTC).replace(day=1, hour=0, minute=0, second=0)
        return int(opened.timestamp()) * 1000 - offset_ms
    phase_ms = MONDAY_MS if interval == "1w" else 0
    return local_ms - (local_ms - phase_ms) % LENGTHS_MS[interval] - offset_ms


def next_open(interval: str, open_ms: int, offset_ms: int = 0) -> int:
    """The open time of the candle after the one that opens at `open_ms`."""
    return _CALENDAR.next_open_ms(interval, open_ms + offset_ms) - offset_ms


def kline_record(symbol: str, interval: str, candle: Candle, *, event_ms: int, is_closed: bool) -> Kline:
    """A candle as the record that the codec sends."""
    totals = candle.totals
    return Kline(
        symbol=symbol,
        interval=interval,
        open_ms=candle.open_ms,
        close_ms=candle.next_open_ms - 1,
        open=amount_text(totals.open),
        high=amount_text(totals.high),
        low=amount_text(totals.low),
        close=amount_text(totals.close),
        volume=amount_text(totals.volume),
        quote_volume=amount_text(totals.quote_volume),
        taker_buy_base_volume=amount_text(totals.buy_volume),
        taker_buy_quote_volume=amount_text(totals.buy_quote_volume),
        trades=totals.count,
        is_closed=is_closed,
        event_ms=event_ms,
        first_trade_id=totals.first_id,
        last_trade_id=totals.last_id,
    )
