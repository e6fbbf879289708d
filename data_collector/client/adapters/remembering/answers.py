"""What a memory answers: moments like now, what followed them, and how much that is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct

from data_collector.client.errors import ClientError

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)

Lack = Literal["short", "gap", "flat", "untold"]


class NoShape(ClientError):
    """The window has no shape that could be compared; the sentence says why."""

    def __init__(self, sentence: str, reason: Lack) -> None:
        super().__init__(sentence)
        self.reason = reason
        """`short`: too few candles; `gap`: some are missing; `flat`: a channel does not move; `untold`: the exchange
        does not tell one, the volume say."""


class Hit(Struct, frozen=True):
    """A past window that is like the one that was asked about."""

    start: datetime
    """When its first candle opened."""
    end: datetime
    """When its last candle closed."""
    similarity: float
    """-1 to 1: the weighted sum of the channels' correlations."""
    scale: float
    """Its volatility ÷ that of the window asked about: standard deviations of the logarithm of the close."""
    after: Mapping[int, float]
    """By horizon: the logarithm of the close so many candles later ÷ the window's last close."""


class Outcome(Struct, frozen=True):
    """What followed some windows. None, and no quantiles, where there is no window."""

    mean: float | None
    quantiles: Mapping[float, float]
    """0.1, 0.25, 0.5 (the median), 0.75, 0.9."""
    n: int
    """Windows."""
    effective_n: float
    """What they are worth: outcomes that share candles count only once for them."""


class Forecast(Outcome, frozen=True):
    """What followed windows that were alike, beside what followed any.

    It is no promise: where `random` says nearly the same, the shape says nothing.
    """

    horizon: int
    at: datetime
    """Nothing later was looked at."""
    random: Outcome
    """The same of windows that could have been found too, drawn at random, with a fixed seed."""
    p_value: float | None
    """How often as few random windows have a mean as far from random's: 0.3 is what chance does three times in ten."""


class Moments(Struct, frozen=True):
    """Past windows that are like one, and what followed these: an answer to draw."""

    start: datetime
    """When the first candle of the window asked about opened."""
    hits: Sequence[Hit]
    """Best first."""
    forecasts: Sequence[Forecast]
    """What followed the hits, in the order of the horizons."""
