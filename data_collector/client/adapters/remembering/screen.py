"""A bound for the similarity of every window of a series at once: correlations by FFT, and how wrong they may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from data_collector.client.adapters.remembering.shape import Floats, Shape

Singles = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

BLOCK_ROWS: Final = 4096
"""Of one transform; more where windows are long."""


TRANSFORM_ERROR: Final = 4.0 * 2.0**-24
"""Of a product, at most so much of the length of the block times that of the window."""

ROUNDING: Final = 4e-6
"""Of everything else that is computed with 24 bits."""

GROUPED: Final = 64
"""Windows of a group: those at the same place in so many blocks."""

_BLOCKS_AT_ONCE: Final = 16
"""They fit into the cache."""


class Bounds:
    """What the similarity of each window is at most, but for `ROUNDING`."""

    def __init__(self, found: Singles, peaks: Singles) -> None:
        """By block, and the highest of each group."""
        self.found = found
        self.peaks = peaks

    def floor(self, groups: int) -> float:
        """As many groups reach it at least; minus infinity where there are not so many."""
        if groups >= self.peaks.size:
            return -np.inf
        return float(np.partition(self.peaks.reshape(-1), -groups)[-groups])

    def reaching(self, floor: float) -> Integers:
        """Windows of which the bound is a number and not lower, in order."""
        lowest = max(floor, float(np.finfo(np.float32).min))
        hop = self.peaks.shape[1]
        pieces, places = np.divmod(np.flatnonzero(self.peaks.reshape(-1) >= lowest), hop)
        windows = (pieces * (GROUPED * hop) + places)[:, np.newaxis] + hop * np.arange(GROUPED)
        windows = windows[windows < self.found.size]
        starts: Integers = np.sort(windows[self.found.reshape(-1).take(windows) >= lowest])
        return starts


class Screen:
    """Windows in blocks, each with its transform. What a block holds depends on the rows of its windows alone."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        longest = 1 << (shape.window - 1).bit_length()
        self._size = max(BLOCK_ROWS, 4 * longest)
        self._hop = self._size - shape.window + 1
        frequencies = self._size // 2 + 1
        self._spectra = {name: np.zeros((0, frequencies), np.complex64) for name in shape.weights}
        """The first number of a block, which a window without a mean does not meet, is how wrong a product can be."""
        self._inverses = {name: np.zeros((0, self._hop), np.float32) for name in shape.weights}
        """1 ÷ the spread of each window; 0 where it has no shape."""
        self._found = np.zeros((0, self._hop), np.float32)
        self._is_out = np.zeros((0, self._hop), np.bool_)
        # What these two hold is of the question that was asked last.

    def put(self, first: int, spreads: Mapping[str, Floats], is_shaped: Mask) -> None:
        """Of windows from `first` on."""
        blocks = -(-(first + len(is_shaped)) // self._hop)
        self._grow(blocks)
        until = first + len(is_shaped)
        for name, inverses in self._inverses.items():
            inverses.reshape(-1)[first:until] = np.divide(
                1.0, spreads[name], out=np.zeros(len(is_shaped)), where=is_shaped
            )

    def refresh(self, first: int, until: int, values: Mapping[str, Floats], rows: int) -> None:
        """Transform the blocks of these windows anew; there are so many rows."""
        if until <= first:
            return
        for block in range(first // self._hop, (until - 1) // self._hop + 1):
            begin = block * self._hop
            for name, spectra in self._spectra.items():
                part = values[name][begin : min(begin + self._hop + self._shape.window - 1, rows)]
                known = part[~np.isnan(part)]
                distances = np.nan_to_num(part - known.mean()) if len(known) else np.zeros(1)
                spectra[block] = np.fft.rfft(distances.astype(np.float32), self._size)
                length = np.sqrt(np.sum(distances * distances))
                spectra[block, 0] = TRANSFORM_ERROR * length * self._size

    def bounds(self, unit: Mapping[str, Floats], counting: Mask) -> Bounds:
        """Of the first windows, until it is called again; minus infinity of those that do not count."""
        blocks = -(-len(counting) // self._hop)
        found, is_out = self._found[:blocks], self._is_out[:blocks]
        np.logical_not(counting, out=is_out.reshape(-1)[: len(counting)])
        is_out.reshape(-1)[len(counting) :] = True
        peaks = np.full((-(-blocks // GROUPED), self._hop), -np.inf, np.float32)
        spectra = {name: self._spectrum(weight, unit[name]) for name, weight in self._shape.parts}
        for begin in range(0, blocks, _BLOCKS_AT_ONCE):
            piece = slice(begin, min(begin + _BLOCKS_AT_ONCE, blocks))
            bounds, highest = found[piece], peaks[begin // GROUPED]
            self._bound(bounds, piece, spectra)
            if np.count_nonzero(is_out[piece]):
                np.copyto(bounds, -np.inf, where=is_out[piece])
            np.maximum(highest, np.max(bounds, axis=0), out=highest)
        return Bounds(found, peaks)

    def _bound(self, bounds: Singles, piece: slice, spectra: Mapping[str, npt.NDArray[np.complex64]]) -> None:
        for number, (name, spectrum) in enumerate(spectra.items()):
            products = np.fft.irfft(self._spectra[name][piece] * spectrum, self._size)[:, : self._hop]
            if number:
                bounds += np.multiply(products, self._inverses[name][piece], out=products)
            else:
                np.multiply(products, self._inverses[name][piece], out=bounds)

    def _spectrum(self, weight: float, unit: Floats) -> npt.NDArray[np.complex64]:
        spectrum = np.conj(np.fft.rfft((weight * unit).astype(np.float32), self._size))
        spectrum[0] = weight
        return spectrum

    def _grow(self, blocks: int) -> None:
        """With places for so many."""
        known = len(self._found)
        if blocks <= known:
            return
        more = max(blocks, known + known // 4) - known
        for arrays in (self._spectra, self._inverses):
            for name, array in arrays.items():
                arrays[name] = np.concatenate([array, np.zeros((more, array.shape[1]), array.dtype)])
        self._found = np.zeros((known + more, self._hop), np.float32)
        self._is_out = np.zeros((known + more, self._hop), np.bool_)
