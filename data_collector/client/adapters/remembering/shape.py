"""What of candles is compared: channels, and the weights that they have in a similarity."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from data_collector.client.adapters.remembering.candle_file import Rows
from data_collector.client.errors import WrongQuestion

Floats = npt.NDArray[np.float64]

EMBEDDING: Final = "shape/1"
"""Each channel z-normalised over the window; similarity is the weighted sum of correlations."""

WINDOW_MAX: Final = 16_384
"""Candles."""

CHANNELS: Final[Mapping[str, Callable[[Rows], Floats]]] = {
    "close": lambda rows: np.log(rows["close"]),
    "range": lambda rows: np.log(rows["high"] / rows["low"]),
    "volume": lambda rows: np.log1p(rows["volume"]),
}

PRICE: Final = "close"
"""The channel by which outcomes and scale are measured."""


class Shape(Struct, frozen=True):
    """How windows are compared."""

    window: int
    """Candles."""
    weights: Mapping[str, float]
    """By channel; together 1."""

    @property
    def parts(self) -> list[tuple[str, float]]:
        """Channel and weight, in the order of a vector."""
        return [(name, self.weights[name]) for name in CHANNELS if name in self.weights]

    @property
    def dimensions(self) -> int:
        """Of a vector."""
        return self.window * len(self.weights)

    @property
    def text(self) -> str:
        """`shape/1 window=64 close=0.7 range=0.15 volume=0.15`: vectors of the same text can be compared."""
        return " ".join([EMBEDDING, f"window={self.window}", *(f"{name}={weight:.12g}" for name, weight in self.parts)])


def shape_of(window: int, channels: Mapping[str, float], embedding: str) -> Shape:
    """Raises `WrongQuestion`."""
    if embedding != EMBEDDING:
        raise WrongQuestion(f"embedding={embedding!r} is not known: this version has {EMBEDDING}.")
    if not 2 <= window <= WINDOW_MAX:
        raise WrongQuestion(f"window={window} is no number of candles from 2 to {WINDOW_MAX:,}.")
    unknown = [name for name in channels if name not in CHANNELS]
    if unknown:
        raise WrongQuestion(f"channels={unknown[0]!r} is none of {', '.join(CHANNELS)}.")
    if not all(math.isfinite(weight) and weight >= 0 for weight in channels.values()):
        raise WrongQuestion("channels= are to have weights of 0 or more.")
    total = math.fsum(channels.values())
    if not 0 < total < math.inf:
        raise WrongQuestion("channels= has no weight above 0.")
    return Shape(window, {name: weight / total for name, weight in channels.items() if weight > 0})


def channel_values(name: str, rows: Rows) -> Floats:
    """Not a number where it is not told, or has no logarithm."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        values = CHANNELS[name](rows)
    return np.where(np.isfinite(values), values, np.nan)
