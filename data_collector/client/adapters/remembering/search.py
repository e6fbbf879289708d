"""The windows that are most alike, found through their bounds and proven with exact similarities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from data_collector.client.adapters.remembering.screen import ROUNDING, Bounds, Integers
from data_collector.client.adapters.remembering.shape import Floats
from data_collector.client.errors import WrongQuestion

K_MAX: Final = 10_000

LOOKED_INTO: Final = 24
"""Groups of windows per hit that is wanted, to begin with: a hit hides those that begin close to it."""


def check_numbers(k: int, horizons: Sequence[int], exclusion: int, scale: tuple[float, float] | None) -> None:
    """Raise `WrongQuestion`."""
    if not 1 <= k <= K_MAX:
        raise WrongQuestion(f"k={k} is no number of windows from 1 to {K_MAX:,}.")
    if any(horizon < 1 for horizon in horizons):
        raise WrongQuestion(f"horizons={tuple(horizons)} are to be candles, 1 at least.")
    if exclusion < 0:
        raise WrongQuestion(f"exclusion={exclusion} is no number of candles.")
    if scale is not None and not 0 <= scale[0] <= scale[1]:
        raise WrongQuestion(f"scale={scale} is to be the lowest and the highest ratio, such as (0.5, 2.0).")


def nearest(
    bounds: Bounds, similarities: Callable[[Integers], Floats], wanted: int, exclusion: int
) -> tuple[list[int], list[float]]:
    """Windows and their similarities, best first; of equals the earlier one first, and none closer than `exclusion`.

    No window of which the similarity was not computed could stand among them.
    """
    groups = LOOKED_INTO * wanted
    while True:
        floor = bounds.floor(groups)
        starts = bounds.reaching(floor)
        found = similarities(starts)
        chosen = _apart(starts, found, wanted, exclusion, floor + ROUNDING)
        if len(chosen) == wanted or floor == -np.inf:
            return [int(starts[each]) for each in chosen], [float(found[each]) for each in chosen]
        groups *= 2


def _apart(starts: Integers, found: Floats, wanted: int, exclusion: int, floor: float) -> Sequence[int]:
    """Places of the best, as long as they are better than anything below the floor."""
    chosen, taken = list[int](), list[int]()
    for place in np.lexsort((starts, -found)).tolist():
        if found[place] <= floor or len(chosen) == wanted:
            break
        start = int(starts[place])
        if all(abs(start - other) >= exclusion for other in taken):
            chosen.append(place)
            taken.append(start)
    return chosen
