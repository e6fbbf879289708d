"""What the exchange traded, by id: a mark of 64 bits for each trade, so that tens of millions fit into memory."""

from __future__ import annotations

from array import array
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
from msgspec import Struct

from data_collector.model.keys import FIRST_EXCHANGE, KeyKind
from data_collector.model.records import Trade
from data_collector.model.venue import Venue
from data_collector.venues.discovery import find_speaker, find_venue
from tests.integration.exactness import EPOCH, iso

ABSENT = 0
"""The mark of an id that the exchange has never given to a trade."""

FLOAT = timedelta(microseconds=2)
"""How far a time that was a float, as REST of some exchanges has it, may be from what it was."""

AHEAD_MAX = 100_000
"""Ids that trades may have by now."""

KEPT_MAX = 6_000_000
"""Marks of a symbol, 48 MB; what is older has left every store long ago."""


class StoredTrade(Struct):
    """The contract's trade record; the digits stay as they stand."""

    symbol: str
    timestamp: str
    trade_id: int
    price: msgspec.Raw
    quantity: msgspec.Raw
    buyer_order_id: int | None
    seller_order_id: int | None
    is_buyer_maker: bool


_decode = msgspec.json.Decoder(StoredTrade).decode


def mark_of(symbol: str, timestamp: str, price: str, quantity: str, *, is_buyer_maker: bool) -> int:
    """Never `ABSENT`. Python salts it, so it is good for one process."""
    return hash((symbol, timestamp, price, quantity, is_buyer_maker)) % 2**64 or 1


def by_value(number: str) -> str:
    """The same text for the same number."""
    return str(Decimal(number).normalize())


class Truth:
    """The trades of one symbol from the first that was asked for; ids rise by one."""

    def __init__(self, symbol: str, venue: Venue | None = None) -> None:
        self.symbol = symbol
        """As the exchange calls it."""
        self.venue = venue or find_venue(FIRST_EXCHANGE)
        self.market = find_speaker(self.venue.name).market_symbol(symbol)
        """As the market calls it."""
        self.name = f"{self.venue.key_prefix}{symbol}"
        # Others write zeros after the last digit or do not, and their times have microseconds.
        self.is_literal = self.venue.name == FIRST_EXCHANGE
        self._first_id = -1
        self._marks: array[int] = array("Q")

    def key(self, kind: KeyKind) -> str:
        """Of the store."""
        return self.venue.store_keys.key(kind, self.symbol)

    @property
    def next_id(self) -> int:
        """Where to go on asking; 0 before the first trade."""
        return self._first_id + len(self._marks) if self._marks else 0

    @property
    def first_id(self) -> int:
        """The oldest id that is known."""
        return self._first_id

    def add(self, trades: list[Trade]) -> None:
        """What follows; ids that are left out are absent for good."""
        for trade in trades:
            if not self._marks:
                self._first_id = trade.trade_id
            while self.next_id < trade.trade_id and self._marks:
                self._marks.append(ABSENT)
            time, price, quantity = iso(trade.time_ms), trade.price, trade.quantity
            if not self.is_literal:
                price, quantity = by_value(price), by_value(quantity)
            self._marks.append(mark_of(self.symbol, time, price, quantity, is_buyer_maker=bool(trade.is_buyer_maker)))
        surplus = len(self._marks) - KEPT_MAX
        if surplus > KEPT_MAX // 8:
            del self._marks[:surplus]
            self._first_id += surplus

    def read(self, text: str) -> tuple[int, set[int]]:
        """Trade id of a stored record, and the marks that it may have. Raises `ValueError` for another shape."""
        record = _decode(text)
        price, quantity = bytes(record.price).decode(), bytes(record.quantity).decode()
        times = {record.timestamp}
        if not self.is_literal:
            price, quantity = by_value(price), by_value(quantity)
            told = datetime.fromisoformat(record.timestamp) - EPOCH
            times = {iso((told + off) // timedelta(milliseconds=1)) for off in (-FLOAT, FLOAT)}
        maker = record.is_buyer_maker
        return record.trade_id, {mark_of(record.symbol, time, price, quantity, is_buyer_maker=maker) for time in times}

    def mark(self, trade_id: int) -> int | None:
        """The mark of an id, `ABSENT` for one that no trade has, None where it is not known (any more, or yet)."""
        position = trade_id - self._first_id
        return self._marks[position] if 0 <= position < len(self._marks) else None

    def traded(self, first_id: int, last_id: int) -> list[int]:
        """The ids of a range that trades have."""
        # Nobody has traded before what is known, or much beyond it: whoever says so may say anything.
        first_id = max(first_id, self._first_id)
        last_id = min(last_id, max(self.next_id, first_id) + AHEAD_MAX)
        return [number for number in range(first_id, last_id + 1) if self.mark(number) != ABSENT]
