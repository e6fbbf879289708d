"""The best levels of order books, kept from what changes of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from decimal import Decimal

Offer = tuple[str, str]
"""Price and quantity, with the exchange's digits."""

OFFER_CHARACTERS_MAX = 64
"""Of a price or quantity: all others are written with as many decimals for each checksum."""

Top = tuple[Offer, Offer]
"""Best bid and best ask."""


class Book:
    """Of one symbol, `depth` levels a side."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._decimals = [0, 0]
        self._number = 0
        self._bids: dict[Decimal, Offer] = {}
        self._asks: dict[Decimal, Offer] = {}

    @property
    def top(self) -> Top | None:
        """Best bid and best ask; None while one of them is missing."""
        if not self._bids or not self._asks:
            return None
        return next(iter(self._bids.values())), next(iter(self._asks.values()))

    @property
    def digits(self) -> str:
        """Of asks and bids, best first, prices and quantities in turn, without points and zeros in front.

        All have as many decimals as the finest one: a number with an exponent hides some that its checksum has.
        """
        offers = (*self._asks.values(), *self._bids.values())
        return "".join(self._digits(which, text) for offer in offers for which, text in enumerate(offer))

    def number(self, time_us: int) -> int:
        """Of a change at that time: it grows."""
        self._number = max(self._number + 1, time_us)
        return self._number

    def change(self, bids: Iterable[Offer], asks: Iterable[Offer]) -> None:
        """Take in what is offered at these prices now. Nothing needs to tell of levels that leave the depth."""
        self._bids = self._changed(self._bids, bids, highest_first=True)
        self._asks = self._changed(self._asks, asks, highest_first=False)

    def _changed(
        self, side: dict[Decimal, Offer], offers: Iterable[Offer], *, highest_first: bool
    ) -> dict[Decimal, Offer]:
        for offer in offers:
            for which, text in enumerate(offer):
                if len(text) > OFFER_CHARACTERS_MAX:
                    raise ValueError("a number of the book has no end")
                self._decimals[which] = max(self._decimals[which], len(text.partition(".")[2]))
            price = Decimal(offer[0])
            if Decimal(offer[1]):
                side[price] = offer
            else:
                side.pop(price, None)
        return {price: side[price] for price in sorted(side, reverse=highest_first)[: self._depth]}

    def _digits(self, which: int, text: str) -> str:
        whole, _, part = text.partition(".")
        return (whole + part.ljust(self._decimals[which], "0")).lstrip("0")


class Books:
    """Those of one connection. Raises `ValueError` for a change that cannot be taken in."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._books: dict[str, Book] = {}

    def begin(self, symbol: str) -> None:
        """What comes next is all of it."""
        self._books[symbol] = Book(self._depth)

    def change(
        self, symbol: str, bids: Iterable[Offer], asks: Iterable[Offer], *, time_us: int, checksum: int
    ) -> tuple[int, Top] | None:
        """Number and top, where the top is another than before; `checksum` is the CRC32 of its digits."""
        book = self._books.get(symbol)
        if book is None:
            raise ValueError("the book has no snapshot")
        before = book.top
        book.change(bids, asks)
        if zlib.crc32(book.digits.encode()) != checksum:
            # Wrong from here on: it stays silent, and that brings a new snapshot.
            del self._books[symbol]
            raise ValueError("the checksum of the book is not ours")
        return None if book.top is None or book.top == before else (book.number(time_us), book.top)
