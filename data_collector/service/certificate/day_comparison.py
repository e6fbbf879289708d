"""Compares the trades of a day in the store with the exchange's own, and writes down what was found.

Both sides come as trades whose ids rise; they are read side by side, so that a day of any size takes no memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable
from typing import Literal

from msgspec import Struct, field, structs

from data_collector.model.errors import VenueUnreachable
from data_collector.model.gaps import Gap
from data_collector.model.records import Trade, same_moment

CANONICAL = (
    "SHA-256 over one line per trade in the order of ids: trade_id,price,quantity,time_ms,is_buyer_maker; decimals "
    "without zeros at their end, time in whole milliseconds, 1 for true, 0 for false, empty where the exchange does "
    "not tell, each line ends with \\n"
)

Kind = Literal["missing", "unknown_to_exchange", "differs"]


class Side(Struct):
    """The trades of one side."""

    first_id: int | None = None
    last_id: int | None = None
    count: int = 0
    sha256: str = ""
    repeated: int = 0
    """Lines that came twice and were counted once."""


class Difference(Struct):
    """Trades in a row with the same thing to say of them."""

    kind: Kind
    first: int
    last: int
    count: int
    declared: dict[str, int] = field(default_factory=dict)
    """Reason to how many of the missing ones `gaps:` declares."""
    exchange: str | None = None
    """The canonical line, where the two sides differ."""
    store: str | None = None


class Comparison(Struct):
    """What two sides have in common and what not."""

    exchange: Side = field(default_factory=Side)
    store: Side = field(default_factory=Side)
    missing: int = 0
    """The exchange has them, the store has not."""
    missing_before_first: int = 0
    """Of these, before the store's first one: not collected yet, or trimmed."""
    missing_after_last: int = 0
    """Of these, after the store's last one."""
    unknown_to_exchange: int = 0
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)
    differences_left_out: int = 0

    @property
    def is_equal(self) -> bool:
        return not (self.missing or self.unknown_to_exchange or self.differing)

    @property
    def is_equal_within_held(self) -> bool:
        """Whether the two agree from the store's first trade of the day to its last."""
        outside = self.missing_before_first + self.missing_after_last
        return not (self.missing - outside or self.unknown_to_exchange or self.differing) and self.store.count > 0


def canonical_line(trade: Trade) -> str:
    """What of a trade is compared and hashed."""
    maker = "" if trade.is_buyer_maker is None else int(trade.is_buyer_maker)
    return f"{trade.trade_id},{_plain(trade.price)},{_plain(trade.quantity)},{trade.time_ms},{maker}"


async def compare(
    exchange: AsyncIterator[Trade], store: AsyncIterator[Trade], *, differences_max: int = 1000
) -> Comparison:
    """Read both sides to their end. Raises `VenueUnreachable` when ids of a side fall."""
    found = Comparison()
    noted = _Differences(found, differences_max)
    theirs_side, ours_side = _Reader(exchange, found.exchange), _Reader(store, found.store)
    theirs, ours = await theirs_side.next(), await ours_side.next()
    while theirs is not None or ours is not None:
        if ours is None or (theirs is not None and theirs.trade.trade_id < ours.trade.trade_id):
            assert theirs is not None, "one of them is there"
            found.missing += 1
            if found.store.count == 0 or (ours is not None and ours.trade.trade_id == found.store.first_id):
                found.missing_before_first += 1
            elif ours is None:
                found.missing_after_last += 1
            noted.add("missing", theirs.trade.trade_id)
            theirs = await theirs_side.next()
        elif theirs is None or ours.trade.trade_id < theirs.trade.trade_id:
            found.unknown_to_exchange += 1
            noted.add("unknown_to_exchange", ours.trade.trade_id)
            ours = await ours_side.next()
        else:
            if not theirs.agrees(ours):
                found.differing += 1
                noted.add("differs", theirs.trade.trade_id, theirs.line, ours.line)
            theirs, ours = await theirs_side.next(), await ours_side.next()
    return found


def declare(found: Comparison, gaps: Iterable[Gap]) -> None:
    """Say of missing trades what the store's `gaps:` says of them."""
    ranges = list(gaps)
    for difference in found.differences:
        if difference.kind == "missing":
            for gap in ranges:
                common = min(difference.last, gap.last) - max(difference.first, gap.first) + 1
                if common > 0:
                    difference.declared[gap.reason] = difference.declared.get(gap.reason, 0) + common


class _Differences:
    """Neighbours of a kind become one; beyond the bound they are counted."""

    def __init__(self, found: Comparison, most: int) -> None:
        self._found = found
        self._most = most
        self._newest: Difference | None = None

    def add(self, kind: Kind, trade_id: int, theirs: str | None = None, ours: str | None = None) -> None:
        newest = self._newest
        if newest is not None and theirs is None and newest.kind == kind and newest.last == trade_id - 1:
            newest.last = trade_id
            newest.count += 1
            return
        self._newest = Difference(kind, trade_id, trade_id, 1, exchange=theirs, store=ours)
        if len(self._found.differences) < self._most:
            self._found.differences.append(self._newest)
        else:
            self._found.differences_left_out += 1


class _Line(Struct, frozen=True):
    """A trade of one side, and what is hashed of it."""

    trade: Trade
    line: str

    def agrees(self, other: _Line) -> bool:
        """Whether both sides tell the same: a time in floats may lie in the millisecond beside it."""
        if self.line == other.line:
            return True
        same_time = structs.replace(other.trade, time_ms=self.trade.time_ms)
        return same_moment(self.trade, other.trade) and canonical_line(same_time) == self.line


class _Reader:
    """One side: its ids checked, its lines hashed."""

    def __init__(self, trades: AsyncIterator[Trade], side: Side) -> None:
        self._trades = trades
        self._side = side
        self._digest = hashlib.sha256()
        self._line = ""

    async def next(self) -> _Line | None:
        """The next one; None at the end."""
        side = self._side
        async for trade in self._trades:
            line = canonical_line(trade)
            if side.last_id is not None and trade.trade_id <= side.last_id:
                if line == self._line:
                    side.repeated += 1
                    continue
                raise VenueUnreachable(f"trade {trade.trade_id} of {trade.symbol} comes after {side.last_id}")
            self._line = line
            self._digest.update(f"{line}\n".encode())
            side.count += 1
            side.first_id = trade.trade_id if side.first_id is None else side.first_id
            side.last_id = trade.trade_id
            return _Line(trade, line)
        side.sha256 = self._digest.hexdigest()
        return None


def _plain(decimal: str) -> str:
    """Files, streams and REST write different numbers of zeros at the end."""
    return decimal.rstrip("0").rstrip(".") if "." in decimal else decimal
