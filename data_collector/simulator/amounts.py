"""Prices and quantities as integers of 10^-8, and their texts: nothing in the market is a binary float."""

from __future__ import annotations

SCALE = 10**8
"""Eight decimals, as in every amount of the exchanges that are spoken here."""


def amount_text(amount: int) -> str:
    """`12345678` as `"0.12345678"`; always eight decimals."""
    if amount < 0:
        return "-" + amount_text(-amount)
    whole, fraction = divmod(amount, SCALE)
    return f"{whole}.{fraction:08d}"


def price_text(amount: int, decimals: int) -> str:
    """With so many decimals; it has no more."""
    return cut_text(amount_text(amount), decimals)


def cut_text(text: str, decimals: int) -> str:
    """Of the eight decimals of a text so many."""
    return text[: decimals - 8 or None] if decimals else text[:-9]


def percent_text(change: int, base: int) -> str:
    """`change` in percent of `base` with three decimals, rounded half away from zero (as in recordings)."""
    if base == 0:
        return "0.000"
    thousandths = rounded_quotient(abs(change) * 100_000, base)
    sign = "-" if change < 0 and thousandths else ""
    return f"{sign}{thousandths // 1000}.{thousandths % 1000:03d}"


def rounded_quotient(numerator: int, denominator: int) -> int:
    """The quotient of non-negative numbers, rounded half up."""
    return (2 * numerator + denominator) // (2 * denominator)
