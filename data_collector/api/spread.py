"""What the exchanges say of one market at the same time: last price, bid, ask, age, and how far they are apart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta, Struct

from data_collector.api.latest import number_of
from data_collector.api.store_reading import StoreReading
from data_collector.model.errors import SinkUnavailable
from data_collector.model.keys import FIRST_EXCHANGE
from data_collector.model.records import Trade
from data_collector.model.status import Snapshot
from data_collector.model.wire import trade_time_text
from data_collector.sinks.redis.connection import Command, ReplyError
from data_collector.sinks.redis.entries import entries_of, texts_told
from data_collector.sinks.redis.stored_records import trade_or_none
from data_collector.web.answers import Answer

STALE_S: Final = 30.0
"""A price that is older is told, and compared with nothing."""

SYMBOLS_KEPT: Final = 20_000
"""Of so many symbols it is remembered what they are made of: every page of the dashboard asks every two seconds."""

Number = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": ["number", "null"]})]


NULL: Final = msgspec.Raw(b"null")


class SpreadRow(Answer):
    """One exchange's market. Null is what there is not."""

    exchange: str
    symbol: str
    quote: str
    last: Number
    bid: Number
    ask: Number
    timestamp: str | None
    """When `last` was made."""
    age_seconds: float | None
    """By this machine's clock; below zero where the exchange's is ahead."""
    quoted_seconds_ago: float | None
    """How old `bid` and `ask` are: those of the newest quote, or of the newest ticker where that is newer."""
    stale: bool
    """No price, one older (or further ahead) than `stale_after_seconds`, or its exchange is not being collected now."""
    difference_bp: float | None
    """Of `last` to that of the reference, in basis points; null where the row is stale."""


class SpreadPage(Answer):
    """One row for each market, in the order of `EXCHANGES`."""

    example: ClassVar[Mapping[str, object]] = {
        "base": "BTC",
        "quotes": ["USD"],
        "reference": FIRST_EXCHANGE,
        "reference_symbol": "BTCUSD",
        "stale_after_seconds": STALE_S,
        "rows": [
            {
                "exchange": FIRST_EXCHANGE,
                "symbol": "BTCUSD",
                "quote": "USD",
                "last": 45180.5,
                "bid": 45180.49,
                "ask": 45180.5,
                "timestamp": "2024-01-01T12:00:00.123+00:00",
                "age_seconds": 0.4,
                "quoted_seconds_ago": 0.2,
                "stale": False,
                "difference_bp": 0.0,
            }
        ],
    }

    base: str
    quotes: list[str]
    reference: str | None
    """The exchange of the first row that is not stale: whose price the others are compared with."""
    reference_symbol: str | None
    stale_after_seconds: float
    rows: list[SpreadRow]


class Market(Struct, frozen=True):
    """A symbol that is collected, and what it is priced in."""

    snapshot: Snapshot
    symbol: str
    quote: str


class _Told(Struct, frozen=True):
    """What the store has of a market, each with the time at which it was made."""

    last: msgspec.Raw | None
    timestamp: str | None
    bid: msgspec.Raw | None
    ask: msgspec.Raw | None
    quoted_ms: int | None


def markets_of(snapshots: Sequence[Snapshot], base: str, quotes: Sequence[str]) -> list[Market]:
    """The symbols that are this base in one of these quotes."""
    wanted: dict[tuple[str, ...], str] = {
        parts: quote for quote in quotes for parts in ((base, quote), (base + quote,))
    }
    return [
        Market(snapshot, symbol, quote)
        for snapshot in snapshots
        for symbol in snapshot.symbols
        if (quote := wanted.get(_parts(symbol))) is not None
    ]


@lru_cache(SYMBOLS_KEPT)
def _parts(symbol: str) -> tuple[str, ...]:
    """`BTC/USD`, `BTC-USD`: two; `BTCUSD`: one."""
    return tuple(re.split("[-_/]", symbol.upper()))


async def spread_of(store: StoreReading, store_url: str, markets: Sequence[Market], now: datetime) -> list[SpreadRow]:
    """A row for each, of what three keys of it hold. Raises `SinkUnavailable`."""
    commands = [command for market in markets for command in _commands(market)]
    async with store.turn(store_url) as connection:
        replies = await connection.execute(commands)
    rows: list[SpreadRow] = []
    reference: Decimal | None = None
    for market, *found in zip(markets, replies[::3], replies[1::3], replies[2::3], strict=True):
        told = _told(market.symbol, *found)
        age_s = _seconds_since(_ms_of(told.timestamp), now)
        price = Decimal(0) if told.last is None else Decimal(bytes(told.last).decode())
        is_stale = price <= 0 or age_s is None or abs(age_s) > STALE_S or not market.snapshot.collector_running
        difference = None
        if not is_stale:
            reference = price if reference is None else reference
            difference = round(float((price - reference) / reference * 10_000), 2)
        rows.append(SpreadRow(
            market.snapshot.exchange or "", market.symbol, market.quote, told.last or NULL, told.bid or NULL,
            told.ask or NULL, told.timestamp, age_s, _seconds_since(told.quoted_ms, now), is_stale, difference,
        ))  # fmt: skip
    return rows


def reference_of(rows: Sequence[SpreadRow]) -> SpreadRow | None:
    """With whose price the others are compared."""
    return next((row for row in rows if not row.stale), None)


def _commands(market: Market) -> list[Command]:
    key = market.snapshot.store_keys.key
    return [
        ("HMGET", key("latest", market.symbol), "price", "timestamp", "bid_price", "ask_price", "event_ms"),
        ("HMGET", key("quote", market.symbol), "bid", "ask", "timestamp"),
        ("XREVRANGE", key("trades", market.symbol), "+", "-", "COUNT", 1),
    ]


def _told(symbol: str, latest: object, quote: object, trades: object) -> _Told:
    """The newest of what several keys tell: where no tickers are collected, `latest:` is not kept."""
    last, timestamp, bid, ask, event_ms = _texts(latest, 5)
    newest = _newest_trade(symbol, trades)
    if newest is not None and newest.time_ms > (_ms_of(timestamp) or 0):
        last, timestamp = newest.price, trade_time_text(newest.time_ms)
    elif newest is not None and number_of(last) is not None and Decimal(last or "") == Decimal(newest.price):
        # A ticker is of a later time, and its price of this trade.
        timestamp = trade_time_text(newest.time_ms)
    quoted_ms = int(event_ms) if event_ms is not None and re.fullmatch("[0-9]{1,15}", event_ms) else None
    best_bid, best_ask, at = _texts(quote, 3)
    quote_ms = _ms_of(at)
    if quote_ms is not None and quote_ms >= (quoted_ms or 0):
        bid, ask, quoted_ms = best_bid, best_ask, quote_ms
    is_quoted = bid is not None or ask is not None
    return _Told(number_of(last), timestamp, number_of(bid), number_of(ask), quoted_ms if is_quoted else None)


def _texts(reply: object, count: int) -> list[str | None]:
    return [None] * count if _is_closed(reply) else texts_told(reply, "prices", count)


def _newest_trade(symbol: str, reply: object) -> Trade | None:
    if _is_closed(reply):
        return None
    return next((trade_or_none(entry.fields.get("data", "")) for entry in entries_of(reply, symbol, symbol)), None)


def _is_closed(reply: object) -> bool:
    """Whether somebody else uses the key, or we may not read it: of both the collector tells."""
    if not isinstance(reply, ReplyError):
        return False
    if reply.kind in {"WRONGTYPE", "NOPERM"}:
        return True
    raise SinkUnavailable(f"The store refused to be read ({reply.kind}).")


def _ms_of(timestamp: str | None) -> int | None:
    try:
        made = datetime.fromisoformat(timestamp or "")
    except ValueError:
        return None
    made = made if made.tzinfo else made.replace(tzinfo=UTC)
    return round(made.timestamp() * 1000)


def _seconds_since(ms: int | None, now: datetime) -> float | None:
    return None if ms is None else round(now.timestamp() - ms / 1000, 3)
