"""The windows that are most alike, found through their bounds and proven with exact similarities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from data_collector.client.adapters.remembering.screen import ROUNDING, Bounds, Integers
from data_collector.client.adapters.remembering.shape import Floats

LOOKED_INTO: Final = 24
"""Groups of windows per hit that is wanted, to begin with: a hit hides those that begin close to it."""


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
