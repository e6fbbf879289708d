"""What `latest:` holds, as JSON: numbers with the exchange's own digits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from data_collector.api.store_reading import StoreReading
from data_collector.model.keys import StoreKeys
from data_collector.model.records import known_rules
from data_collector.sinks.redis.connection import Command
from data_collector.sinks.redis.entries import texts_told
from data_collector.web.answers import Answer

SYMBOLS_PER_BATCH = 250
"""Asked for in one batch, so that neither store nor event loop is held for more than some milliseconds."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_CHARACTERS_MAX = 64


class Latest(Answer):
    """The newest price of a symbol, and the statistics of the last 24 hours. Null is what there is not."""

    example: ClassVar[Mapping[str, object]] = {
        "symbol": "BTCUSDT",
        "price": 45180.5,
        "volume": 12345.678,
        "timestamp": "2024-01-01T12:00:00.123+00:00",
        "price_change": -95.0,
        "price_change_percent": -0.21,
        "weighted_avg_price": 45150.25,
        "prev_close_price": 45275.5,
        "last_price": 45180.5,
        "last_qty": 0.123,
        "bid_price": 45180.49,
        "bid_qty": 1.5,
        "ask_price": 45180.5,
        "ask_qty": 0.75,
        "open_price": 45275.5,
        "high_price": 45500.0,
        "low_price": 44900.0,
        "quote_volume": 557000000.12,
        "open_time": 1704024000123,
        "close_time": 1704110400123,
        "first_id": 123450000,
        "last_id": 123456789,
        "count": 6790,
        "warnings": [],
    }

    symbol: str
    price: float | None
    """Of the newest trade or ticker."""
    volume: float | None
    """Base volume of 24 hours."""
    timestamp: str | None
    """When the price was made."""
    price_change: float | None
    price_change_percent: float | None
    weighted_avg_price: float | None
    prev_close_price: float | None
    """Of the last trade before the window."""
    last_price: float | None
    """The ticker's own."""
    last_qty: float | None
    bid_price: float | None
    bid_qty: float | None
    ask_price: float | None
    ask_qty: float | None
    open_price: float | None
    high_price: float | None
    low_price: float | None
    quote_volume: float | None
    open_time: int | None
    """Begin of the window, in ms."""
    close_time: int | None
    first_id: int | None
    """Of the trades of the window."""
    last_id: int | None
    count: int | None
    warnings: list[str]
    """Rules that the newest ticker breaks."""
    exchange: str | UnsetType = UNSET
    """Where those of several exchanges are answered together."""


STATISTICS = Latest.__struct_fields__[1:-1]
"""What `latest:` has of them."""


class LatestPage(Answer):
    """Of all symbols that are collected, in their order."""

    example: ClassVar[Mapping[str, object]] = {"count": 1, "records": [Latest.example]}

    count: int
    records: list[Latest]


async def latest_json(
    store: StoreReading, store_url: str, keys: StoreKeys, symbols: Sequence[str], exchange: str | UnsetType = UNSET
) -> list[msgspec.Raw | None]:
    """The `Latest` of each as it is written; None where the store has nothing. Raises `SinkUnavailable`."""
    found: list[msgspec.Raw | None] = []
    async with store.turn(store_url) as connection:
        for start in range(0, len(symbols), SYMBOLS_PER_BATCH):
            batch = symbols[start : start + SYMBOLS_PER_BATCH]
            commands: list[Command] = [("HMGET", keys.key("latest", symbol), *STATISTICS) for symbol in batch]
            for symbol, reply in zip(batch, await connection.execute(commands), strict=True):
                told = texts_told(reply, keys.key("latest", symbol), len(STATISTICS))
                texts = dict(zip(STATISTICS, told, strict=True))
                found.append(_written(symbol, texts, exchange) if any(texts.values()) else None)
    return found


def nothing_of(symbol: str, exchange: str | UnsetType = UNSET) -> msgspec.Raw:
    """The `Latest` of a symbol of which the store has nothing yet."""
    return _written(symbol, dict.fromkeys(STATISTICS), exchange)


def _written(symbol: str, texts: Mapping[str, str | None], exchange: str | UnsetType) -> msgspec.Raw:
    """Numbers are put in as they are: one that is parsed here could lose digits."""
    told: dict[str, object] = {"symbol": symbol} | {name: number_of(text) for name, text in texts.items()}
    told["timestamp"] = texts["timestamp"]
    told["warnings"] = known_rules((texts["warnings"] or "").split(","))
    if exchange is not UNSET:
        told["exchange"] = exchange
    return msgspec.Raw(msgspec.json.encode(told))


def number_of(text: str | None) -> msgspec.Raw | None:
    """As it is written; None for what somebody else has written there."""
    is_number = text is not None and len(text) <= _CHARACTERS_MAX and _NUMBER.fullmatch(text) is not None
    return msgspec.Raw(text.encode()) if text is not None and is_number else None
