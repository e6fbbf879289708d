"""What moves prices: the market as a whole, and each asset by itself. Known for any minute without those before it.

A factor is Brownian motion on a clock that runs faster and slower: with the hour and the day of the week, with cycles
of ten minutes to a week, and after jumps. Clock and moves are drawn apart: neither the one nor all earlier moves tell
the sign of the next, so that nothing but luck can be earned.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from msgspec import Struct

from data_collector.simulator.market.noise import Floats, Integers, Mask, drawn, normal, part, share
from data_collector.simulator.market.noise import mixed_text as key_of

DAY_MINUTES = 1440
HOUR_MINUTES = 60
WEEK_MINUTES = 7 * DAY_MINUTES

STEP_US = 500_000
"""Prices move this often, between trades: all pairs of an asset at the same moment."""

STEPS = 60_000_000 // STEP_US
"""Of a minute."""

CYCLES_MINUTES = (10, 40, 160, 640, 2_560, 10_240)
CYCLE_DEVIATION = 0.25
"""Of the logarithm of volatility, for each cycle."""

JUMP_ONE_IN = 1_440
"""Minutes: a jump a day, of each factor."""
JUMP_SIZES = (4.0, 12.0)
"""Between these, in deviations of a minute."""
ECHO_MINUTES = 60
ECHO_FADES_MINUTES = 15.0
ECHO = 2.0
"""How much more variance there is right after a jump."""

DAYS_KEPT = 2


class FactorDay(Struct, frozen=True):
    """Of each minute of a day."""

    variance: Floats
    """Expected, without jumps."""
    moves: Floats
    """Change of the logarithm, without jumps."""
    jumps: Floats
    """Change of the logarithm at once; mostly 0."""


class Factor:
    """One source of moves; `daily` is the standard deviation of the logarithm of a day."""

    def __init__(self, seed: int, name: str, daily: float, *, hours_kept: int) -> None:
        self.daily = daily
        self._cycles = [key_of(f"{seed}:{name}:cycle:{minutes}") for minutes in CYCLES_MINUTES]
        self._jump, self._move, self._step = (key_of(f"{seed}:{name}:{what}") for what in ("jump", "move", "step"))
        self.day = lru_cache(DAYS_KEPT)(self._day)
        self.paths = lru_cache(hours_kept)(self._paths)

    def _day(self, number: int) -> FactorDay:
        minutes = np.arange(number * DAY_MINUTES - ECHO_MINUTES, (number + 1) * DAY_MINUTES)
        chance = drawn(self._jump, minutes)
        jumped: Mask = part(chance, 0, 32) < 2**32 // JUMP_ONE_IN
        variance = self.daily**2 / DAY_MINUTES * self._clock(minutes) * _echoes(jumped)
        least, most = JUMP_SIZES
        sizes = (least + (most - least) * share(chance, 32)) * np.sqrt(variance)
        jumps = np.where(jumped, np.where(part(chance, 63, 1) == 1, sizes, -sizes), 0.0)
        moves = np.sqrt(variance) * normal(drawn(self._move, minutes))
        return FactorDay(variance[ECHO_MINUTES:], moves[ECHO_MINUTES:], jumps[ECHO_MINUTES:])

    def _clock(self, minutes: Integers) -> Floats:
        """How fast the clock runs; 1 in the mean."""
        logarithm = np.zeros(len(minutes))
        for key, period in zip(self._cycles, CYCLES_MINUTES, strict=True):
            node, inside = minutes // period, minutes % period / period
            nodes = normal(drawn(key, np.arange(node[0], node[-1] + 2)))
            value = (1 - inside) * nodes[node - node[0]] + inside * nodes[node - node[0] + 1]
            spread = CYCLE_DEVIATION**2 * ((1 - inside) ** 2 + inside**2)
            logarithm += 2 * CYCLE_DEVIATION * value - 2 * spread
        return np.asarray(_season()[minutes % WEEK_MINUTES] * np.exp(logarithm))

    def _paths(self, hour: int) -> Floats:
        """For each minute of an hour what the logarithm has gained since it began, before each step; without drift."""
        day = self.day(hour * HOUR_MINUTES // DAY_MINUTES)
        first = hour * HOUR_MINUTES % DAY_MINUTES
        inside = slice(first, first + HOUR_MINUTES)
        total = HOUR_MINUTES * STEPS
        steps = normal(drawn(self._step, np.arange(hour * total, (hour + 1) * total))).reshape(HOUR_MINUTES, STEPS)
        free = np.cumsum(steps, axis=1) * np.sqrt(day.variance[inside, None] / STEPS)
        # Brownian motion with a given end: what is added takes nothing from its law.
        led = free + (day.moves[inside, None] - free[:, -1:]) * (np.arange(1, STEPS + 1) / STEPS)
        paths = np.zeros((HOUR_MINUTES, STEPS))
        paths[:, 1:] = led[:, :-1]
        for minute in np.flatnonzero(day.jumps[inside]):
            place = 1 + int(part(drawn(self._jump, np.array([hour * HOUR_MINUTES + minute])), 8, 16)[0]) % (STEPS - 1)
            paths[int(minute), place:] += day.jumps[first + int(minute)]
        return paths


def _echoes(jumped: Mask) -> Floats:
    fading = ECHO * np.exp(-np.arange(ECHO_MINUTES) / ECHO_FADES_MINUTES)
    fading[0] = 0.0
    return np.asarray(1 + np.convolve(jumped.astype(np.float64), fading)[: len(jumped)])


@cache
def _season() -> Floats:
    """Variance by the minute of the week, from Thursday on as the epoch; 1 in the mean.

    Most is moved when Europe and America are both awake, least in the small hours of Europe and on weekends.
    """
    minute = np.arange(WEEK_MINUTES)
    turn = 2 * np.pi * minute / DAY_MINUTES
    volatility = 1 + 0.3 * np.cos(turn - 2 * np.pi * 15 / 24) + 0.1 * np.cos(2 * (turn - 2 * np.pi * 14.5 / 24))
    weekday = (minute // DAY_MINUTES + 3) % 7
    volatility *= np.where(weekday >= 5, 0.75, 1.0)
    return np.asarray(volatility**2 / np.mean(volatility**2))
