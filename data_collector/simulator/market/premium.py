"""By how much an exchange's prices are above the market's: differences that come, and go by themselves.

A process of Ornstein and Uhlenbeck, made of what was drawn before: known for any hour without those between.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from data_collector.simulator.market.factors import HOUR_MINUTES, STEPS
from data_collector.simulator.market.noise import Floats, drawn, mixed_text, normal

NODES = 6
"""Of a minute; the premium moves evenly between them."""
FADES_MINUTES = 5.0
"""After so long a difference is e times less."""
MEMORY_MINUTES = 40
"""What was drawn before has faded."""
DEVIATIONS_MAX = 3.0
"""No premium is further from 0."""

ASSETS_KEPT = 64
BASIS_POINT = 1e-4


class Premiums:
    """Of one exchange, for each of its assets by itself, so that pairs of the same assets agree."""

    def __init__(self, seed: int, exchange: str, deviation_bps: float) -> None:
        self._name = f"{seed}:premium:{exchange}"
        # A pair has those of two assets.
        self._deviation = deviation_bps * BASIS_POINT / np.sqrt(2)
        self.paths = lru_cache(ASSETS_KEPT)(self._paths)

    def _paths(self, asset: str, hour: int) -> Floats:
        """The logarithm, for each minute of an hour and each step of it."""
        fading = np.exp(-np.arange(MEMORY_MINUTES * NODES) / (FADES_MINUTES * NODES))
        first = hour * HOUR_MINUTES * NODES
        nodes = np.arange(first - len(fading) + 1, first + HOUR_MINUTES * NODES + 1)
        draws = normal(drawn(mixed_text(f"{self._name}:{asset}"), nodes))
        values = np.convolve(draws, fading, mode="valid") / np.sqrt(np.sum(fading**2))
        values = self._deviation * np.clip(values, -DEVIATIONS_MAX, DEVIATIONS_MAX)
        inside = np.arange(STEPS * HOUR_MINUTES) * (NODES / STEPS)
        return np.asarray(np.interp(inside, np.arange(len(values)), values)).reshape(HOUR_MINUTES, STEPS)
