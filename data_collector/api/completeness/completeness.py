"""Whether the store holds everything: proven by counting what lies in it, never by our own counters.

Trade ids of an exchange rise by one. A stream that begins with id 100 and ends with 199 must account for 100 trades:
each is an entry, or lies in a range that `gaps:` declares. The tail moves over a range only in the call that declares
it, so no id can be both. If the two counts add up, nothing is missing without being told.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct, field, structs

from data_collector.api.completeness.former_entries import FormerEntries, NewestLife, facts_of
from data_collector.model.calendar import INTERVALS, Calendar
from data_collector.model.errors import SinkUnavailable
from data_collector.model.gaps import Gap
from data_collector.model.grid import Grid, IdGrid, KlineGrid
from data_collector.model.keys import StoreKeys
from data_collector.model.records import Kline
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.entries import (
    StreamEntry,
    declared_pages,
    entries_of,
    entry_id,
    kline_of,
    pages_of,
    reads_as_trade,
)
from data_collector.sinks.redis.not_ours import state_name
from data_collector.sinks.redis.stored_records import CLOSED

PERCENT_UNIT = 1_000_000
"""Percentages have six decimals."""

KLINE_PAGE_ENTRIES = 500
"""Taken from the socket at a time, some 3 ms; a thread decodes them."""

STRANGERS_PER_PAGE = 100
STRANGERS_MAX = 10_000
"""Of more, the others count as if they were trades; nothing is proven then anyway."""


class SeriesCount(Struct):
    """What lies in the store of one series, from its first to its last record."""

    first: int | None = None
    """Trade id, or open time in ms; None when nothing is stored."""
    last: int | None = None
    """Of the range that is accounted for: refused records at its end lie in it."""
    expected: int = 0
    """Records from first to last."""
    held: int = 0
    epoch: int = 0
    """Of trades: what lies there of older ones does not count."""
    declared: dict[str, int] = field(default_factory=dict)
    """Reason to records that `gaps:` declares, of those from first to last."""
    strange: int = 0
    """Entries of `gaps:` that are of an epoch which nobody has begun: they do not count."""
    doubt: str | None = None
    """Why nothing is proven, whatever the counts: somebody else has written there."""

    @property
    def unexplained(self) -> int:
        """Records that are neither held nor declared; below 0 when there are more than there can be."""
        return self.expected - self.held - sum(self.declared.values())

    @property
    def is_proven(self) -> bool:
        return self.first is not None and self.unexplained == 0 and self.doubt is None

    @property
    def existing(self) -> int:
        """Records that the exchange has: all but those that it says it has not."""
        return self.expected - self.declared.get("absent", 0)

    @property
    def percentage(self) -> float | None:
        """100 x held / existing, rounded down: 100.0 is said of nothing that lacks a single record."""
        if self.existing <= 0:
            return None if self.doubt is None else 0.0
        return min(100 * PERCENT_UNIT, 100 * PERCENT_UNIT * self.held // self.existing) / PERCENT_UNIT

    def explanation(self, unit: str) -> str:
        """Why this is a proof, or which count differs."""
        counts = self._counts(unit)
        return counts if self.doubt is None else f"{counts} That proves nothing: {self.doubt}."

    def _counts(self, unit: str) -> str:
        if self.first is None:
            return f"No {unit} is stored yet."
        declared = sum(self.declared.values())
        counts = f"{self.held:,} held + {declared:,} declared in gaps:"
        if self.strange:
            counts = f"{counts} (not counted: {self.strange:,} there of an epoch that nobody has begun)"
        if self.unexplained == 0:
            return f"{counts} = {self.expected:,} {unit}s from first to last."
        if self.unexplained > 0:
            return f"{counts} are {self.unexplained:,} fewer than the {self.expected:,} {unit}s from first to last."
        return f"{counts} are {-self.unexplained:,} more than the {self.expected:,} {unit}s from first to last."


async def trade_counts(
    connection: StoreConnection, keys: StoreKeys, symbols: Sequence[str], former: FormerEntries,
    foreign: Mapping[str, str],
) -> dict[str, SeriesCount]:  # fmt: skip
    """By symbol; `foreign` are keys that are known to be somebody else's, and why. Raises `SinkUnavailable`."""
    streams = [keys.key("trades", symbol) for symbol in symbols]
    replies = await connection.execute([("XINFO", "STREAM", stream) for stream in streams])
    counts: dict[str, SeriesCount] = {}
    for symbol, stream, reply in zip(symbols, streams, replies, strict=True):
        facts = facts_of(reply, stream)
        newest = None if facts is None else await former.newest_life(connection, stream, facts)
        count = counts[symbol] = SeriesCount() if newest is None else _count_of(newest)
        count.doubt = next((foreign[key] for key in (stream, keys.epoch(symbol)) if key in foreign), None)
        if facts is not None and facts.is_foreign:
            await _leave_out_strangers(connection, stream, symbol, count)
        if count.first is not None and count.expected != count.held:
            count.declared = await _declared_trades(connection, keys.key("gaps", symbol), symbol, count)
    return counts


async def trade_counts_apart(
    connection: StoreConnection, keys: StoreKeys, symbols: Sequence[str], former: FormerEntries,
    foreign: Mapping[str, str],
) -> dict[str, SeriesCount]:  # fmt: skip
    """As `trade_counts`, and of a stream that cannot be read nothing is proven. Raises `SinkUnavailable`."""
    with suppress(SinkUnavailable):
        return await trade_counts(connection, keys, symbols, former, foreign)
    counts: dict[str, SeriesCount] = {}
    for symbol in symbols:
        try:
            counts |= await trade_counts(connection, keys, [symbol], former, foreign)
        except SinkUnavailable as error:
            if not connection.is_open:
                raise
            counts[symbol] = SeriesCount(doubt=str(error))
    return counts


async def kline_counts(
    connection: StoreConnection, keys: StoreKeys, symbol: str, calendar: Calendar, foreign: Mapping[str, str]
) -> dict[str, SeriesCount]:
    """By interval, of what `stream:` holds: it is read as a whole, so ask for one symbol. Raises `SinkUnavailable`."""
    opens = await _closed_opens(connection, keys, symbol, calendar)
    gaps = [
        declared async for page in declared_pages(connection, keys.key("gaps", symbol), symbol) for declared in page
    ]
    counts: dict[str, SeriesCount] = {}
    for interval, found in sorted(opens.items()):
        first, last = min(found), max(found)
        grid = KlineGrid(calendar, interval)
        end = grid.following(last)
        # One that stands there twice is one too many.
        count = SeriesCount(first, last, grid.span(first, end)[1], found.total())
        count.declared = _declared(grid, (each.gap for each in gaps if each.key.interval == interval), first, end)
        counts[interval] = count
    return with_doubts(counts, keys, symbol, foreign)


def with_doubts(
    counts: Mapping[str, SeriesCount], keys: StoreKeys, symbol: str, foreign: Mapping[str, str]
) -> dict[str, SeriesCount]:
    """Of klines, by interval: keys that are known to be somebody else's prove nothing."""
    cursors, found = keys.cursors(symbol), {}
    for interval, count in counts.items():
        states = (keys.key("stream", symbol), cursors, state_name(cursors, interval))
        found[interval] = structs.replace(count, doubt=next((foreign[key] for key in states if key in foreign), None))
    return found


def _count_of(newest: NewestLife) -> SeriesCount:
    facts, first, last = newest.facts, newest.first, newest.facts.last.number
    return SeriesCount(first, last, last - first + 1, facts.length - newest.former, facts.last_epoch)


async def _leave_out_strangers(connection: StoreConnection, key: str, symbol: str, count: SeriesCount) -> None:
    """Entries of somebody else at the end of a stream are no trades, and nothing of ours is stored behind them."""
    count.doubt = count.doubt or f"entries of somebody else stand in {key}"
    left = STRANGERS_MAX
    async for entries in pages_of(connection, key, symbol, STRANGERS_PER_PAGE, start="+", end="-"):
        for entry in entries:
            if reads_as_trade(entry) or not left:
                count.last = entry_id(entry.id).number
                count.expected = 0 if count.first is None else max(0, count.last - count.first + 1)
                return
            count.held -= 1
            left -= 1


async def _declared_trades(connection: StoreConnection, key: str, symbol: str, count: SeriesCount) -> dict[str, int]:
    assert count.first is not None, "the caller has looked"
    assert count.last is not None, "the caller has looked"
    found: list[Gap] = []
    async for page in declared_pages(connection, key, symbol):
        # An epoch above the newest one is somebody else's word.
        count.strange += sum(each.epoch > count.epoch for each in page)
        trades = [each for each in page if each.key.channel == "trade" and each.epoch <= count.epoch]
        found += [each.gap for each in trades if each.epoch == count.epoch]
        # Ranges of trades are declared in the order of their ids.
        if trades and (trades[-1].epoch < count.epoch or trades[-1].gap.last < count.first):
            break
    return _declared(IdGrid(), found, count.first, count.last + 1)


def _declared(grid: Grid, gaps: Iterable[Gap], first: int, end: int) -> dict[str, int]:
    """Records from `first` up to `end` by the reason that they lack for; what is declared twice counts once."""
    counts: dict[str, int] = {}
    position = first
    for gap in sorted(gaps, key=lambda gap: gap.first):
        gap_end = min(end, grid.following(gap.last))
        start = max(position, gap.first)
        if start < gap_end:
            counts[gap.reason] = counts.get(gap.reason, 0) + grid.span(start, gap_end)[1]
            position = gap_end
    return counts


async def _closed_opens(
    connection: StoreConnection, keys: StoreKeys, symbol: str, calendar: Calendar
) -> dict[str, Counter[int]]:
    """Interval to the open times of closed klines in a `stream:`, and how often each stands there."""
    opens: dict[str, Counter[int]] = {}
    key, start = keys.key("stream", symbol), "+"
    while start:
        (reply,) = await connection.execute([("XREVRANGE", key, start, "-", "COUNT", KLINE_PAGE_ENTRIES)])
        start = await asyncio.to_thread(_note_closed, opens, reply, symbol, key, calendar)
    return opens


def _note_closed(
    opens: dict[str, Counter[int]], reply: object, symbol: str, key: str, calendar: Calendar
) -> str:  # fmt: skip
    """Where the next page begins; empty after the last one."""
    entries = entries_of(reply, symbol, key)
    for entry in entries:
        kline = _closed_kline(entry, calendar)
        if kline is not None:
            opens.setdefault(kline.interval, Counter())[kline.open_ms] += 1
    return f"({entries[-1].id}" if len(entries) == KLINE_PAGE_ENTRIES else ""


def _closed_kline(entry: StreamEntry, calendar: Calendar) -> Kline | None:
    """None for one that is open, and for an entry that nobody of ours has written."""
    kline = kline_of(entry, calendar) if CLOSED in entry.fields.get("data", "") else None
    if kline is None or kline.interval not in INTERVALS:
        return None
    return kline if calendar.is_open_time(kline.interval, kline.open_ms) else None
