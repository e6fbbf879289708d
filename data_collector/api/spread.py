"""What the exchanges say of one market at the same time: last price, bid, ask, age, and how far they are apart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta, Struct

from data_collector.api.latest import number_of
from data_collector.api.store_reading import StoreReading
from data_collector.model.errors import SinkUnavailable
from data_collector.model.keys import FIRST_EXCHANGE
from data_collector.model.status import Snapshot
from data_collector.sinks.redis.connection import Command, ReplyError
from data_collector.web.answers import Answer

STALE_S: Final = 30.0
"""A price that is older is told, and compared with nothing."""

_NAMES: Final = ("price", "timestamp", "bid_price", "ask_price")

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
    stale: bool
    """No price, one older than `stale_after_seconds`, or its exchange is not being collected now."""
    difference_bp: float | None
    """Of `last` to that of the reference, in basis points; null where either is stale."""


class SpreadPage(Answer):
    """One row for each market, in the order of `EXCHANGES`."""

    example: ClassVar[Mapping[str, object]] = {
        "base": "BTC",
        "quotes": ["USD"],
        "reference": FIRST_EXCHANGE,
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
                "stale": False,
                "difference_bp": 0.0,
            }
        ],
    }

    base: str
    quotes: list[str]
    reference: str | None
    """The exchange of the first row that is not stale."""
    stale_after_seconds: float
    rows: list[SpreadRow]


class Market(Struct, frozen=True):
    """A symbol that is collected, and what it is priced in."""

    snapshot: Snapshot
    symbol: str
    quote: str


def markets_of(snapshots: Sequence[Snapshot], base: str, quotes: Sequence[str]) -> list[Market]:
    """The symbols that are this base in one of these quotes."""
    return [
        Market(snapshot, symbol, quote)
        for snapshot in snapshots
        for symbol in snapshot.symbols
        for quote in quotes
        if _parts(symbol) in ([base, quote], [base + quote])
    ]


def _parts(symbol: str) -> list[str]:
    """`BTC/USD`, `BTC-USD`: two; `BTCUSD`: one."""
    return re.split("[^A-Z0-9]+", symbol.upper())


async def spread_of(store: StoreReading, store_url: str, markets: Sequence[Market], now: datetime) -> list[SpreadRow]:
    """A row for each. Raises `SinkUnavailable`."""
    keys = [market.snapshot.store_keys.key("latest", market.symbol) for market in markets]
    commands: list[Command] = [("HMGET", key, *_NAMES) for key in keys]
    async with store.turn(store_url) as connection:
        replies = await connection.execute(commands)
    rows: list[SpreadRow] = []
    reference: Decimal | None = None
    for market, key, reply in zip(markets, keys, replies, strict=True):
        if isinstance(reply, ReplyError):
            raise SinkUnavailable(f"The store refused to read {key} ({reply.kind}).")
        price, timestamp, bid, ask = msgspec.convert(reply, list[str | None])
        last, age_s = number_of(price), _age_s(timestamp, now)
        value = None if last is None else Decimal(bytes(last).decode())
        is_stale = value is None or age_s is None or age_s > STALE_S or not market.snapshot.collector_running
        difference = None
        if value is not None and not is_stale:
            reference = value if reference is None else reference
            difference = round(float((value - reference) / reference * 10_000), 2) if reference else None
        rows.append(SpreadRow(
            market.snapshot.exchange or "", market.symbol, market.quote,
            last or NULL, number_of(bid) or NULL, number_of(ask) or NULL, timestamp, age_s, is_stale, difference,
        ))  # fmt: skip
    return rows


def reference_of(rows: Sequence[SpreadRow]) -> str | None:
    """Whose price the others are compared with."""
    return next((row.exchange for row in rows if not row.stale), None)


def _age_s(timestamp: str | None, now: datetime) -> float | None:
    try:
        made = datetime.fromisoformat(timestamp or "")
    except ValueError:
        return None
    made = made if made.tzinfo else made.replace(tzinfo=UTC)
    return round(max(0.0, (now - made).total_seconds()), 3)
