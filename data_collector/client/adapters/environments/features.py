"""What an agent sees of a candle: four numbers, made of it and of earlier ones alone.

| number | is |
|---|---|
| return | log of close ÷ close before; 0 where a candle is missing before it |
| range | log of high ÷ low, less its mean |
| body | log of close ÷ open |
| volume | log of 1 + volume, less its mean |

Each is divided by its own deviation. Means and deviations are exponentially weighted over `SPAN` candles up to and
including this one, so no scale was learned from what came later.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.typing as npt

from data_collector.client.adapters.environments.candles import Rows

Floats = npt.NDArray[np.float64]
Observations = npt.NDArray[np.float32]

COUNT: Final = 4
SPAN: Final = 256
BOUND: Final = 8.0
"""Of every number that is seen: rarer ones say nothing more."""

_KEPT: Final = 1 - 2 / (SPAN + 1)
"""Of a weight, one candle later."""
_SMALLEST_DEVIATION: Final = 1e-8
"""Below it there is only what rounding leaves."""


def features_of(rows: Rows, spans: Sequence[slice]) -> Observations:
    """A row of `COUNT` for each candle."""
    close = rows["close"]
    returns = np.zeros(len(rows))
    returns[1:] = np.log(close[1:] / close[:-1])
    returns[[span.start for span in spans]] = 0.0
    ranges = np.log(rows["high"] / rows["low"])
    bodies = np.log(close / rows["open"])
    volumes = np.log1p(rows["volume"])
    seen = np.empty((len(rows), COUNT), np.float32)
    for column, distances in enumerate((returns, ranges - _means(ranges), bodies, volumes - _means(volumes))):
        deviations = np.maximum(np.sqrt(_means(distances * distances)), _SMALLEST_DEVIATION)
        seen[:, column] = np.clip(distances / deviations, -BOUND, BOUND)
    return seen


def _means(values: Floats) -> Floats:
    """Exponentially weighted, of all values up to each."""
    sums = accumulate(values.tolist(), lambda earlier, value: _KEPT * earlier + value)
    weights = accumulate(range(1, len(values)), lambda earlier, _: _KEPT * earlier + 1.0, initial=1.0)
    return np.fromiter(sums, np.float64, len(values)) / np.fromiter(weights, np.float64, len(values))
