"""The JSON of `/klines` and `/trades`, for the OpenAPI page: the answers themselves are written digit by digit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from data_collector.web.answers import Answer


class KlineRecord(Answer):
    """A kline as it stands in Redis. Numbers carry the exchange's own digits: read them as decimals."""

    symbol: str
    timestamp: str
    """Open time."""
    interval: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int
    is_closed: bool
    quote_volume: float
    taker_buy_base_volume: float
    taker_buy_quote_volume: float


class TradeRecord(Answer):
    """A trade as it stands in Redis. Numbers carry the exchange's own digits: read them as decimals."""

    symbol: str
    timestamp: str
    trade_id: int
    price: float
    quantity: float
    buyer_order_id: int | None
    seller_order_id: int | None
    is_buyer_maker: bool


class RecordsPage(Answer):
    """What every page of records says of itself."""

    count: int
    reaches_back_to: str | None
    """Nothing older is held; null when nothing is."""
    stores: list[str]
    """Which were read: `postgresql`, `redis`."""
    warnings: list[str]
    """What the page may lack, because a store is away; else empty."""


class KlinePage(RecordsPage):
    """Klines of one symbol and interval, by open time."""

    example: ClassVar[Mapping[str, object]] = {
        "symbol": "BTCUSDT",
        "interval": "1m",
        "count": 1,
        "records": [
            {
                "symbol": "BTCUSDT",
                "timestamp": "2024-01-01T12:00:00+00:00",
                "interval": "1m",
                "open": 45123.45,
                "high": 45200.0,
                "low": 45100.0,
                "close": 45180.5,
                "volume": 123.456,
                "trades": 1234,
                "is_closed": True,
                "quote_volume": 5567890.12,
                "taker_buy_base_volume": 61.728,
                "taker_buy_quote_volume": 2783945.06,
            }
        ],
        "next": "2024-01-01T12:00:01+00:00",
        "reaches_back_to": "2024-01-01T12:00:00+00:00",
        "stores": ["postgresql", "redis"],
        "warnings": [],
    }

    symbol: str
    interval: str
    records: list[KlineRecord]
    next: str | None
    """`from` of the next page; null when nothing follows now."""


class TradePage(RecordsPage):
    """Trades of one symbol, by trade id."""

    symbol: str
    records: list[TradeRecord]
    next: int | None
    """`after` of the next page; null when nothing follows now."""
