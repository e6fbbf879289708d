"""Numbers that look drawn and are not: the same input always gives the same one."""

from __future__ import annotations

from statistics import NormalDist
from zlib import crc32

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_MASK = 2**64 - 1
_STEP = np.uint64(0x9E3779B97F4A7C15)


def mixed(value: int) -> int:
    """64 well-mixed bits: the finishing steps of SplitMix64, where neighbouring inputs give unrelated outputs."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)


def mixed_text(text: str, number: int = 0) -> int:
    """64 well-mixed bits of a name and a number."""
    return mixed(crc32(text.encode()) + number)


def drawn(key: int | Bits, numbers: Integers) -> Bits:
    """64 well-mixed bits of each number, as SplitMix64 gives them from a state: any stretch of them costs the same."""
    bits = np.multiply(numbers.astype(np.uint64), _STEP)
    bits += np.uint64(key) if isinstance(key, int) else key
    bits ^= bits >> np.uint64(30)
    bits *= np.uint64(0xBF58476D1CE4E5B9)
    bits ^= bits >> np.uint64(27)
    bits *= np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    return bits


def part(bits: Bits, shift: int, width: int) -> Integers:
    """So many bits of each, from a place on."""
    return ((bits >> np.uint64(shift)) & np.uint64(2**width - 1)).astype(np.int64)


def share(bits: Bits, shift: int = 0) -> Floats:
    """Evenly spread from 0 up to, not including, 1."""
    return part(bits, shift, 24) / 2**24


NORMAL_BITS = 12


def _quantiles() -> Floats:
    count = 2**NORMAL_BITS
    values = np.array([NormalDist().inv_cdf((place + 0.5) / count) for place in range(count // 2, count)])
    both = np.concatenate((-values[::-1], values))
    return np.asarray(both / np.sqrt(np.mean(both**2)))


_NORMAL = _quantiles()
"""As many values as `NORMAL_BITS` tell apart: symmetric, with a variance of exactly 1."""


def normal(bits: Bits) -> Floats:
    """Normally distributed, of the uppermost bits."""
    return _NORMAL[part(bits, 64 - NORMAL_BITS, NORMAL_BITS)]
