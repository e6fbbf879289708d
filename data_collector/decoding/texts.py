"""Numbers and times as exchanges write them. All raise `ValueError` for what is none."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from msgspec import Raw

EXPONENT_MAX = 40
"""Of a number that is written with an exponent: what it says in plain digits must have a bound."""

_STARTS = frozenset("-0123456789")


def plain_digits(number: Raw) -> str:
    """The digits of a JSON number as they came; one with an exponent (1e-08) is written out."""
    text = str(number, "ascii")
    if text[0] not in _STARTS:
        raise ValueError(f"a number is {text[:20]!r}")
    return _written_out(text) if "e" in text or "E" in text else text


def _written_out(text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        # Its exponent has more than eighteen digits.
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > EXPONENT_MAX:
        raise ValueError(f"a number is {text[:20]!r}")
    return format(number, "f")


def microseconds(timestamp: str) -> int:
    """Of 2023-09-25T07:49:37.708706Z (RFC 3339); what is finer is cut off."""
    part = timestamp[20:-1]
    # Without the Z at its end it is no second that the cache has.
    second_us = _second_us(timestamp[:19] + timestamp[-1:])
    return second_us + int(part if len(part) == 6 else part[:6].ljust(6, "0"))


@lru_cache(maxsize=128)
def _second_us(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()) * 1_000_000
