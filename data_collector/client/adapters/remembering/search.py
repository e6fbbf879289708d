"""The windows that are most alike, found through their bounds and proven with exact similarities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from data_collector.client.adapters.remembering.screen import ALIGNED, Singles
from data_collector.client.adapters.remembering.shape import Floats
from data_collector.client.adapters.remembering.windows import Integers, Mask

_PEAKS_PER_HIT: Final = 8
"""So many stretches of bounds are looked into first, of each hit that is wanted; a hit hides two or three of them."""


def nearest(
    bounds: Singles, counting: Mask, similarities: Callable[[Integers], Floats], wanted: int, exclusion: int
) -> tuple[list[int], list[float]]:
    """Windows and their similarities, best first; of equals the earlier one first, and none closer than `exclusion`.

    No window of which the similarity was not computed could stand among them.
    """
    bounds[: len(counting)][~counting] = -np.inf
    bounds[len(counting) :] = -np.inf
    peaks = bounds.reshape(-1, ALIGNED).max(axis=1)
    looked_into = _PEAKS_PER_HIT * wanted
    while True:
        if looked_into < len(peaks):
            floor = float(np.partition(peaks, len(peaks) - looked_into)[len(peaks) - looked_into])
        else:
            floor = -np.inf
        starts = np.flatnonzero(bounds >= floor) if floor > -np.inf else np.flatnonzero(counting)
        found = similarities(starts)
        chosen = _apart(starts, found, wanted, exclusion, floor)
        if len(chosen) == wanted or floor == -np.inf:
            return [int(starts[each]) for each in chosen], [float(found[each]) for each in chosen]
        looked_into *= 2


def _apart(starts: Integers, found: Floats, wanted: int, exclusion: int, floor: float) -> Sequence[int]:
    """Places of the best, as long as they are better than anything below the floor."""
    chosen = list[int]()
    taken = list[int]()
    for place in np.lexsort((starts, -found)).tolist():
        if found[place] <= floor or len(chosen) == wanted:
            break
        start = int(starts[place])
        if all(abs(start - other) >= exclusion for other in taken):
            chosen.append(place)
            taken.append(start)
    return chosen
