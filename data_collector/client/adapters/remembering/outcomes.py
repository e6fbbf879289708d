"""What followed windows that are alike, beside what followed windows drawn at random, and how far chance goes."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import numpy as np

from data_collector.client.adapters.remembering.answers import QUANTILES, Forecast, Outcome
from data_collector.client.adapters.remembering.screen import Integers, Mask
from data_collector.client.adapters.remembering.shape import Floats
from data_collector.client.adapters.remembering.windows import Windows

RANDOM_WINDOWS: Final = 1000

_SEED: Final = 20_241_129
_DRAWS: Final = 1000


def drawn_windows(counting: Mask) -> Integers:
    """Some of those that count, in order; the same ones each time."""
    windows: Integers = np.flatnonzero(counting)
    if len(windows) <= RANDOM_WINDOWS:
        return windows
    return np.sort(np.random.default_rng(_SEED).choice(windows, RANDOM_WINDOWS, replace=False))


def forecast_of(windows: Windows, found: Integers, drawn: Integers, horizon: int, at: datetime) -> Forecast:
    """Both in order."""
    returns, any_returns = windows.returns(found, horizon), windows.returns(drawn, horizon)
    alike, random = _outcome(found, returns, horizon), _outcome(drawn, any_returns, horizon)
    return Forecast(
        alike.mean, alike.quantiles, alike.n, alike.effective_n,
        horizon=horizon, at=at, random=random, p_value=_p_value(alike, any_returns),
    )  # fmt: skip


def _outcome(starts: Integers, returns: Floats, horizon: int) -> Outcome:
    if not len(starts):
        return Outcome(None, {}, 0, 0.0)
    candles = horizon + int(np.minimum(np.diff(starts), horizon).sum())
    quantiles = np.quantile(returns, QUANTILES).tolist()
    return Outcome(float(returns.mean()), dict(zip(QUANTILES, quantiles, strict=True)), len(starts), candles / horizon)


def _p_value(alike: Outcome, returns: Floats) -> float | None:
    """By draws of as many windows as the hits are worth."""
    if alike.mean is None or not len(returns):
        return None
    size = max(1, round(alike.effective_n))
    middle = returns.mean()
    means = np.random.default_rng(_SEED).choice(returns, (_DRAWS, size)).mean(axis=1)
    as_far = int(np.count_nonzero(np.abs(means - middle) >= abs(alike.mean - middle)))
    return (1 + as_far) / (1 + _DRAWS)
