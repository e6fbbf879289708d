"""Prices and quantities as integers of a step, so that sums are exact."""

from __future__ import annotations

from decimal import Decimal

DECIMALS_MAX = 18
"""The finest step; exchanges have tokens of eighteen decimals."""


def units_of(text: str, decimals: int, most: int = DECIMALS_MAX) -> tuple[int, int] | None:
    """A number in units of 10^-`decimals`, or of a finer step where it needs one; and the decimals of that.

    None for what no step of at most so many decimals holds.
    """
    whole, _, fraction = text.partition(".")
    if len(fraction) <= decimals and (digits := whole + fraction).isdecimal():
        return int(digits) * 10 ** (decimals - len(fraction)), decimals
    number = Decimal(text)
    if not number.is_finite():
        return None
    sign, places, exponent = number.as_tuple()
    assert isinstance(exponent, int), "it is finite"
    units = int("".join(map(str, places)))
    while exponent < -most and units % 10 == 0:
        units, exponent = units // 10, exponent + 1
    decimals = max(decimals, -exponent)
    if decimals > most:
        return None
    units *= 10 ** (decimals + exponent)
    return (-units if sign else units), decimals


def exact_units(text: str, decimals: int) -> int:
    """A number that the step is known to hold."""
    fitted = units_of(text, decimals, 2 * DECIMALS_MAX)
    assert fitted is not None, "it was looked at"
    return fitted[0]


def text_of(units: int, decimals: int, least: int) -> str:
    """The number as a plain decimal, without zeros at the end but for the first `least` places."""
    whole, fraction = divmod(units, 10**decimals)
    places = f"{fraction:0{decimals}d}" if decimals else ""
    kept = places[:least] + places[least:].rstrip("0")
    return f"{whole}.{kept}" if kept else str(whole)
