"""What `tail` shows: the newest candles, trades and 24-hour statistics of one symbol, kept up to date."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import msgspec
from msgspec import Raw, Struct

from data_collector.model.errors import Misconfigured, SinkUnavailable, Unavailable
from data_collector.model.store_url import StoreAddress
from data_collector.observe.logs import escaped
from data_collector.sinks.redis.connection import Command, ReplyError, StoreConnection

BLOCK_MS = 1000
"""How long one read waits for news; the statistics are read again after it."""

ENTRIES_PER_READ = 1000
HISTORY_ENTRIES = 500
"""`stream:` holds all intervals together, so many entries are read for a few candles of one."""

ROWS_SHOWN = 12
SYMBOLS_SUGGESTED = 10


class Candle(Struct, frozen=True):
    """One entry of `stream:`, numbers as the digits that stand there."""

    timestamp: str
    interval: str
    open: Raw
    high: Raw
    low: Raw
    close: Raw
    volume: Raw
    trades: int
    is_closed: bool


class TradeRow(Struct, frozen=True):
    """One entry of `trades:`, numbers as the digits that stand there."""

    timestamp: str
    trade_id: int
    price: Raw
    quantity: Raw
    is_buyer_maker: bool


class News(Struct, frozen=True):
    """What one read brought, oldest first."""

    candles: list[Candle]
    trades: list[TradeRow]


@dataclass(slots=True)
class Followed:
    """What is known of the symbol now."""

    symbol: str
    interval: str
    with_trades: bool
    place: str
    """Where the store is, for the screen's foot."""
    positions: dict[str, str]
    """The last entry read of each stream."""
    latest: dict[str, str] = field(default_factory=dict)
    candles: dict[str, Candle] = field(default_factory=dict)
    """By open time, oldest first, at most `ROWS_SHOWN`."""
    trades: deque[TradeRow] = field(default_factory=lambda: deque(maxlen=ROWS_SHOWN))
    other_intervals: set[str] = field(default_factory=set)
    """Intervals that were met and are not shown."""


_candle_decoder = msgspec.json.Decoder(Candle)
_trade_decoder = msgspec.json.Decoder(TradeRow)


async def open_followed(
    connection: StoreConnection, address: StoreAddress, symbol: str, interval: str, *, with_trades: bool
) -> Followed:
    """Read what is there already. Raises `Unavailable` when the store has nothing of `symbol`."""
    candles, trades = f"stream:{symbol}", f"trades:{symbol}"
    replies = await _asked(
        connection,
        [
            ("EXISTS", f"latest:{symbol}", candles, trades),
            ("XREVRANGE", candles, "+", "-", "COUNT", HISTORY_ENTRIES),
            ("XREVRANGE", trades, "+", "-", "COUNT", ROWS_SHOWN),
        ],
    )
    if replies[0] == 0:
        raise Unavailable(await _nothing_there(connection, address, symbol))
    followed = Followed(
        symbol=symbol,
        interval=interval,
        with_trades=with_trades,
        place=address.place,
        positions={candles: "0-0"} | ({trades: "0-0"} if with_trades else {}),
    )
    for name, entries in ((candles, replies[1]), (trades, replies[2])):
        if name in followed.positions and isinstance(entries, list):
            _take(followed, name, list(reversed(entries)))
    await _read_latest(connection, followed)
    return followed


async def follow_once(connection: StoreConnection, followed: Followed) -> News:
    """Wait up to a second for news, take it into `followed`, and return it."""
    streams, positions = followed.positions.keys(), followed.positions.values()
    read: Command = ("XREAD", "COUNT", ENTRIES_PER_READ, "BLOCK", BLOCK_MS, "STREAMS", *streams, *positions)
    (reply,) = await _asked(connection, [read])
    news = News([], [])
    for part in reply if isinstance(reply, list) else ():
        name, entries = part
        brought = _take(followed, name, entries)
        news.candles.extend(brought.candles)
        news.trades.extend(brought.trades)
    await _read_latest(connection, followed)
    return news


def _take(followed: Followed, name: str, entries: list[list[object]]) -> News:
    news = News([], [])
    for entry_id, fields in entries:
        followed.positions[name] = str(entry_id)
        text = _data_of(fields)
        try:
            if name.startswith("trades:"):
                news.trades.append(_trade_decoder.decode(text))
            else:
                news.candles.append(_candle_decoder.decode(text))
        except msgspec.MsgspecError as error:
            raise Misconfigured(f"Entry {entry_id} of {name} is no record of a collector: {error}") from error
    followed.trades.extend(news.trades)
    followed.other_intervals |= {candle.interval for candle in news.candles} - {followed.interval}
    news = News([candle for candle in news.candles if candle.interval == followed.interval], news.trades)
    followed.candles |= {candle.timestamp: candle for candle in news.candles}
    for oldest in list(followed.candles)[:-ROWS_SHOWN]:
        del followed.candles[oldest]
    return news


def _data_of(fields: object) -> str:
    assert isinstance(fields, list)
    return str(fields[fields.index("data") + 1])


async def _read_latest(connection: StoreConnection, followed: Followed) -> None:
    (reply,) = await _asked(connection, [("HGETALL", f"latest:{followed.symbol}")])
    if isinstance(reply, list):
        texts = [escaped(str(part)) for part in reply]
        followed.latest = dict(zip(texts[::2], texts[1::2], strict=True))


async def _nothing_there(connection: StoreConnection, address: StoreAddress, symbol: str) -> str:
    (reply,) = await _asked(connection, [("SCAN", "0", "MATCH", "latest:*", "COUNT", 10_000)])
    names = reply[1] if isinstance(reply, list) else []
    known = sorted(escaped(str(name)).removeprefix("latest:") for name in names)
    there = f"It has {', '.join(known[:SYMBOLS_SUGGESTED])}." if known else "It has no symbol at all yet."
    return (
        f"The store at {address.place} has nothing of {escaped(symbol)}. {there} "
        "SYMBOLS names what is collected; a symbol that was just added speaks with its first trade."
    )


async def _asked(connection: StoreConnection, commands: list[Command]) -> list[object]:
    replies = await connection.execute(commands)
    for reply in replies:
        if isinstance(reply, ReplyError):
            raise SinkUnavailable(f"The store refuses: {reply}")
    return replies
