"""The life of one symbol: its prices, how much is traded when, and the trades of any minute, past or to come.

Everything follows from seed, names and minute. Ids and prices are counted from the minute of the start.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, lru_cache

import numpy as np
from msgspec import Struct

from data_collector.simulator.listing import Listing, daily_of
from data_collector.simulator.market.factors import DAY_MINUTES, HOUR_MINUTES, STEPS, Factor
from data_collector.simulator.market.noise import Floats, Integers, drawn, mixed_text, share
from data_collector.simulator.market.premium import Premiums
from data_collector.simulator.market.prints import MINUTE_US, NOTHING, Prints, aggregates_of, printed

MARKET_DAILY = 0.02
MARKET_SHARE = 0.5
"""How much of an asset's variance it shares with the market."""

STEADY = 0.5
"""How much of the trading does not go with the variance."""
BUSY_MAX = 24.0
"""Times the usual variance: more of it brings no more trades."""
JUMP_TRADES = 0.1
"""Trades that a jump brings, for its square in terms of the usual variance of a minute."""

TICKS_MIN = 10
"""No price falls below so many ticks."""

DAYS_KEPT = 10
HOURS_KEPT = 2
MARKET_HOURS_KEPT = 64
"""All symbols need these."""


class Pace(Struct, frozen=True):
    """How many trades a second there are before the start, from the first minute on, and after it."""

    first_minute: int
    start_minute: int
    before: float
    after: float


class Day(Struct, frozen=True):
    """Of each minute of a day."""

    opens: Floats
    """What the logarithm of the price has gained since midnight, and in all as the last."""
    drift: Floats
    counts: Integers
    sizes: Floats
    """Mean quantity of a trade in lots."""
    ids: Integers
    """Trades since midnight, and in all as the last."""
    aggregates: Integers


class Anchor(Struct, frozen=True):
    """What a day begins with."""

    logarithm: float
    trade_id: int
    aggregate: int


class Factors:
    """The factors of all assets, which pairs of the same asset share; and what an exchange adds to them, if any."""

    def __init__(self, seed: int, premiums: Premiums | None = None) -> None:
        self.seed = seed
        self.premiums = premiums
        self.market = Factor(seed, "market", MARKET_DAILY, hours_kept=MARKET_HOURS_KEPT)
        self.own = cache(self._own)

    def _own(self, asset: str) -> Factor:
        daily = daily_of(asset) * math.sqrt(1 - MARKET_SHARE)
        return Factor(self.seed, f"asset:{asset}", daily, hours_kept=1)

    def weight(self, asset: str) -> float:
        """How far an asset goes with the market."""
        return daily_of(asset) * math.sqrt(MARKET_SHARE) / MARKET_DAILY


class Flow:
    """One symbol. Days are numbered from the epoch, hours and minutes too."""

    def __init__(self, listing: Listing, factors: Factors, pace: Pace, anchor: Anchor) -> None:
        self.listing = listing
        self.pace = pace
        self._factors = factors
        self._keys = [mixed_text(f"{factors.seed}:flow:{listing.symbol}:{what}") for what in ("count", "trades")]
        self.day = lru_cache(DAYS_KEPT)(self._day)
        self._ticks = lru_cache(HOURS_KEPT)(self._ticks_of)
        number, inside = divmod(pace.start_minute, DAY_MINUTES)
        day = self.day(number)
        self._anchors = {
            number: Anchor(
                anchor.logarithm - float(day.opens[inside]),
                anchor.trade_id - int(day.ids[inside]),
                anchor.aggregate - int(day.aggregates[inside]),
            )
        }

    def _day(self, number: int) -> Day:
        minutes = np.arange(number * DAY_MINUTES, (number + 1) * DAY_MINUTES)
        base, quote = self.listing.base, self.listing.quote
        market, own, other = (each.day(number) for each in self._three())
        weights = self._factors.weight(base), self._factors.weight(quote)
        moves = (weights[0] - weights[1]) * (market.moves + market.jumps) + own.moves + own.jumps
        moves -= other.moves + other.jumps
        # The expected price, and not its logarithm, is that of now.
        drift = _convexity(weights[1], market.variance, market.jumps) + _convexity(1, other.variance, other.jumps)
        drift -= _convexity(weights[0], market.variance, market.jumps) + _convexity(1, own.variance, own.jumps)
        variance = (weights[0] - weights[1]) ** 2 * market.variance + own.variance + other.variance
        jumps = (weights[0] - weights[1]) ** 2 * market.jumps**2 + own.jumps**2 + other.jumps**2
        usual = max(float(self.listing.daily), 1e-6) ** 2 / DAY_MINUTES
        counts, sizes = self._busy(minutes, (variance + JUMP_TRADES * jumps) / usual)
        opens, ids, aggregates = np.zeros(DAY_MINUTES + 1), *np.zeros((2, DAY_MINUTES + 1), dtype=np.int64)
        np.cumsum(moves + drift, out=opens[1:])
        np.cumsum(counts, out=ids[1:])
        np.cumsum(aggregates_of(counts), out=aggregates[1:])
        return Day(opens, drift, counts, sizes, ids, aggregates)

    def _three(self) -> tuple[Factor, Factor, Factor]:
        own = self._factors.own
        return self._factors.market, own(self.listing.base), own(self.listing.quote)

    def _busy(self, minutes: Integers, relative: Floats) -> tuple[Integers, Floats]:
        """How many trades each minute has, and how large they are, by the variance in terms of the usual one."""
        bits = drawn(self._keys[0], minutes)
        busy = STEADY + (1 - STEADY) * np.minimum(relative, BUSY_MAX)
        pace = self.pace
        rate = np.where(minutes < pace.start_minute, pace.before, pace.after)
        rate = np.where(minutes < pace.first_minute, 0.0, rate)
        counts = np.floor(rate * 60 * busy * (0.5 + share(bits)) + share(bits, 24)).astype(np.int64)
        # A listing begins with its first trade.
        counts[(minutes == pace.first_minute) & (rate > 0) & (counts == 0)] = 1
        return counts, self.listing.mean_lots * (0.6 + 0.4 * np.sqrt(np.minimum(relative, BUSY_MAX)))

    def anchor(self, number: int) -> Anchor:
        """What a day begins with."""
        known = self._anchors
        while number > (last := max(known)):
            day, begins = self.day(last), known[last]
            known[last + 1] = _moved(begins, day, 1)
        while number < (first := min(known)):
            known[first - 1] = _moved(known[first], self.day(first - 1), -1)
        return known[number]

    def minute_of_id(self, trade_id: int) -> int:
        """The minute of a trade that there was; the first minute of all for an older id."""
        number = self._day_of(lambda begins: begins.trade_id <= trade_id)
        ids = self.day(number).ids
        return self._minute(number, ids, trade_id - self.anchor(number).trade_id)

    def minute_of_aggregate(self, aggregate: int) -> int:
        """As `minute_of_id`, of an aggregate."""
        number = self._day_of(lambda begins: begins.aggregate <= aggregate)
        return self._minute(number, self.day(number).aggregates, aggregate - self.anchor(number).aggregate)

    def _day_of(self, has_begun: Callable[[Anchor], bool]) -> int:
        number, first = max(self._anchors), self.pace.first_minute // DAY_MINUTES
        while number > first and not has_begun(self.anchor(number)):
            number -= 1
        return number

    def _minute(self, number: int, before: Integers, place: int) -> int:
        inside = int(np.searchsorted(before, place, side="right")) - 1
        return max(self.pace.first_minute, number * DAY_MINUTES + inside)

    def first_id(self, minute: int) -> int:
        """The id that a minute begins with."""
        number, inside = divmod(minute, DAY_MINUTES)
        return self.anchor(number).trade_id + int(self.day(number).ids[inside])

    def first_aggregate(self, minute: int) -> int:
        """The aggregate id that a minute begins with."""
        number, inside = divmod(minute, DAY_MINUTES)
        return self.anchor(number).aggregate + int(self.day(number).aggregates[inside])

    def counts(self, first: int, end: int) -> Integers:
        """How many trades neighbouring minutes of one day have."""
        number, inside = divmod(first, DAY_MINUTES)
        return self.day(number).counts[inside : inside + end - first]

    def prints(self, first: int, end: int) -> Prints:
        """The trades of neighbouring minutes of one hour."""
        counts = self.counts(first, end)
        if not counts.any():
            return NOTHING
        number, inside = divmod(first, DAY_MINUTES)
        row = first % HOUR_MINUTES
        sizes = self.day(number).sizes[inside : inside + end - first]
        ticks = self._ticks(first // HOUR_MINUTES)[row : row + end - first]
        keys = drawn(self._keys[1], np.arange(first, end))
        return printed(self.listing, keys, first * MINUTE_US, counts, ticks, sizes)

    def _ticks_of(self, hour: int) -> Floats:
        """The true price in ticks, for each minute of an hour and each step of it. It lies between bid and ask."""
        number, inside = divmod(hour * HOUR_MINUTES, DAY_MINUTES)
        day = self.day(number)
        minutes = slice(inside, inside + HOUR_MINUTES)
        market, own, other = (each.paths(hour) for each in self._three())
        weight = self._factors.weight(self.listing.base) - self._factors.weight(self.listing.quote)
        logarithms = weight * market + own - other + day.drift[minutes, None] * (np.arange(STEPS) / STEPS)
        logarithms += self.anchor(number).logarithm + day.opens[minutes, None]
        if (premiums := self._factors.premiums) is not None:
            logarithms += premiums.paths(self.listing.base, hour) - premiums.paths(self.listing.quote, hour)
        return np.asarray(np.maximum(TICKS_MIN, np.exp(logarithms) * (self.listing.start_price / self.listing.tick)))


def _convexity(weight: float, variance: Floats, jumps: Floats) -> Floats:
    return np.asarray(weight**2 * variance / 2 + np.log(np.cosh(weight * jumps)))


def _moved(anchor: Anchor, day: Day, direction: int) -> Anchor:
    return Anchor(
        anchor.logarithm + direction * float(day.opens[-1]),
        anchor.trade_id + direction * int(day.ids[-1]),
        anchor.aggregate + direction * int(day.aggregates[-1]),
    )
