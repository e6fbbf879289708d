"""What a backfill needs of a database, and of a series, whatever they are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field

from data_collector.model.calendar import Calendar
from data_collector.model.gaps import Gap
from data_collector.model.grid import Grid
from data_collector.model.keys import Key
from data_collector.model.published import BulkFiles
from data_collector.model.records import Kline, Source, Trade
from data_collector.model.venue import ExchangeApi, Venue


class Stored(Struct, frozen=True):
    """What became of the rows of one call."""

    added: int = 0
    changed: int = 0
    """Those that differed from what was there."""
    known: int = 0
    refused: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    """The rules that rows broke to how many did: kept in quarantine, declared as holes."""


class HeldTrades(Protocol):
    """Trades of the newest epoch. Methods raise `SinkUnavailable`, `Misconfigured`."""

    async def trades_by_id(self, symbol: str, first_id: int, last_id: int, limit: int) -> list[Trade]:
        """The first `limit` trades of a closed range of ids."""

    async def trade_span(self, symbol: str) -> tuple[int, int] | None:
        """First and last trade id."""


class StoredRows(HeldTrades, Protocol):
    """The rows of the database. Ranges of time exclude their end. Methods raise `SinkUnavailable`, `Misconfigured`."""

    async def klines(self, symbol: str, interval: str, from_ms: int, to_ms: int, limit: int) -> list[Kline]:
        """The first `limit` klines of the range, ascending."""

    async def trades(self, symbol: str, from_ms: int, to_ms: int, limit: int) -> list[Trade]:
        """The first `limit` trades of the range in the order of their ids."""

    async def span(self, symbol: str, interval: str) -> tuple[int, int] | None:
        """First and last open time."""


class Holdings(StoredRows, Protocol):
    """The reading side of the database. Methods raise `SinkUnavailable`, `Misconfigured`."""

    async def kline_holes(
        self, symbol: str, interval: str, from_ms: int, to_ms: int, calendar: Calendar, *, with_absent: bool = False
    ) -> list[tuple[int, int]]:
        """First and last missing open time of each hole from an open time on, without what is recorded as absent."""

    async def trade_holes(
        self, symbol: str, first_id: int, last_id: int, *, with_absent: bool = False
    ) -> list[tuple[int, int]]:  # fmt: skip
        """First and last missing id of each hole of a closed range, without what is recorded as absent."""

    async def refused(self, key: Key, sources: Sequence[str]) -> list[Gap]:
        """Places of which quarantine keeps what one of these sources gave, ascending."""


class AuditedRows(Holdings, Protocol):
    """What an audit reads of the database."""

    async def open_times(self, symbol: str, interval: str, from_ms: int, to_ms: int) -> list[int]:
        """All of a range, ascending."""

    async def gaps(self, key: Key) -> list[Gap]:
        """What was recorded as missing, and why."""

    async def epochs(self, symbol: str) -> list[int]:
        """Those of a symbol, rising; its trades are read in the newest."""


class LiveRows(Struct):
    """What the live store keeps of one series, in the order in which it came."""

    klines: Mapping[int, Kline] = field(default_factory=dict)
    trades: Mapping[int, Trade] = field(default_factory=dict)
    doubled: int = 0
    epoch: int = 0
    """Of the trades."""
    foreign: int = 0
    """Entries that are no records: somebody else wrote them, and they were passed over."""


class LiveStore(Protocol):
    """The live store. Raises `SinkUnavailable`."""

    async def closed_klines(self, symbol: str, interval: str) -> LiveRows:
        """All closed ones that are kept, in their newest revision."""

    async def kept_trades(self, symbol: str) -> LiveRows:
        """All that are kept of the newest epoch."""


class RowStore(Protocol):
    """The writing side, behind the gate. Idempotent; may be broken off only to be called again. Raises the same."""

    async def put_klines(self, klines: Sequence[Kline], *, source: Source) -> Stored:
        """Closed klines."""

    async def put_odd(self, places: Mapping[int, Kline], *, source: Source) -> Stored:
        """What the exchange has in place of whole klines, by open time: refused."""

    async def put_trades(self, trades: Sequence[Trade], *, source: Source) -> Stored:
        """Trades."""

    async def put_gaps(self, key: Key, gaps: Sequence[Gap]) -> None:
        """What does not exist."""


class Ends(Struct, frozen=True):
    """The two ends of a backfill."""

    rest: ExchangeApi
    held: Holdings
    store: RowStore
    venue: Venue
    files: BulkFiles | None = None
    files_alone: frozenset[str] = frozenset()
    """Symbols that the exchange's REST side cannot be asked about: it does not list them now, or does not answer."""

    @property
    def calendar(self) -> Calendar:
        return self.venue.calendar


class Bounds(Protocol):
    """Where stretches of series lie."""

    async def open_time(self, symbol: str, interval: str, from_ms: int, now_ms: int) -> int | None:
        """When some kline opens, from which the grid of weeks and `3d` counts; None when there is none."""

    async def trade_ids(self, symbol: str, from_ms: int, to_ms: int, now_ms: int) -> tuple[int, int] | None:
        """First and last id between two times; None when there is none."""


class AnsweredRows(Struct, frozen=True):
    """Rows of one answer of the exchange."""

    numbers: Sequence[int]
    """Rising; also of places where the exchange has something that is no whole candle."""
    is_full: bool
    """Whether more may follow."""
    proven: tuple[int, int]
    """Of the numbers between these two, both included, those that are left out do not exist."""
    store: Callable[[Callable[[int], bool]], Awaitable[Sequence[Stored]]]
    """Writes the rows whose number passes."""
    odd: Mapping[int, Kline] = field(default_factory=dict)
    """What is no whole candle, by its place; it is refused by `store`."""

    def proves(self, missing: tuple[int, int]) -> bool:
        """Whether nothing of a closed range that it left out exists."""
        return self.proven[0] <= missing[0] and missing[1] <= self.proven[1]


class SeriesFeed(Protocol):
    """One series: what the database lacks of it, and how the exchange is asked."""

    @property
    def series(self) -> Key:
        """Which one."""

    @property
    def grid(self) -> Grid:
        """How it is numbered."""

    async def missing(self, from_ms: int, to_ms: int, now_ms: int) -> list[tuple[int, int]]:
        """First and last number of each hole between two times; what has not ended yet is not missing."""

    async def fetch(self, first: int, last: int) -> AnsweredRows:
        """As many rows as one answer holds, from `first` on; rows after `last` may be left out."""

    async def first_ever(self) -> int | None:
        """No number before this one exists; None where that cannot be told."""

    def unproven_before(self, number: int) -> str:
        """What is told where the exchange has this one and says nothing of those before it."""

    def is_settled(self, number: int) -> bool:
        """Whether it is old enough for its absence to be final: parts of an exchange lag behind each other."""

    def newest(self) -> int:
        """A number not before the newest one that the exchange has."""

    async def put_absent(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Record that the exchange itself has none."""

    async def by_trades(self, missing: Sequence[tuple[int, int]]) -> tuple[int, Sequence[tuple[int, int]]]:
        """About how many answers about trades bring what is made of them; and what of these is given as it is."""
