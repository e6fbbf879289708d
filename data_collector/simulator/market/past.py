"""What has been traded in any minute that is over, made anew when somebody asks: nothing of it is kept but the newest.

Exactly what it was, as long as nobody intervened: a burst, a break or skipped ids are not to be had again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from msgspec import Struct

from data_collector.model.calendar import MINUTE_MS
from data_collector.simulator.market.factors import DAY_MINUTES, HOUR_MINUTES
from data_collector.simulator.market.flow import Flow
from data_collector.simulator.market.noise import Integers
from data_collector.simulator.market.prints import MINUTE_US
from data_collector.simulator.market.tape import Tape, Totals

HOURS_KEPT = 750
"""Four kilobytes each: a month, of which candles of several lengths are asked for at once."""

TOTALS_KEPT = 100_000
"""Half a kilobyte each, of hours: eleven years."""

BETWEEN_MAX = 1_000_000
"""Trades of a file."""

TAPES_KEPT = 8

NewTape = Callable[[int, int, int], Tape]
"""Of a minute, and the ids that it begins with."""


class Hour(Struct, frozen=True):
    """What the minutes of an hour come to."""

    counts: Integers
    amounts: Integers
    """Open, high, low, close in ticks; volume in lots, quote volume in 10^-8; and both again of what was bought."""


class Past:
    """One symbol. All times in ms UTC."""

    def __init__(self, flow: Flow, new_tape: NewTape) -> None:
        self.flow = flow
        self.until_ms = 2**62
        """What happened from here on is not to be had again."""
        self._new_tape = new_tape
        self._hour = lru_cache(HOURS_KEPT)(self._hour_of)
        self._hour_totals = lru_cache(TOTALS_KEPT)(self._hour_totals_of)
        self._minute_tape = lru_cache(TAPES_KEPT)(self._minute_tape_of)

    @property
    def first_ms(self) -> int:
        """When the minute of the first trade began."""
        return self.flow.pace.first_minute * MINUTE_MS

    def reaches(self, time_ms: int) -> bool:
        """Whether all before a moment is known."""
        return time_ms <= self.until_ms

    def totals(self, first_ms: int, end_ms: int) -> Totals | None:
        """What the trades from a moment up to, not including, another come to; None for no trades."""
        first, end = -(-first_ms // MINUTE_MS), end_ms // MINUTE_MS
        if first > end:
            return self._inside(end, first_ms, end_ms)
        parts = [self._inside(first - 1, first_ms, first * MINUTE_MS)] if first_ms % MINUTE_MS else []
        parts += self._minutes(max(first, self.flow.pace.first_minute), end)
        if end_ms % MINUTE_MS:
            parts.append(self._inside(end, end * MINUTE_MS, end_ms))
        return joined(parts)

    def close_before(self, time_ms: int) -> int | None:
        """The price of the last trade before a moment."""
        minute, inside_ms = divmod(time_ms, MINUTE_MS)
        if inside_ms and (part := self._inside(minute, minute * MINUTE_MS, time_ms)) is not None:
            return part.close
        while minute > self.flow.pace.first_minute:
            number, inside = divmod(minute - 1, DAY_MINUTES)
            ids = self.flow.day(number).ids
            if ids[inside + 1]:
                last = number * DAY_MINUTES + int(np.searchsorted(ids, ids[inside + 1])) - 1
                hour, row = divmod(last, HOUR_MINUTES)
                return int(self._hour(hour).amounts[3, row]) * self.flow.listing.tick
            minute = number * DAY_MINUTES
        return None

    def price_of(self, trade_id: int) -> int:
        """The price of a trade."""
        tape = self._minute_tape(self.flow.minute_of_id(trade_id))
        return tape.prices[tape.position_of_id(trade_id)]

    def tape(self, first: int, end: int) -> Tape:
        """The trades of neighbouring minutes."""
        tape = self._new_tape(first, self.flow.first_id(first), self.flow.first_aggregate(first))
        for begin, after in _hours(first, end):
            prints = self.flow.prints(begin, after)
            tape.extend(prints, 0, len(prints))
        return tape

    def followed(self, first: int, trades: int, newest: Tape) -> Tape:
        """A tape that begins with a minute and has so many trades after it, where there are so many."""
        begin = newest.begin_minute
        if first >= begin or not self.reaches(begin * MINUTE_MS):
            return newest
        wanted = self.flow.first_id(first + 1) + trades
        end = begin if wanted >= self.flow.first_id(begin) else self.flow.minute_of_id(wanted) + 1
        found = self.tape(first, end)
        if end == begin:
            found.extend_by(newest, trades)
        return found

    def between(self, first: int, end: int, newest: Tape) -> Tape | None:
        """A tape with all trades of neighbouring minutes; None where they are too many, or some are gone."""
        begin = newest.begin_minute
        middle = min(end, begin)
        if not self.reaches(begin * MINUTE_MS) or self.flow.first_id(middle) - self.flow.first_id(first) > BETWEEN_MAX:
            return None
        found = self.tape(first, middle)
        if end > begin:
            found.extend_by(newest, newest.position_of_time(end * MINUTE_US))
        return found

    def ahead(self, first_ms: int, end_ms: int) -> Iterator[None]:
        """Make what `totals` will be asked for, an hour at a time, so that others get their turns between."""
        first = max(first_ms // MINUTE_MS, self.flow.pace.first_minute)
        for begin, _ in _hours(first, end_ms // MINUTE_MS):
            self._hour_totals(begin // HOUR_MINUTES)
            yield

    def _minute_tape_of(self, minute: int) -> Tape:
        return self.tape(minute, minute + 1)

    def _inside(self, minute: int, first_ms: int, end_ms: int) -> Totals | None:
        tape = self._minute_tape(minute)
        start, end = tape.position_of_time(first_ms * 1000), tape.position_of_time(end_ms * 1000)
        return tape.totals(start, end) if start < end else None

    def _minutes(self, first: int, end: int) -> Iterator[Totals | None]:
        for begin, after in _hours(first, end):
            hour, row = divmod(begin, HOUR_MINUTES)
            yield (
                self._hour_totals(hour) if after - begin == HOUR_MINUTES else self._rows(hour, row, row + after - begin)
            )

    def _hour_totals_of(self, hour: int) -> Totals | None:
        return self._rows(hour, 0, HOUR_MINUTES)

    def _rows(self, number: int, first: int, end: int) -> Totals | None:
        hour = self._hour(number)
        if end == first + 1:
            count = int(hour.counts[first])
            opened, high, low, close, *sums = hour.amounts[:, first].tolist()
        else:
            busy = first + np.flatnonzero(hour.counts[first:end])
            count = int(hour.counts[first:end].sum())
            amounts = hour.amounts[:, busy]
            opened, close = (amounts[0, 0], amounts[3, -1]) if count else (0, 0)
            high, low = (amounts[1].max(), amounts[2].min()) if count else (0, 0)
            sums = amounts[4:].sum(axis=1).tolist()
        if not count:
            return None
        tick, lot, first_id = (
            self.flow.listing.tick,
            self.flow.listing.lot,
            self.flow.first_id(number * HOUR_MINUTES + first),
        )
        return Totals(
            open=int(opened) * tick,
            high=int(high) * tick,
            low=int(low) * tick,
            close=int(close) * tick,
            volume=sums[0] * lot,
            quote_volume=sums[1],
            buy_volume=sums[2] * lot,
            buy_quote_volume=sums[3],
            count=count,
            first_id=first_id,
            last_id=first_id + count - 1,
        )

    def _hour_of(self, hour: int) -> Hour:
        first = hour * HOUR_MINUTES
        counts = self.flow.counts(first, first + HOUR_MINUTES)
        sums = np.zeros((8, HOUR_MINUTES), dtype=np.int64)
        prints = self.flow.prints(first, first + HOUR_MINUTES)
        if len(prints):
            busy = counts > 0
            begins, ends = prints.offsets[:-1][busy], prints.offsets[1:][busy]
            sums[0, busy] = prints.prices[begins]
            sums[1, busy] = np.maximum.reduceat(prints.prices, begins)
            sums[2, busy] = np.minimum.reduceat(prints.prices, begins)
            sums[3, busy] = prints.prices[ends - 1]
            for row, amounts in enumerate((prints.lots, prints.quotes), 4):
                sums[row, busy] = np.add.reduceat(amounts, begins)
                sums[row + 2, busy] = np.add.reduceat(np.where(prints.bought, amounts, 0), begins)
        return Hour(counts, sums)


def _hours(first: int, end: int) -> Iterator[tuple[int, int]]:
    """A stretch of minutes cut where hours begin."""
    while first < end:
        after = min(end, first - first % HOUR_MINUTES + HOUR_MINUTES)
        yield first, after
        first = after


def joined(parts: list[Totals | None]) -> Totals | None:
    """The totals of parts that follow one another, some without trades."""
    whole: Totals | None = None
    for part in parts:
        if part is not None:
            whole = part if whole is None else whole.followed_by(part)
    return whole
