"""What `tail` shows: the newest candles, trades and 24-hour statistics of one symbol, kept up to date."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from msgspec import Struct

from data_collector.model.calendar import UtcCalendar
from data_collector.model.errors import SinkUnavailable, Unavailable
from data_collector.model.keys import StoreKeys
from data_collector.model.records import Kline, Trade
from data_collector.model.store_url import StoreAddress
from data_collector.observe.escaping import escaped
from data_collector.sinks.redis.connection import Command, ReplyError, StoreConnection
from data_collector.sinks.redis.entries import StreamEntry, entries_of, kline_of, trade_of

BLOCK_MS = 1000
"""How long one read waits for news; the statistics are read again after it."""

ENTRIES_PER_READ = 1000
HISTORY_ENTRIES = 500
"""`stream:` holds all intervals together, so many entries are read for a few candles of one."""

ROWS_SHOWN = 12
SYMBOLS_SUGGESTED = 10


class News(Struct, frozen=True):
    """What one read brought, oldest first."""

    klines: list[Kline]
    trades: list[Trade]


@dataclass(slots=True)
class Followed:
    """What is known of the symbol now."""

    keys: StoreKeys
    symbol: str
    interval: str
    with_trades: bool
    place: str
    """Where the store is, for the screen's foot."""
    positions: dict[str, str]
    """The last entry read of each stream."""
    latest: dict[str, str] = field(default_factory=dict)
    klines: dict[int, Kline] = field(default_factory=dict)
    """By open time, oldest first, at most `ROWS_SHOWN`."""
    trades: deque[Trade] = field(default_factory=lambda: deque(maxlen=ROWS_SHOWN))
    other_intervals: set[str] = field(default_factory=set)
    """Intervals that were met and are not shown."""
    strangers: int = 0
    """Entries that no collector has written, and that were left out."""
    prefix: str = ""
    """The exchange's, where those of several are shown."""

    @property
    def label(self) -> str:
        """What it is called."""
        return f"{self.prefix}{self.symbol}"


_CALENDAR = UtcCalendar()


async def open_followed(
    connection: StoreConnection, address: StoreAddress, keys: StoreKeys, symbol: str, interval: str, *,
    with_trades: bool,
) -> Followed:  # fmt: skip
    """Read what is there already. Raises `Unavailable` when the store has nothing of `symbol`."""
    klines, trades = keys.key("stream", symbol), keys.key("trades", symbol)
    replies = await _asked(
        connection,
        [
            ("EXISTS", keys.key("latest", symbol), klines, trades),
            ("XREVRANGE", klines, "+", "-", "COUNT", HISTORY_ENTRIES),
            ("XREVRANGE", trades, "+", "-", "COUNT", ROWS_SHOWN),
        ],
    )
    if replies[0] == 0:
        raise Unavailable(await _nothing_there(connection, address, keys, symbol))
    followed = Followed(
        keys=keys,
        symbol=symbol,
        interval=interval,
        with_trades=with_trades,
        place=address.place,
        positions={klines: "0-0"} | ({trades: "0-0"} if with_trades else {}),
    )
    for name, entries in ((klines, replies[1]), (trades, replies[2])):
        if name in followed.positions:
            _take(followed, name, entries_of(entries, symbol, name)[::-1])
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
        brought = _take(followed, name, entries_of(entries, followed.symbol, name))
        news.klines.extend(brought.klines)
        news.trades.extend(brought.trades)
    await _read_latest(connection, followed)
    return news


def _take(followed: Followed, name: str, entries: list[StreamEntry]) -> News:
    news = News([], [])
    for entry in entries:
        followed.positions[name] = entry.id
        if followed.keys.kind_of(name) == "trades":
            trade = trade_of(entry)
            news.trades.extend([] if trade is None else [trade])
            followed.strangers += trade is None
        else:
            kline = kline_of(entry, _CALENDAR)
            news.klines.extend([] if kline is None else [kline])
            followed.strangers += kline is None
    followed.trades.extend(news.trades)
    followed.other_intervals |= {kline.interval for kline in news.klines} - {followed.interval}
    news = News([kline for kline in news.klines if kline.interval == followed.interval], news.trades)
    followed.klines |= {kline.open_ms: kline for kline in news.klines}
    for oldest in list(followed.klines)[:-ROWS_SHOWN]:
        del followed.klines[oldest]
    return news


async def _read_latest(connection: StoreConnection, followed: Followed) -> None:
    (reply,) = await _asked(connection, [("HGETALL", followed.keys.key("latest", followed.symbol))])
    if isinstance(reply, list):
        texts = [escaped(str(part)) for part in reply]
        followed.latest = dict(zip(texts[::2], texts[1::2], strict=True))


async def _nothing_there(connection: StoreConnection, address: StoreAddress, keys: StoreKeys, symbol: str) -> str:
    looks: list[Command] = [
        ("SCAN", "0", "MATCH", keys.key("latest", "*"), "COUNT", 10_000),
        ("EXISTS", keys.key("quarantine", symbol)),
    ]
    reply, refused = await _asked(connection, looks)
    names = reply[1] if isinstance(reply, list) else []
    known = sorted(escaped(str(name)).removeprefix(keys.key("latest", "")) for name in names)
    there = f"It has {', '.join(known[:SYMBOLS_SUGGESTED])}." if known else "It has no symbol at all yet."
    if refused == 1:
        return (
            f"The store at {address.place} has nothing of {escaped(symbol)} but what a rule refused: "
            "`data-collector quarantine list` says which rule."
        )
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
