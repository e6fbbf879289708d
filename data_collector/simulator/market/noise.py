"""Numbers that look drawn and are not: the same input always gives the same one."""

from __future__ import annotations

from zlib import crc32

_MASK = 2**64 - 1


def mixed(value: int) -> int:
    """64 well-mixed bits: the finishing steps of SplitMix64, where neighbouring inputs give unrelated outputs."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)


def mixed_text(text: str, number: int = 0) -> int:
    """64 well-mixed bits of a name and a number."""
    return mixed(crc32(text.encode()) + number)
