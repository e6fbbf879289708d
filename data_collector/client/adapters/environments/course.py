"""What one environment and many beside each other share: candles made ready, and the rules of an episode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt
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
        if self.window < 1:
            raise WrongQuestion(f"window={self.window} candles are none: give 1 or more.")
        if self.episode is not None and self.episode < 1:
            raise WrongQuestion(f"episode={self.episode} steps are none: give 1 or more, or None for whole spans.")
        for name in ("fee", "slippage"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise WrongQuestion(f"{name}={value} is no part of what is traded: 0.001 is a tenth of a per cent.")
        if not (math.isfinite(self.reward_scale) and self.reward_scale > 0):
            raise WrongQuestion(f"reward_scale={self.reward_scale} is none: give a number above 0.")
        if self.positions != "box":
            self._check_positions(self.positions)

    def _check_positions(self, positions: Sequence[float] | str) -> None:
        is_good = not isinstance(positions, str) and all(abs(position) <= BOUND for position in positions)
        if not is_good or not len(positions):
            raise WrongQuestion(
                f"positions={positions!r} are none: give shares of equity such as (-1.0, 0.0, 1.0), none beyond "
                f'{BOUND:.0f}, or "box".'
            )


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
        self.windows = self._windows(features_of(rows, self.spans))
        """By the row of its first candle."""

    @property
    def size(self) -> int:
        """Of an observation."""
        return self.rules.window * COUNT + 1

    def _windows(self, features: Observations) -> npt.NDArray[np.float32]:
        """Seen through, not copied."""
        return np.lib.stride_tricks.sliding_window_view(features.ravel(), self.size - 1)[::COUNT]
