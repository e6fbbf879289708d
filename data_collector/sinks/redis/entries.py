"""Entries of streams, as the server answers them, and what those of `gaps:` declare."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from data_collector.model.calendar import Calendar
from data_collector.model.errors import SinkUnavailable
from data_collector.model.keys import StoreKeys
from data_collector.model.records import STREAMED, Kline, Origin, Trade, known_origin
from data_collector.sinks.redis.connection import Command, ReplyError, StoreConnection
from data_collector.sinks.redis.stored_records import (
    DeclaredGap,
    epoch_number,
    gap_or_none,
    kline_or_none,
    trade_or_none,
)

GAPS_PER_PAGE = 1000

GAP_PAGES_MAX = 30
"""`gaps:` keeps 10,000 entries and somewhat more; a stream that is longer is not ours alone."""


class EntryId(NamedTuple):
    """`<ms>-<number>`. In `trades:` the number is the trade's id."""

    ms: int
    number: int


class StreamEntry(Struct):
    """One entry of one symbol's stream."""

    symbol: str
    id: str
    fields: dict[str, str]


def entry_id(text: object) -> EntryId:
    """An id as the server writes it."""
    ms, _, number = str(text).partition("-")
    return EntryId(int(ms), int(number or 0))


def entries_of(reply: object, symbol: str, key: str) -> list[StreamEntry]:
    """What XRANGE or XREVRANGE answered: `[[id, [name, value, …]], …]`. Raises `SinkUnavailable`."""
    if isinstance(reply, ReplyError):
        raise SinkUnavailable(f"The store refused to read {key} ({reply.kind}).")
    try:
        page = msgspec.convert(reply, list[tuple[str, list[str]]])
    except msgspec.ValidationError as error:
        raise SinkUnavailable(f"What the store has read of {key} are no entries of a stream ({error}).") from error
    return [StreamEntry(symbol, number, dict(zip(fields[::2], fields[1::2], strict=False))) for number, fields in page]


def texts_told(reply: object, key: str, count: int) -> list[str | None]:
    """What MGET, HMGET and TIME answered: so many. Raises `SinkUnavailable`."""
    if isinstance(reply, ReplyError):
        raise SinkUnavailable(f"The store refused to read {key} ({reply.kind}).")
    try:
        texts = msgspec.convert(reply, list[str | None])
    except msgspec.ValidationError as error:
        raise SinkUnavailable(f"What the store has read of {key} are no texts ({error}).") from error
    if len(texts) != count:
        raise SinkUnavailable(f"The store has read {len(texts)} texts of {key}, and was asked for {count}.")
    return texts


async def pages_of(
    connection: StoreConnection, key: str, symbol: str, size: int, *, start: str = "-", end: str = "+"
) -> AsyncIterator[list[StreamEntry]]:
    """The entries of a stream from one id to another, `size` at a time. Raises `SinkUnavailable`.

    Down to `-` the newest come first.
    """
    command = "XREVRANGE" if end == "-" else "XRANGE"
    while True:
        (reply,) = await connection.execute([(command, key, start, end, "COUNT", size)])
        entries = entries_of(reply, symbol, key)
        yield entries
        if len(entries) < size:
            return
        start = f"({entries[-1].id}"


async def first_entry(connection: StoreConnection, key: str, symbol: str, start: str = "-") -> StreamEntry | None:
    """The first one of a stream, or from an id on. Raises `SinkUnavailable`."""
    return await _one_entry(connection, symbol, ("XRANGE", key, start, "+", "COUNT", 1))


async def last_entry(connection: StoreConnection, key: str, symbol: str, end: str = "+") -> StreamEntry | None:
    """The last one of a stream, or up to an id. Raises `SinkUnavailable`."""
    return await _one_entry(connection, symbol, ("XREVRANGE", key, end, "-", "COUNT", 1))


async def _one_entry(connection: StoreConnection, symbol: str, command: Command) -> StreamEntry | None:
    (reply,) = await connection.execute([command])
    return next(iter(entries_of(reply, symbol, str(command[1]))), None)


def origin_of(fields: Mapping[str, str]) -> Origin:
    """Where the record of an entry is from; without a word it came by the stream."""
    if len(fields) == 1:
        return STREAMED
    return known_origin(fields.get("src", "ws"), fields.get("warnings", "").split(","))


def origin_of_text(text: str | None) -> Origin:
    """What stands beside the key of a kline; nothing does where it came by the stream and no rule marks it."""
    if text is None:
        return STREAMED
    source, _, rules = text.partition(" ")
    return known_origin(source, rules.split(","))


def declared_of(entry: StreamEntry) -> DeclaredGap | None:
    """None for an entry that nobody of ours has written."""
    declared = gap_or_none(entry.fields)
    return declared if declared is not None and declared.key.symbol == entry.symbol else None


def kline_of(entry: StreamEntry, calendar: Calendar) -> Kline | None:
    """Of `stream:` or `late:`; None for an entry that nobody of ours has written."""
    kline = kline_or_none(entry.fields.get("data", ""), calendar)
    return kline if kline is not None and kline.symbol == entry.symbol else None


def reads_as_trade(entry: StreamEntry) -> bool:
    """Whether it is none that somebody else wrote there, as far as one look tells."""
    return f'"trade_id":{entry_id(entry.id).number},' in entry.fields.get("data", "")


def trade_of(entry: StreamEntry) -> Trade | None:
    """Of `trades:`; None for an entry that nobody of ours has written."""
    trade = trade_or_none(entry.fields.get("data", ""))
    is_ours = trade is not None and (trade.symbol, trade.trade_id) == (entry.symbol, entry_id(entry.id).number)
    return trade if is_ours else None


async def declared_pages(connection: StoreConnection, key: str, symbol: str) -> AsyncIterator[list[DeclaredGap]]:
    """All of one `gaps:` stream, newest first, in pages. Raises `SinkUnavailable`."""
    left = GAP_PAGES_MAX
    async for entries in pages_of(connection, key, symbol, GAPS_PER_PAGE, start="+", end="-"):
        yield [declared for declared in map(declared_of, entries) if declared is not None]
        left -= 1
        if not left:
            return


async def begun(connection: StoreConnection, keys: StoreKeys, declared: Sequence[DeclaredGap]) -> list[DeclaredGap]:
    """Without those of an epoch that nobody has begun: they are somebody else's. Raises `SinkUnavailable`."""
    symbols = sorted({found.key.symbol for found in declared if found.epoch})
    replies = await connection.execute([("GET", keys.epoch(symbol)) for symbol in symbols]) if symbols else []
    told = {symbol: epoch_number(reply) for symbol, reply in zip(symbols, replies, strict=True)}
    present = {symbol: epoch for symbol, epoch in told.items() if epoch is not None}
    return [found for found in declared if found.epoch <= present.get(found.key.symbol, found.epoch)]
