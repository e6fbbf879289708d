"""Trades as columns, made many at a time: who bought, how much, at which moment of the minute."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from data_collector.simulator.amounts import SCALE
from data_collector.simulator.listing import Listing
from data_collector.simulator.market.factors import STEP_US
from data_collector.simulator.market.noise import NORMAL_BITS, Bits, Floats, Integers, Mask, drawn, normal, part

MINUTE_US = 60_000_000

FIVE = 5
"""Trades come in fives, which hold three aggregates each, so that the ids of both follow from one count."""
AGGREGATES_OF_FIVE = 3
AGGREGATE_TRADES_MAX = 3
_BEGINS = np.array(
    [[1, one == 1 or two == 1, one == 2 or two == 2, one == 3 or two == 3, one == 4 or two == 4]
     for one in range(1, FIVE) for two in range(one + 1, FIVE)], dtype=np.bool_
)  # fmt: skip
"""Where an aggregate begins in a five: the first trade, and two of the other four."""

SIZE_DEVIATION = 1.5
"""Of the logarithm of a quantity: most trades are small, and a hundredth of them makes a fifth of the volume."""

GAP_BITS = 16


class Prints(Struct, frozen=True):
    """Trades of neighbouring minutes, in order. Prices in ticks, quantities in lots, quote amounts in 10^-8."""

    offsets: Integers
    """Where each minute begins, and where the last one ends."""
    times_us: Integers
    prices: Integers
    lots: Integers
    quotes: Integers
    bought: Mask
    """By the taker."""
    begins: Mask
    """Whether a trade is the first of its aggregate."""

    def __len__(self) -> int:
        return len(self.times_us)


_NONE = np.zeros(0, dtype=np.int64)
NOTHING = Prints(np.zeros(1, dtype=np.int64), _NONE, _NONE, _NONE, _NONE, _NONE > 0, _NONE > 0)


def aggregates_of(trades: Integers) -> Integers:
    """How many aggregates so many trades of a minute make."""
    return trades // FIVE * AGGREGATES_OF_FIVE + trades % FIVE


def printed(listing: Listing, keys: Bits, first_us: int, counts: Integers, ticks: Floats, sizes: Floats) -> Prints:
    """So many trades of each minute from `first_us` on, at the prices of `ticks`: a row a minute, a column a step.

    `keys` are the minutes' draws, `sizes` their mean quantities in lots.
    """
    offsets = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts)))
    minute = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(offsets[-1]) - offsets[minute]
    draws = drawn(keys[minute], place)
    begins, orders = _grouped(draws, place, counts[minute], walks=listing.walks)
    inside_us = _moments(draws, keys, orders, minute, offsets)
    true = ticks[minute, inside_us // STEP_US]
    first, order = np.flatnonzero(orders), np.cumsum(orders) - 1
    before = np.where(place[first] == 0, ticks[minute[first], 0], true[first - 1])
    rose = true[first] - before
    bought = np.where(rose == 0, part(draws[first], 40, 1) == 1, rose > 0)[order]
    aggregate = np.cumsum(begins)
    # The fills of an order walk towards the best price that it leaves behind: the ask of a buyer, the bid of a seller.
    left = np.concatenate((aggregate[first[1:] - 1], aggregate[-1:]))[order] - aggregate
    prices = true.astype(np.int64) + np.where(bought, 1 - left, left)
    lots = np.maximum(1, (_SIZES[part(draws, 16, NORMAL_BITS)] * sizes[minute]).astype(np.int64))
    return Prints(
        offsets, first_us + minute * MINUTE_US + inside_us, prices, lots, _quotes(listing, prices, lots), bought, begins
    )


def _grouped(draws: Bits, place: Integers, count: Integers, *, walks: bool) -> tuple[Mask, Mask]:
    """Which trades begin an aggregate, and which an order, all of whose trades share a moment."""
    of_five = place % FIVE
    pattern = part(draws[np.arange(len(place)) - of_five], 58, 6) % len(_BEGINS)
    begins = _BEGINS[pattern, of_five] | (place - of_five + FIVE > count)
    if not walks:
        return begins, begins
    return begins, begins & ((of_five == 0) | (part(draws, 52, 6) % 3 == 0))


def _moments(draws: Bits, keys: Bits, orders: Mask, minute: Integers, offsets: Integers) -> Integers:
    """Microseconds since the minute began. Gaps differ a lot: orders come in flurries."""
    gaps = np.where(orders, _gaps(draws), 0)
    run = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(gaps)))
    before = run[offsets[:-1]]
    lengths = run[offsets[1:]] - before + _gaps(keys)
    return np.asarray((run[1:] - before[minute]) * MINUTE_US // lengths[minute])


def _gaps(bits: Bits) -> Integers:
    even = part(bits, 0, GAP_BITS)
    return np.asarray((even**3 >> 2 * GAP_BITS) + 1)


def _quotes(listing: Listing, prices: Integers, lots: Integers) -> Integers:
    # Truncated, not rounded, as in every recorded row.
    unit = listing.tick * listing.lot
    return prices * lots * (unit // SCALE) if unit >= SCALE else prices * lots // (SCALE // unit)


def _sizes() -> Floats:
    every = np.arange(2**NORMAL_BITS).astype(np.uint64) << np.uint64(64 - NORMAL_BITS)
    sizes = np.exp(SIZE_DEVIATION * normal(every))
    return np.asarray(sizes / np.mean(sizes))


_SIZES = _sizes()
