"""What one environment and many beside each other share: candles made ready, and the rules of an episode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Final, Literal, SupportsIndex, get_args

import numpy as np
from msgspec import Struct

from data_collector.client.adapters.environments.candles import Candles, rows_of, spans_of, times_ms
from data_collector.client.adapters.environments.episodes import Episodes
from data_collector.client.adapters.environments.features import BOUND, COUNT, Observations, features_of
from data_collector.client.errors import WrongQuestion

Positions = Sequence[float] | Literal["box"]
Execution = Literal["next_open"]
Features = Literal["candles/1"]
Reward = Literal["log_return"]

LOG_RUIN: Final = math.log(0.01)
"""An episode ends when a hundredth is left of what it began with; less is counted as that."""
TINY: Final = 1e-300
"""Stands for nothing, or less, where a logarithm is taken."""


class Rules(Struct, frozen=True, kw_only=True):
    """As `CandleEnv` has them."""

    window: int
    positions: Positions
    fee: float
    slippage: float
    execution: Execution
    episode: int | None
    random_start: bool
    features: Features
    reward: Reward
    reward_scale: float

    def check(self) -> None:
        """Raise `WrongQuestion`."""
        for name, choices in (("execution", Execution), ("features", Features), ("reward", Reward)):
            value = getattr(self, name)
            if value not in get_args(choices):
                raise WrongQuestion(f'{name}={value!r} is none that there is: write "{get_args(choices)[0]}".')
        if not _is_count(self.window):
            raise WrongQuestion(f"window={self.window!r} candles are none: give 1 or more.")
        if self.episode is not None and not _is_count(self.episode):
            raise WrongQuestion(f"episode={self.episode!r} steps are none: give 1 or more, or None for whole spans.")
        for name in ("fee", "slippage"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise WrongQuestion(f"{name}={value} is no part of what is traded: 0.001 is a tenth of a per cent.")
        if not (math.isfinite(self.reward_scale) and self.reward_scale > 0):
            raise WrongQuestion(f"reward_scale={self.reward_scale} is none: give a number above 0.")
        if not _are_positions(self.positions):
            raise WrongQuestion(
                f"positions={self.positions!r} are none: give shares of equity such as (-1.0, 0.0, 1.0), none beyond "
                f'{BOUND:.0f}, or "box".'
            )


def _is_count(value: object) -> bool:
    return isinstance(value, SupportsIndex) and index(value) >= 1


def _are_positions(positions: Positions) -> bool:
    if isinstance(positions, str):
        return positions == "box"
    return len(positions) > 0 and all(abs(position) <= BOUND for position in positions)


class Course:
    """Arrays with a row for each candle."""

    def __init__(self, candles: Candles, rules: Rules) -> None:
        """Raises `WrongQuestion`."""
        rules.check()
        rows = rows_of(candles)
        self.spans = spans_of(rows)
        self.episodes = Episodes(self.spans, rules.window, rules.episode, is_random=rules.random_start)
        self.rules = rules
        self.time_ms = times_ms(rows)
        self.choices = None if isinstance(rules.positions, str) else tuple(map(float, rules.positions))
        self.cost = rules.fee + rules.slippage
        close = rows["close"]
        self.gaps = np.zeros(len(rows))
        self.gaps[1:] = rows["open"][1:] / close[:-1] - 1.0
        """From the close before to the open: the old position's."""
        self.bodies = close / rows["open"] - 1.0
        """From the open to the close: the new position's."""
        self.features = features_of(rows, self.spans).ravel()
        """One candle's numbers behind the other's."""

    @property
    def size(self) -> int:
        """Of an observation."""
        return self.rules.window * COUNT + 1

    def windows(self) -> Observations:
        """By the row of their first candle; seen through, not copied."""
        return np.lib.stride_tricks.sliding_window_view(self.features, self.size - 1)[::COUNT]
