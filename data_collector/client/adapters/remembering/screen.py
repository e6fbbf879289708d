"""A bound for the similarity of every window of a series at once: correlations by FFT, and how wrong they may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from data_collector.client.adapters.remembering.shape import Floats, Shape

Singles = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

BLOCK_ROWS: Final = 4096
"""Of one transform; more where windows are long."""

GROUPED: Final = 64
"""Windows of a group; a power of two."""

TRANSFORM_ERROR: Final = 4.0 * 2.0**-24
"""Of a product, at most so much of the length of the block times that of the window."""

ROUNDING: Final = 4e-6
"""Of everything else that is computed with 24 bits."""

_BLOCKS_AT_ONCE: Final = 16
"""They fit into the cache."""


class Screen:
    """Windows in blocks, each with its transform. What a block holds depends on the rows of its windows alone."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        longest = 1 << (shape.window - 1).bit_length()
        self._size = max(BLOCK_ROWS, 4 * longest)
        self._hop = (self._size - shape.window + 1) // GROUPED * GROUPED
        frequencies = self._size // 2 + 1
        self._spectra = {name: np.zeros((0, frequencies), np.complex64) for name in shape.weights}
        self._inverses = {name: np.zeros((0, self._hop), np.float32) for name in shape.weights}
        """1 ÷ the spread of each window; 0 where it has no shape."""
        self._margins = np.zeros((0, self._hop), np.float32)
        """How much more than computed a similarity can be; minus infinity where it has no shape."""

    def put(self, first: int, spreads: Mapping[str, Floats], is_shaped: Mask) -> None:
        """Of windows from `first` on."""
        blocks = -(-(first + len(is_shaped)) // self._hop)
        self._grow(blocks)
        until = first + len(is_shaped)
        for name, inverses in self._inverses.items():
            inverses.reshape(-1)[first:until] = np.divide(
                1.0, spreads[name], out=np.zeros(len(is_shaped)), where=is_shaped
            )
        self._margins.reshape(-1)[first:until] = np.where(is_shaped, 0.0, -np.inf)

    def refresh(self, first: int, until: int, values: Mapping[str, Floats], rows: int) -> None:
        """Transform the blocks of these windows anew; there are so many rows."""
        if until <= first:
            return
        for block in range(first // self._hop, (until - 1) // self._hop + 1):
            begin = block * self._hop
            margins = np.where(self._margins[block] == -np.inf, -np.inf, ROUNDING)
            for name, weight in self._shape.parts:
                part = values[name][begin : min(begin + self._hop + self._shape.window - 1, rows)]
                known = part[~np.isnan(part)]
                distances = np.nan_to_num(part - known.mean()) if len(known) else np.zeros(1)
                self._spectra[name][block] = np.fft.rfft(distances.astype(np.float32), self._size)
                length = float(np.sqrt(np.add.reduce(distances * distances)))
                margins += weight * TRANSFORM_ERROR * length * self._inverses[name][block]
            self._margins[block] = margins

    def bounds(self, unit: Mapping[str, Floats], counting: Mask) -> tuple[Singles, Singles]:
        """What the similarity of each of the first windows is at most, and of `GROUPED` of them at a time the most.

        Of a window that does not count it is minus infinity; both end with a whole block.
        """
        blocks = -(-len(counting) // self._hop)
        is_out = np.ones((blocks, self._hop), np.bool_)
        np.logical_not(counting, out=is_out.reshape(-1)[: len(counting)])
        found = np.empty((blocks, self._hop), np.float32)
        peaks = np.empty((blocks, self._hop // GROUPED), np.float32)
        spectra = {
            name: np.conj(np.fft.rfft((weight * unit[name]).astype(np.float32), self._size))
            for name, weight in self._shape.parts
        }
        for at in range(0, blocks, _BLOCKS_AT_ONCE):
            piece = slice(at, min(at + _BLOCKS_AT_ONCE, blocks))
            bounds = found[piece]
            bounds[:] = self._margins[piece]
            for name, spectrum in spectra.items():
                products = np.fft.irfft(self._spectra[name][piece] * spectrum, self._size)[:, : self._hop]
                bounds += np.multiply(products, self._inverses[name][piece], out=products)
            np.copyto(bounds, -np.inf, where=is_out[piece])
            peaks[piece] = _highest(bounds)
        return found.reshape(-1), peaks.reshape(-1)

    def _grow(self, blocks: int) -> None:
        """With places for so many."""
        known = len(self._margins)
        if blocks <= known:
            return
        more = max(blocks, known + known // 4) - known
        for arrays in (self._spectra, self._inverses):
            for name, array in arrays.items():
                arrays[name] = np.concatenate([array, np.zeros((more, array.shape[1]), array.dtype)])
        empty = np.full((more, self._hop), -np.inf, np.float32)
        self._margins = np.concatenate([self._margins, empty])


def _highest(bounds: Singles) -> Singles:
    """Of groups that lie spread over the block: halves are compared, which is quicker than neighbours."""
    width = bounds.shape[1]
    for _ in range(GROUPED.bit_length() - 1):
        width //= 2
        bounds = np.maximum(bounds[:, :width], bounds[:, width:])
    return bounds
