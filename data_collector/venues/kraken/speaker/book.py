"""Levels of the book: what changes of them, and the checksum of the best ten. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from decimal import Decimal
from itertools import islice

Levels = Mapping[str, str]
"""Quantity by price, best first."""

CHECKED = 10


def checksum(bids: Levels, asks: Levels) -> int:
    """CRC32 of the digits of the best ten levels of either side, without points and without zeros in front."""
    best = (pair for side in (asks, bids) for pair in islice(side.items(), CHECKED))
    return zlib.crc32("".join(text.replace(".", "").lstrip("0") for pair in best for text in pair).encode())


def changes(before: Levels, after: Levels, *, falls: bool) -> dict[str, str]:
    """What must be told of one side, whose prices fall behind the best one, or rise.

    Each level that changed, and those that are gone as 0, but for those that are now behind the last one.
    """
    last = Decimal(next(reversed(list(after)), "0"))
    gone = [price for price in before if price not in after and (Decimal(price) > last) == falls]
    return dict.fromkeys(gone, "0") | {
        price: quantity for price, quantity in after.items() if before.get(price) != quantity
    }  # fmt: skip
